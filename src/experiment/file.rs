//! Reads an experiment file. Every mistake names its line.
//!
//! The leading comment block is the drawing; `herd explain` prints it.

use super::error::ExperimentError;
use super::expectation::{Expectation, More, Rule};
use super::kernel::KernelRange;
use super::keys;
use super::reader::Reader;
use toml::Value;
use toml::de::{DeTable, DeValue};

/// A value and the line it stands on.
#[derive(Clone, Debug)]
pub struct Placed {
    pub value: Value,
    pub line: usize,
}

/// A setting as the file says it.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub key: String,
    pub placed: Placed,
}

/// One `[[wait]]`: a row of the table.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub name: String,
    pub line: usize,
    pub needs: Vec<String>,
    /// Of a script: where its steps come from, and the kernels they speak about.
    pub source: String,
    pub kernel: KernelRange,
    pub settings: Vec<Assignment>,
}

/// One key of `[matrix]` with its values.
#[derive(Clone, Debug)]
pub struct Axis {
    pub key: String,
    pub line: usize,
    pub values: Vec<Value>,
}

/// One `[[expect]]`: rules for the cells it selects.
#[derive(Clone, Debug)]
pub struct Expect {
    pub line: usize,
    /// Rows by name; empty selects all.
    pub rows: Vec<String>,
    /// Settings the cell must have; each with the values that match.
    pub when: Vec<(String, Vec<Value>)>,
    pub rules: Vec<Expectation>,
}

/// How the table is laid out.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Layout {
    /// The axis whose values become columns.
    #[serde(default)]
    pub pivot: Option<String>,
    /// The metrics shown, each in a table of its own where there is a pivot.
    #[serde(default)]
    pub show: Vec<String>,
    /// Of these, those of which the most, or the least, in a column is marked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub most: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub least: Vec<String>,
}

/// An experiment: a question, a matrix of settings, what is expected and why.
#[derive(Clone, Debug)]
pub struct Experiment {
    pub name: String,
    pub path: String,
    pub drawing: String,
    pub title: String,
    pub question: String,
    pub why: String,
    pub look: String,
    /// One sentence a beginner understands, printed under a table that passed.
    pub moral: String,
    /// Takes so long that it runs only where it is named.
    pub long: bool,
    pub layout: Layout,
    pub needs: Vec<String>,
    pub defaults: Vec<Assignment>,
    pub rows: Vec<Row>,
    pub axes: Vec<Axis>,
    pub expects: Vec<Expect>,
}

const TOP: &[&str] =
    &["title", "question", "why", "look", "moral", "long", "needs", "table", "defaults", "wait", "matrix", "expect"];

/// The name in `experiments/NN-name.toml`. After 99 come 9a and a0.
pub fn name_of(path: &str) -> String {
    let stem = path.rsplit('/').next().unwrap_or(path);
    let stem = stem.strip_suffix(".toml").unwrap_or(stem);
    let is_place = |text: &str| {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        // At most one a, so that a word of these letters is none.
        digits > 0 && text.bytes().all(|b| b.is_ascii_digit() || b == b'a') && text.len() - digits <= 1
    };
    match stem.split_once('-') {
        Some((place, rest)) if is_place(place) => rest.into(),
        _ => stem.into(),
    }
}

/// The comment block a file opens with, without the `#`.
fn drawing_of(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    let bare = lines.map(|line| {
        let line = line.trim_start_matches('#');
        line.strip_prefix(' ').unwrap_or(line)
    });
    bare.collect::<Vec<_>>().join("\n")
}

impl Experiment {
    /// Reads an experiment from `text`; `path` is only for names and messages.
    pub fn parse(path: &str, text: &str) -> Result<Experiment, ExperimentError> {
        let reader = Reader { path, text };
        let (root, mistakes) = DeTable::parse_recoverable(text);
        // The first one in the file: what follows it may only be its echo.
        if let Some(first) = mistakes.iter().min_by_key(|e| e.span().map_or(0, |span| span.start)) {
            let line = first.span().map_or(0, |span| reader.line(span.start));
            return Err(ExperimentError::new(path, line, format!("not TOML: {}", first.message())));
        }
        let mut found = Experiment {
            name: name_of(path),
            path: path.into(),
            drawing: drawing_of(text),
            title: String::new(),
            question: String::new(),
            why: String::new(),
            look: String::new(),
            moral: String::new(),
            long: false,
            layout: Layout::default(),
            needs: Vec::new(),
            defaults: Vec::new(),
            rows: Vec::new(),
            axes: Vec::new(),
            expects: Vec::new(),
        };
        for (key, value) in root.get_ref().iter() {
            found.read_top(&reader, key.get_ref(), key.span().start, value.get_ref(), value.span().start)?;
        }
        if found.title.is_empty() {
            return Err(ExperimentError::new(path, 0, "has no title; start with title = \"..\""));
        }
        if found.rows.is_empty() {
            let kind = found.defaults.iter().find(|a| a.key == "kind");
            let name = kind.and_then(|a| a.placed.value.as_str()).unwrap_or("block");
            found.rows.push(Row { name: name.into(), ..Row::default() });
        }
        let table = root.get_ref().get("table");
        found.check_names(table.map_or(0, |table| reader.line(table.span().start)))?;
        Ok(found)
    }

    fn read_top(
        &mut self,
        reader: &Reader<'_>,
        key: &str,
        key_at: usize,
        value: &DeValue<'_>,
        at: usize,
    ) -> Result<(), ExperimentError> {
        match key {
            "title" => self.title = reader.string(value, key, at)?,
            "question" => self.question = reader.string(value, key, at)?,
            "why" => self.why = reader.string(value, key, at)?,
            "look" => self.look = reader.string(value, key, at)?,
            "moral" => self.moral = reader.string(value, key, at)?,
            "long" => self.long = reader.flag(value, key, at)?,
            "needs" => self.needs = reader.probes(value, at)?,
            "table" => self.layout = reader.layout(reader.table(value, key, at)?)?,
            "defaults" => {
                for (key, value) in reader.table(value, key, at)?.iter() {
                    let known = keys::find(key.get_ref()).is_some();
                    let here = if known { value.span().start } else { key.span().start };
                    self.defaults.push(reader.assignment(key.get_ref(), value.get_ref(), here)?);
                }
            }
            "wait" => {
                for (table, at) in reader.entries(value, key, at)? {
                    self.rows.push(reader.row(table, at)?);
                }
            }
            "matrix" => {
                for (key, value) in reader.table(value, key, at)?.iter() {
                    self.axes.push(reader.axis(
                        key.get_ref(),
                        key.span().start,
                        value.get_ref(),
                        value.span().start,
                    )?);
                }
            }
            "expect" => {
                for (table, at) in reader.entries(value, key, at)? {
                    self.expects.push(reader.expect(table, at)?);
                }
            }
            other => {
                let near = keys::did_you_mean(other, TOP.iter().copied());
                return reader.err(key_at, format!("unknown key {other:?}{near}"));
            }
        }
        Ok(())
    }

    /// Names that point at other parts of the file must exist there.
    fn check_names(&self, table_line: usize) -> Result<(), ExperimentError> {
        let err = |line, message| Err(ExperimentError::new(&self.path, line, message));
        for (i, row) in self.rows.iter().enumerate() {
            if self.rows[..i].iter().any(|other| super::cells::slug(&other.name) == super::cells::slug(&row.name)) {
                return err(row.line, format!("a second [[wait]] named {:?}", row.name));
            }
        }
        for expect in &self.expects {
            for name in &expect.rows {
                if !self.rows.iter().any(|row| row.name == *name) {
                    let near = keys::did_you_mean(name, self.rows.iter().map(|r| r.name.as_str()));
                    return err(expect.line, format!("unknown wait {name:?} in [[expect]]{near}"));
                }
            }
        }
        self.check_relations()?;
        if let Some(pivot) = &self.layout.pivot
            && !self.axes.iter().any(|axis| axis.key == *pivot)
        {
            return err(table_line, format!("[table] pivot = {pivot:?} is not a key of [matrix]"));
        }
        Ok(())
    }
    /// A cell is compared with the cell of another row, which must be there.
    fn check_relations(&self) -> Result<(), ExperimentError> {
        for expect in &self.expects {
            let err = |message| Err(ExperimentError::new(&self.path, expect.line, message));
            for rule in &expect.rules {
                let key = match rule.rule {
                    Rule::Growth(_) => "growth_from",
                    Rule::More(_) => "more_than",
                    _ => "times_of",
                };
                for other in rule.rule.other_rows() {
                    if !self.rows.iter().any(|row| row.name == *other) {
                        let near = keys::did_you_mean(other, self.rows.iter().map(|r| r.name.as_str()));
                        return err(format!("unknown wait {other:?} in {key}{near}"));
                    }
                }
                if let Rule::More(More { over: Some(over), .. }) = &rule.rule
                    && !self.axes.iter().any(|axis| axis.key == *over)
                {
                    let near = keys::did_you_mean(over, self.axes.iter().map(|axis| axis.key.as_str()));
                    return err(format!("unknown axis {over:?} in over{near}; name a key of [matrix]"));
                }
                let Some(other) = rule.rule.other() else { continue };
                if expect.rows.is_empty() || expect.rows.iter().any(|row| row == other) {
                    return err(format!("{key} = {other:?} compares that row with itself; name the others in wait"));
                }
            }
        }
        Ok(())
    }
}

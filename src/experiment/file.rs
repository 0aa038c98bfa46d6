//! Reads an experiment file. Every mistake names its line.
//!
//! The leading comment block is the drawing; `herd explain` prints it.

use super::error::ExperimentError;
use super::expectation::{Expectation, Rule};
use super::keys;
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
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub line: usize,
    pub needs: Vec<String>,
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
    /// The metric shown in a pivot table, the extra columns in a plain one.
    #[serde(default)]
    pub show: Vec<String>,
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
    pub layout: Layout,
    pub needs: Vec<String>,
    pub defaults: Vec<Assignment>,
    pub rows: Vec<Row>,
    pub axes: Vec<Axis>,
    pub expects: Vec<Expect>,
}

const TOP: &[&str] =
    &["title", "question", "why", "look", "moral", "needs", "table", "defaults", "wait", "matrix", "expect"];

/// The name in `experiments/NN-name.toml`.
pub fn name_of(path: &str) -> String {
    let stem = path.rsplit('/').next().unwrap_or(path);
    let stem = stem.strip_suffix(".toml").unwrap_or(stem);
    match stem.split_once('-') {
        Some((digits, rest)) if digits.bytes().all(|b| b.is_ascii_digit()) => rest.into(),
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

/// Turns byte offsets into lines while walking the parsed tree.
struct Reader<'a> {
    path: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> usize {
        let end = offset.min(self.text.len());
        1 + self.text.as_bytes()[..end].iter().filter(|b| **b == b'\n').count()
    }

    fn err<T>(&self, offset: usize, message: impl Into<String>) -> Result<T, ExperimentError> {
        Err(ExperimentError::new(self.path, self.line(offset), message))
    }

    fn value(&self, value: &DeValue<'_>, at: usize) -> Result<Value, ExperimentError> {
        Ok(match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => Value::Integer(n),
                Err(_) => return self.err(at, format!("{} does not fit 64 bits", n.as_str())),
            },
            DeValue::Float(x) => match x.as_str().parse() {
                Ok(x) => Value::Float(x),
                Err(_) => return self.err(at, format!("{} is not a number", x.as_str())),
            },
            DeValue::Boolean(b) => Value::Boolean(*b),
            DeValue::Datetime(when) => Value::Datetime(*when),
            DeValue::Array(items) => {
                let items = items.iter().map(|i| self.value(i.get_ref(), i.span().start));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => {
                let pairs =
                    table.iter().map(|(k, v)| Ok((k.get_ref().to_string(), self.value(v.get_ref(), v.span().start)?)));
                Value::Table(pairs.collect::<Result<_, ExperimentError>>()?)
            }
        })
    }

    fn string(&self, value: &DeValue<'_>, key: &str, at: usize) -> Result<String, ExperimentError> {
        match value {
            DeValue::String(text) => Ok(text.trim().to_string()),
            other => {
                let found = keys::shown(&self.value(other, at)?);
                self.err(at, format!("{key} must be a string, not {found}"))
            }
        }
    }

    /// A string, or a list of strings.
    fn strings(&self, value: &DeValue<'_>, key: &str, at: usize) -> Result<Vec<String>, ExperimentError> {
        match value {
            DeValue::Array(items) => {
                items.iter().map(|item| self.string(item.get_ref(), key, item.span().start)).collect()
            }
            single => Ok(vec![self.string(single, key, at)?]),
        }
    }

    fn table<'v, 'd>(&self, value: &'v DeValue<'d>, key: &str, at: usize) -> Result<&'v DeTable<'d>, ExperimentError> {
        match value {
            DeValue::Table(table) => Ok(table),
            _ => self.err(at, format!("{key} must be a table")),
        }
    }

    /// The entries of `[[key]]`, each with its offset.
    fn entries<'v, 'd>(
        &self,
        value: &'v DeValue<'d>,
        key: &str,
        at: usize,
    ) -> Result<Vec<(&'v DeTable<'d>, usize)>, ExperimentError> {
        let DeValue::Array(items) = value else {
            return self.err(at, format!("{key} must be written as [[{key}]]"));
        };
        items
            .iter()
            .map(|item| {
                let at = item.span().start;
                Ok((self.table(item.get_ref(), key, at)?, at))
            })
            .collect()
    }

    fn assignment(&self, key: &str, value: &DeValue<'_>, at: usize) -> Result<Assignment, ExperimentError> {
        let value = self.value(value, at)?;
        let line = self.line(at);
        // Tried on a scratch copy so that the mistake is found on its own line.
        keys::set(&mut super::Settings::default(), key, &value)
            .map_err(|e| ExperimentError::new(self.path, line, e.to_string()))?;
        Ok(Assignment { key: key.into(), placed: Placed { value, line } })
    }

    fn row(&self, table: &DeTable<'_>, at: usize) -> Result<Row, ExperimentError> {
        let mut row = Row { name: String::new(), line: self.line(at), needs: Vec::new(), settings: Vec::new() };
        for (key, value) in table.iter() {
            let here = value.span().start;
            match key.get_ref().as_ref() {
                "name" => row.name = self.string(value.get_ref(), "name", here)?,
                "needs" => row.needs = self.strings(value.get_ref(), "needs", here)?,
                name => {
                    let key_at = if keys::find(name).is_some() { here } else { key.span().start };
                    row.settings.push(self.assignment(name, value.get_ref(), key_at)?);
                }
            }
        }
        if row.name.is_empty() {
            let kind = row.settings.iter().find(|a| a.key == "kind");
            match kind.and_then(|a| a.placed.value.as_str()) {
                Some(kind) => row.name = kind.into(),
                None => return self.err(at, "a [[wait]] needs a name"),
            }
        }
        Ok(row)
    }

    fn axis(&self, key: &str, key_at: usize, value: &DeValue<'_>, at: usize) -> Result<Axis, ExperimentError> {
        let DeValue::Array(items) = value else {
            return self.err(at, format!("[matrix] {key} must be a list of values"));
        };
        if items.is_empty() {
            return self.err(at, format!("[matrix] {key} has no values"));
        }
        let mut values = Vec::new();
        for item in items.iter() {
            let here = if keys::find(key).is_some() { item.span().start } else { key_at };
            values.push(self.assignment(key, item.get_ref(), here)?.placed.value);
        }
        Ok(Axis { key: key.into(), line: self.line(at), values })
    }

    fn expect(&self, table: &DeTable<'_>, at: usize) -> Result<Expect, ExperimentError> {
        let mut expect = Expect { line: self.line(at), rows: Vec::new(), when: Vec::new(), rules: Vec::new() };
        let (mut source, mut needs) = (String::new(), Vec::new());
        for (key, value) in table.iter() {
            let here = value.span().start;
            let value = value.get_ref();
            match key.get_ref().as_ref() {
                "wait" => expect.rows = self.strings(value, "wait", here)?,
                "source" => source = self.string(value, "source", here)?,
                "needs" => needs = self.strings(value, "needs", here)?,
                name if is_assertable(name) => {
                    let parsed = self.value(value, here)?;
                    let rule = Rule::parse(name, &parsed).or_else(|wanted| {
                        self.err(here, format!("{name} must be {wanted}, not {}", keys::shown(&parsed)))
                    })?;
                    expect.rules.push(Expectation {
                        metric: name.into(),
                        rule,
                        source: String::new(),
                        needs: Vec::new(),
                    });
                }
                name if keys::find(name).is_some() => {
                    let values = match self.value(value, here)? {
                        Value::Array(values) => values,
                        single => vec![single],
                    };
                    for value in &values {
                        keys::set(&mut super::Settings::default(), name, value)
                            .or_else(|e| self.err(here, e.to_string()))?;
                    }
                    expect.when.push((name.into(), values));
                }
                name => {
                    let near = keys::did_you_mean(name, assertable());
                    return self.err(key.span().start, format!("unknown metric or setting {name:?}{near}"));
                }
            }
        }
        if expect.rules.is_empty() {
            return self.err(at, "an [[expect]] needs at least one metric (see `herd list --metrics`)");
        }
        for rule in &mut expect.rules {
            rule.source.clone_from(&source);
            rule.needs.clone_from(&needs);
        }
        Ok(expect)
    }

    fn layout(&self, table: &DeTable<'_>) -> Result<Layout, ExperimentError> {
        let mut layout = Layout::default();
        for (key, value) in table.iter() {
            let here = value.span().start;
            match key.get_ref().as_ref() {
                "pivot" => layout.pivot = Some(self.string(value.get_ref(), "pivot", here)?),
                "show" => {
                    layout.show = self.strings(value.get_ref(), "show", here)?;
                    for name in &layout.show {
                        if !crate::analysis::metrics::names().any(|known| known == name) {
                            let near = keys::did_you_mean(name, crate::analysis::metrics::names());
                            return self.err(here, format!("unknown metric {name:?}{near}"));
                        }
                    }
                }
                name => {
                    let near = keys::did_you_mean(name, ["pivot", "show"].into_iter());
                    return self.err(key.span().start, format!("unknown key {name:?} in [table]{near}"));
                }
            }
        }
        Ok(layout)
    }
}

fn assertable() -> impl Iterator<Item = &'static str> {
    crate::analysis::metrics::names().chain(["winners", "error"])
}

/// `events` and `workers` name a setting as well as a fact: there they select.
fn is_assertable(name: &str) -> bool {
    keys::find(name).is_none() && assertable().any(|known| known == name)
}

impl Experiment {
    /// Reads an experiment from `text`; `path` is only for names and messages.
    pub fn parse(path: &str, text: &str) -> Result<Experiment, ExperimentError> {
        let reader = Reader { path, text };
        let root = DeTable::parse(text).map_err(|e| {
            let line = e.span().map_or(0, |span| reader.line(span.start));
            ExperimentError::new(path, line, format!("not TOML: {}", e.message()))
        })?;
        let mut found = Experiment {
            name: name_of(path),
            path: path.into(),
            drawing: drawing_of(text),
            title: String::new(),
            question: String::new(),
            why: String::new(),
            look: String::new(),
            moral: String::new(),
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
            found.rows.push(Row { name: name.into(), line: 0, needs: Vec::new(), settings: Vec::new() });
        }
        found.check_names()?;
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
            "needs" => self.needs = reader.strings(value, key, at)?,
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
    fn check_names(&self) -> Result<(), ExperimentError> {
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
        if let Some(pivot) = &self.layout.pivot
            && !self.axes.iter().any(|axis| axis.key == *pivot)
        {
            return err(0, format!("[table] pivot = {pivot:?} is not a key of [matrix]"));
        }
        for need in self
            .needs
            .iter()
            .chain(self.rows.iter().flat_map(|r| &r.needs))
            .chain(self.expects.iter().flat_map(|e| e.rules.iter().flat_map(|r| &r.needs)))
        {
            if !crate::probe::names().any(|known| known == need) {
                let near = keys::did_you_mean(need, crate::probe::names());
                return err(0, format!("unknown probe {need:?} in needs{near}"));
            }
        }
        Ok(())
    }
}

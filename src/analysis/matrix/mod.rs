//! Many stored results, one table: what is waited with, on which kernel. Pure.
//!
//! Rows are waits of experiments, columns kernels (`columns`), entries wakeups per
//! event, or of a script the steps that held. Two entries are one row's if their cells have one id and ask for the
//! same; events and the time limit say how long to look, not what to look at. An
//! entry is compared with the nearest one to its left that was measured, by the
//! rules of `compare`; whether a change was to be expected is found in `explain`.
//! What an axis does not change is shown once (`fold`).

mod columns;
mod explain;
mod fold;

use std::collections::HashMap;

use super::compare::cell::{self, Figures};
use super::compare::pairing::{self, Group};
use super::compare::{Change, differences};
use crate::exit::Exit;
use crate::experiment::{Expectation, Settings, embedded};
use crate::observation::End;
use crate::results::{CellResult, Results, Verdict};
pub use columns::{Column, cpus};

/// What stands in one place of the table.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Wakeups per event over all rounds.
    Count { median: f64, min: f64, max: f64 },
    /// Of a script: the steps that held in the worst repetition, of those judged.
    Steps { held: usize, of: usize },
    /// Why there is no number: an errno, or the verdict.
    Word(String),
}

/// A cell on one kernel, all its repetitions together.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub value: Value,
    pub verdict: Verdict,
    /// Whether it can be compared; a skipped cell is, if it ran and no rule is about
    /// that kernel.
    pub measured: bool,
    /// Numbers of the notes that explain how it differs from the one to the left.
    pub notes: Vec<usize>,
    /// What differs and no expectation explains.
    pub unexplained: Vec<String>,
    /// The texts of the notes, until they are numbered.
    explained: Vec<String>,
}

/// One wait of an experiment, with the axes that make a difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub wait: String,
    pub axes: Vec<(String, String)>,
    /// One for each column; `None` where no file has the cell.
    pub entries: Vec<Option<Entry>>,
}

/// The rows of one experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    pub experiment: String,
    pub title: String,
    pub rows: Vec<Row>,
    /// Axes that made no difference in some row, with their values.
    pub folded: Vec<(String, Vec<String>)>,
}

/// A change that nothing explains.
#[derive(Clone, Debug, PartialEq)]
pub struct Unexplained {
    pub row: String,
    /// Labels of the two columns.
    pub from: String,
    pub to: String,
    pub what: String,
}

/// The whole table.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    pub columns: Vec<Column>,
    pub sections: Vec<Section>,
    /// Note number 1 is the first.
    pub notes: Vec<String>,
    pub unexplained: Vec<Unexplained>,
}

/// There is nothing to show in a file.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{file} has no cells; a table needs a result in which something ran")]
pub struct NoCells {
    pub file: String,
}

impl Value {
    fn of(group: &Group<'_>, verdict: Verdict) -> Value {
        if !group.first().settings.script.is_empty() {
            let steps = group.measured().filter_map(steps).min();
            return steps.map_or(Value::Word(verdict.to_string()), |(held, of)| Value::Steps { held, of });
        }
        // Its figures are many and mostly times; the verdict is what kernels have in common.
        if group.first().settings.is_study() {
            return Value::Word(verdict.to_string());
        }
        if let Some(figures) = Figures::of(group) {
            return Value::Count { median: figures.median(), min: figures.min, max: figures.max };
        }
        let refused = group.all().find_map(|cell| match &cell.observation.as_ref()?.end {
            End::Refused { errno, .. } => Some(errno.clone()),
            _ => None,
        });
        Value::Word(refused.unwrap_or_else(|| verdict.to_string()))
    }

    /// Whether something was found out, and not only why it was not.
    fn is_figure(&self) -> bool {
        !matches!(self, Value::Word(_))
    }
}

/// The steps that held and those that were judged; none where no step says anything
/// about this kernel.
fn steps(cell: &CellResult) -> Option<(usize, usize)> {
    let steps = || cell.expectations.iter().skip(cell.rules.len()).map(|step| step.verdict);
    let of = steps().filter(|verdict| *verdict != Verdict::Skip).count();
    (of > 0).then(|| (steps().filter(|verdict| *verdict == Verdict::Pass).count(), of))
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |number: f64| {
            let text = format!("{number:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        match self {
            Value::Word(word) => f.write_str(word),
            Value::Steps { held, of } => write!(f, "{held} of {of}"),
            Value::Count { median, min, max } if min == max => f.write_str(&short(*median)),
            Value::Count { median, min, max } => write!(f, "{} ({}-{})", short(*median), short(*min), short(*max)),
        }
    }
}

impl Entry {
    /// Without the marks of a change.
    pub fn plain(&self) -> String {
        let (text, verdict) = (self.value.to_string(), self.verdict.to_string());
        match self.verdict {
            Verdict::Fail | Verdict::Invalid if text != verdict => format!("{text} {verdict}"),
            _ => text,
        }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.plain())?;
        self.notes.iter().try_for_each(|number| write!(f, " [{number}]"))?;
        f.write_str(if self.unexplained.is_empty() { "" } else { " ?" })
    }
}

impl Row {
    /// The axes in words; empty where none is left.
    pub fn axes_text(&self) -> String {
        let parts: Vec<String> = self.axes.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        parts.join(", ")
    }
}

impl Matrix {
    /// Every entry there is.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.sections.iter().flat_map(|section| &section.rows).flat_map(|row| row.entries.iter().flatten())
    }

    /// A failed cell or a change without an explanation is what to look at.
    pub fn exit(&self) -> Exit {
        let has = |verdict| self.entries().any(|entry| entry.verdict == verdict);
        match () {
            () if has(Verdict::Fail) || !self.unexplained.is_empty() => Exit::Fail,
            () if has(Verdict::Invalid) => Exit::Invalid,
            () if has(Verdict::Pass) => Exit::Pass,
            () => Exit::AllSkipped,
        }
    }
}

/// A row while it is put together.
struct Cells<'a> {
    experiment: &'a str,
    wait: &'a str,
    axes: Vec<(String, String)>,
    groups: Vec<Option<Group<'a>>>,
}

impl<'a> Cells<'a> {
    fn first(&self) -> &'a CellResult {
        self.groups.iter().flatten().next().expect("a row begins with a cell").first()
    }
}

/// Puts results side by side; the names are only for messages.
pub fn matrix(files: &[(&str, &Results)]) -> Result<Matrix, NoCells> {
    // A part of a run may have got no cell.
    let empty = |results: &Results| results.cells.is_empty() && results.shard.is_none();
    let all_empty = files.iter().all(|(_, results)| results.cells.is_empty());
    if let Some((file, _)) = files.iter().find(|(_, results)| all_empty || empty(results)) {
        return Err(NoCells { file: (*file).into() });
    }
    let piles = columns::columns(files);
    let mut rows = rows(&piles);
    tell_apart(&mut rows);
    let columns: Vec<Column> = piles.into_iter().map(|pile| pile.column).collect();
    let mut sections = sections(rows, &columns, files);
    sections.iter_mut().for_each(fold::fold);
    Ok(numbered(columns, sections))
}

/// Whether two cells ask for the same, however often and for how long.
fn asks_alike(a: &CellResult, b: &CellResult) -> bool {
    let what = |cell: &CellResult| Settings { events: 0, limit_ms: 0, ..cell.settings.clone() };
    what(a) == what(b)
}

/// All rows in the order in which they are met.
fn rows<'a>(piles: &[columns::Pile<'a>]) -> Vec<Cells<'a>> {
    let mut found: Vec<Cells<'a>> = Vec::new();
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (column, pile) in piles.iter().enumerate() {
        for group in pairing::groups(pile.cells.iter().copied()).into_iter().flat_map(|group| group.split(asks_alike)) {
            let known = places.entry(group.id).or_default();
            let cell = group.first();
            let place = known.iter().copied().find(|at| asks_alike(found[*at].first(), cell)).unwrap_or_else(|| {
                let groups = std::iter::repeat_with(|| None).take(piles.len()).collect();
                found.push(Cells { experiment: &cell.experiment, wait: &cell.row, axes: cell.axes.clone(), groups });
                known.push(found.len() - 1);
                found.len() - 1
            });
            found[place].groups[column] = Some(group);
        }
    }
    found
}

/// Rows with one id that ask for different things say for which.
fn tell_apart(rows: &mut [Cells<'_>]) {
    let mut by_id: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        by_id.entry(row.groups.iter().flatten().next().map_or("", |group| group.id)).or_default().push(at);
    }
    for same in by_id.into_values().filter(|same| same.len() > 1) {
        let first = rows[same[0]].first();
        let against: Vec<_> = same.iter().map(|at| differences(&first.settings, &rows[*at].first().settings)).collect();
        let mut keys: Vec<(String, String)> = Vec::new();
        for d in against.iter().flatten().filter(|d| !["events", "limit_ms"].contains(&d.what.as_str())) {
            if keys.iter().all(|(key, _)| *key != d.what) {
                keys.push((d.what.clone(), d.old.clone()));
            }
        }
        for (at, against) in same.iter().zip(&against) {
            for (key, of_first) in &keys {
                let own = against.iter().find(|d| d.what == *key).map_or(of_first, |d| &d.new);
                rows[*at].axes.push((key.clone(), own.clone()));
            }
        }
    }
}

/// The rows by experiment and wait: experiments of the list in its order, then the
/// others; waits in the order in which they are met.
fn sections(rows: Vec<Cells<'_>>, columns: &[Column], files: &[(&str, &Results)]) -> Vec<Section> {
    let title = |name: &str| {
        let facts = files.iter().flat_map(|(_, results)| &results.experiments).find(|facts| facts.name == name);
        facts.map(|facts| facts.title.clone()).unwrap_or_default()
    };
    let mut found: Vec<Section> = Vec::new();
    for cells in rows {
        let row = row(&cells, columns);
        let at = found.iter().position(|section| section.experiment == cells.experiment).unwrap_or_else(|| {
            let (experiment, title) = (cells.experiment.to_owned(), title(cells.experiment));
            found.push(Section { experiment, title, rows: Vec::new(), folded: Vec::new() });
            found.len() - 1
        });
        found[at].rows.push(row);
    }
    for section in &mut found {
        let mut waits: Vec<String> = Vec::new();
        for row in &section.rows {
            if !waits.contains(&row.wait) {
                waits.push(row.wait.clone());
            }
        }
        section.rows.sort_by_cached_key(|row| waits.iter().position(|wait| *wait == row.wait));
    }
    let names = embedded::names();
    found.sort_by_key(|section| names.iter().position(|name| *name == section.experiment).unwrap_or(names.len()));
    found
}

/// One row, each entry compared with the nearest to the left that was measured.
fn row(cells: &Cells<'_>, columns: &[Column]) -> Row {
    let rules: Vec<&Expectation> =
        cells.groups.iter().flatten().flat_map(Group::all).flat_map(|cell| &cell.rules).collect();
    let figures = cells.groups.iter().flatten().filter_map(Figures::of);
    let ranges: Vec<(f64, f64)> = figures.map(|found| (found.min, found.max)).filter(|(min, max)| min < max).collect();
    let mut left: Option<(&Group<'_>, &Column)> = None;
    // The same, or one that was skipped, and whether it has a figure.
    let mut last: Option<(&Group<'_>, bool)> = None;
    let mut entries = Vec::new();
    for (group, column) in cells.groups.iter().zip(columns) {
        let Some(group) = group else {
            entries.push(None);
            continue;
        };
        let verdict = group.state();
        let (value, measured) = (Value::of(group, verdict), group.measured().next().is_some());
        let (notes, unexplained, explained) = Default::default();
        let mut entry = Entry { value, verdict, measured, notes, unexplained, explained };
        if measured {
            if let Some((old, of)) = left {
                let changes = cell::compare(old, group).changes;
                let doubtful = |change: &Change| cell::by_figures(change) && races([old, group], &ranges);
                let (doubtful, sure): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(doubtful);
                let explain = |changes: &[Change]| explain::explain(changes, &rules, (old, of), (group, column));
                (entry.explained, entry.unexplained) = explain(&sure);
                // What a rule expects is no doubt any more.
                entry.explained.extend(explain(&doubtful).0);
            }
            left = Some((group, column));
        }
        let figure = entry.value.is_figure();
        if figure || verdict == Verdict::Skip {
            if let Some((old, _)) = last.filter(|(_, had)| *had != figure) {
                let (skipped, ran) = if figure { (old, group) } else { (group, old) };
                entry.explained.extend(explain::skipped(skipped, ran));
            }
            last = Some((group, figure));
        }
        entries.push(Some(entry));
    }
    Row { wait: cells.wait.to_owned(), axes: cells.axes.clone(), entries }
}

/// Whether one kernel alone had both counts: then they tell no two kernels apart,
/// even where each of them looks like a constant.
fn races(groups: [&Group<'_>; 2], ranges: &[(f64, f64)]) -> bool {
    let [Some(a), Some(b)] = groups.map(Figures::of) else { return false };
    ranges.iter().any(|(min, max)| *min <= a.min.min(b.min) && a.max.max(b.max) <= *max)
}

/// Numbers the notes as they are met, and lists what none explains.
fn numbered(columns: Vec<Column>, mut sections: Vec<Section>) -> Matrix {
    let (mut notes, mut unexplained): (Vec<String>, Vec<Unexplained>) = Default::default();
    for section in &mut sections {
        for row in &mut section.rows {
            let axes = row.axes_text();
            let comma = if axes.is_empty() { "" } else { ", " };
            let name = format!("{}: {}{comma}{axes}", section.experiment, row.wait);
            let mut left = None;
            for (at, entry) in row.entries.iter_mut().enumerate() {
                let Some(entry) = entry.as_mut() else { continue };
                for text in std::mem::take(&mut entry.explained) {
                    let number = notes.iter().position(|known| *known == text).unwrap_or_else(|| {
                        notes.push(text);
                        notes.len() - 1
                    });
                    if !entry.notes.contains(&(number + 1)) {
                        entry.notes.push(number + 1);
                    }
                }
                for what in &entry.unexplained {
                    let from = left.map(|at: usize| columns[at].label.clone()).unwrap_or_default();
                    let (row, to, what) = (name.clone(), columns[at].label.clone(), what.clone());
                    unexplained.push(Unexplained { row, from, to, what });
                }
                left = if entry.measured { Some(at) } else { left };
            }
        }
    }
    Matrix { columns, sections, notes, unexplained }
}

//! Cells sorted into tables of text, for every report that shows tables.
//!
//! Two layouts: one line per cell, or, where the experiment names a pivot axis,
//! one table per metric shown, with one column per value of that axis.

use crate::analysis::judge::short;
use crate::analysis::metrics::CLAIMS_BY_WORKER;
use crate::experiment::file::Layout;
use crate::observation::End;
use crate::results::{CellResult, ExperimentFacts, Results, Verdict};

/// A table with a heading.
pub struct Grid {
    /// What all its cells have in common; may be empty.
    pub heading: String,
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// Columns of a plain table: metric and heading.
const PLAIN: [(&str, &str); 4] = [
    ("wakeups_per_event", "wakeups"),
    ("returns_per_event", "returns"),
    ("spurious_hidden_per_event", "hidden"),
    ("spurious_visible_per_event", "visible"),
];

/// The same where all cells are scripts.
const OF_SCRIPTS: [(&str, &str); 2] = [("steps_held", "steps held"), ("wakeups", "wakeups")];

/// The tables of one experiment, none wider than `width` where that can be had.
pub fn grids(results: &Results, experiment: &ExperimentFacts, width: usize) -> Vec<Grid> {
    let cells: Vec<&CellResult> = results.cells.iter().filter(|c| c.experiment == experiment.name).collect();
    match &experiment.layout.pivot {
        Some(axis) => pivot(&cells, axis, experiment, width),
        None => plain(&cells, experiment),
    }
}

/// Workers whose claims are listed one by one.
const LISTED: usize = 8;

/// A metric's value in one cell, with the extremes where they differ; the errno
/// where the kernel refused the cell.
pub fn value(cell: &CellResult, metric: &str) -> String {
    let seen = cell.observation.as_ref();
    if let Some(End::Refused { errno, .. }) = seen.map(|seen| &seen.end) {
        return errno.clone();
    }
    if metric == CLAIMS_BY_WORKER && seen.is_some() {
        let mut listed: Vec<String> = cell.workers.iter().take(LISTED).map(|w| w.claims.to_string()).collect();
        if cell.workers.len() > LISTED {
            listed.push("..".into());
        }
        return listed.join(" ");
    }
    let get = |name: &str| cell.metrics.get(name).copied().flatten();
    let Some(mean) = get(metric) else {
        return "-".into();
    };
    if let ("steps_held", Some(steps)) = (metric, get("steps")) {
        return format!("{} of {}", rounded(mean), rounded(steps));
    }
    if let Some(figure) = seen.and_then(|seen| seen.figures.get(metric)) {
        let [median, min, max] = [figure.median, figure.min, figure.max].map(measured);
        return if min == max { median } else { format!("{median} ({min}-{max})") };
    }
    let extremes = get(&format!("{metric}_min")).zip(get(&format!("{metric}_max")));
    match extremes {
        Some((min, max)) if min != max => format!("{} ({}-{})", rounded(mean), rounded(min), rounded(max)),
        _ => rounded(mean),
    }
}

/// Whether the cells show what the experiment's last words claim: nothing failed, and
/// something ran.
pub(super) fn shown<'a>(mut cells: impl Iterator<Item = &'a CellResult> + Clone) -> bool {
    cells.clone().any(|cell| cell.verdict == Verdict::Pass)
        && cells.all(|cell| matches!(cell.verdict, Verdict::Pass | Verdict::Skip))
}

pub(super) fn rounded(number: f64) -> String {
    if number.abs() >= 1000.0 {
        format!("{number:.0}")
    } else if number == number.trunc() {
        short(number)
    } else {
        format!("{number:.2}")
    }
}

/// A measured number: three digits, or what stands before the point.
pub fn measured(number: f64) -> String {
    match number.abs() {
        _ if number == number.trunc() => short(number),
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

fn name(cell: &CellResult) -> String {
    match cell.repetition {
        0 | 1 => cell.row.clone(),
        n => format!("{} #{n}", cell.row),
    }
}

pub(super) fn heading(axes: &[(String, String)]) -> String {
    let parts: Vec<String> = axes.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    parts.join(", ")
}

/// Groups cells by a key, in order of first appearance.
pub(super) fn groups<'a, K: PartialEq>(
    cells: &[&'a CellResult],
    key: impl Fn(&CellResult) -> K,
) -> Vec<(K, Vec<&'a CellResult>)> {
    let mut found: Vec<(K, Vec<&CellResult>)> = Vec::new();
    for cell in cells {
        let this = key(cell);
        match found.iter_mut().find(|(known, _)| *known == this) {
            Some((_, members)) => members.push(cell),
            None => found.push((this, vec![cell])),
        }
    }
    found
}

fn plain(cells: &[&CellResult], experiment: &ExperimentFacts) -> Vec<Grid> {
    let scripts = cells.iter().all(|cell| !cell.settings.script.is_empty());
    let usual: &[(&str, &str)] = if scripts { &OF_SCRIPTS } else { &PLAIN };
    let chosen: Vec<(String, String)> = if experiment.layout.show.is_empty() {
        usual.iter().map(|(metric, title)| ((*metric).into(), (*title).into())).collect()
    } else {
        experiment.layout.show.iter().map(|metric| (metric.clone(), title(metric))).collect()
    };
    let studies = cells.iter().all(|cell| cell.settings.is_study());
    let mut header = vec![if studies { "case" } else { "wait" }.to_owned()];
    header.extend(chosen.iter().map(|(_, title)| title.clone()));
    let words = !studies || cells.iter().any(|cell| !cell.winners.is_empty());
    header.extend(words.then(|| if studies { "seen" } else { "work to" }.to_owned()));
    header.push("check".into());
    let row = |cell: &CellResult| {
        let mut row = vec![name(cell)];
        row.extend(chosen.iter().map(|(metric, _)| value(cell, metric)));
        row.extend(words.then(|| cell.winners.clone()));
        row.push(cell.verdict.to_string());
        row
    };
    groups(cells, |cell| heading(&cell.axes))
        .into_iter()
        .map(|(heading, members)| Grid {
            heading,
            header: header.clone(),
            rows: members.into_iter().map(row).collect(),
        })
        .collect()
}

/// A metric's name as a column heading: `_per_event` is said above the table.
fn title(metric: &str) -> String {
    // The states of tasks are letters.
    if let Some(state) = metric.strip_prefix("state_") {
        return state.to_uppercase();
    }
    let base = metric.strip_suffix("_per_event").unwrap_or(metric);
    let base = base.strip_prefix("spurious_").unwrap_or(base);
    base.replace('_', " ")
}

fn pivot(cells: &[&CellResult], axis: &str, experiment: &ExperimentFacts, width: usize) -> Vec<Grid> {
    let usual = ["wakeups_per_event".to_owned()];
    let shown: &[String] = if experiment.layout.show.is_empty() { &usual } else { &experiment.layout.show };
    let at =
        |cell: &CellResult| cell.axes.iter().find(|(key, _)| key == axis).map(|(_, v)| v.clone()).unwrap_or_default();
    let others = |cell: &CellResult| -> Vec<(String, String)> {
        cell.axes.iter().filter(|(key, _)| key != axis).cloned().collect()
    };
    let columns: Vec<String> = groups(cells, |cell| at(cell)).into_iter().map(|(value, _)| value).collect();
    let mut found = Vec::new();
    let parts = groups(cells, |cell| heading(&others(cell)));
    for (rest, members, metric) in
        parts.iter().flat_map(|(rest, of)| shown.iter().map(move |metric| (rest, of, metric)))
    {
        let rows = groups(members, name);
        let best: Vec<Option<f64>> = columns
            .iter()
            .map(|column| best(members.iter().copied().filter(|cell| at(cell) == *column), metric, &experiment.layout))
            .collect();
        let said = match (shown.len(), rest.is_empty()) {
            (1, _) => rest.clone(),
            (_, true) => title(metric),
            _ => format!("{}, {rest}", title(metric)),
        };
        let texts: Vec<(String, Vec<String>, Verdict)> = rows
            .into_iter()
            .map(|(row, cells)| {
                let text = |(column, best): (&String, &Option<f64>)| {
                    let Some(cell) = cells.iter().find(|c| at(c) == *column) else {
                        return "-".into();
                    };
                    let marked = best.is_some() && number(cell, metric) == *best;
                    format!("{}{}", value(cell, metric), if marked { " *" } else { "" })
                };
                let worst = cells.iter().map(|c| c.verdict).max().unwrap_or(Verdict::Invalid);
                (row, columns.iter().zip(&best).map(text).collect(), worst)
            })
            .collect();
        let label = texts.iter().map(|(row, ..)| row.len()).max().unwrap_or(0).max(axis.len() + 2);
        for range in blocks(&texts, &columns, label, width) {
            let mut header = vec![format!("{axis} =")];
            header.extend(columns[range.clone()].iter().cloned());
            header.push("check".into());
            let rows = texts.iter().map(|(row, values, verdict)| {
                let mut line = vec![row.clone()];
                line.extend(values[range.clone()].iter().cloned());
                line.push(verdict.to_string());
                line
            });
            found.push(Grid { heading: said.clone(), header, rows: rows.collect() });
        }
    }
    found
}

fn number(cell: &CellResult, metric: &str) -> Option<f64> {
    cell.metrics.get(metric).copied().flatten()
}

/// The value to be marked in a column, where the experiment wants one.
fn best<'a>(cells: impl Iterator<Item = &'a CellResult>, metric: &String, layout: &Layout) -> Option<f64> {
    let numbers = cells.filter_map(|cell| number(cell, metric));
    if layout.most.contains(metric) {
        numbers.reduce(f64::max)
    } else if layout.least.contains(metric) {
        numbers.reduce(f64::min)
    } else {
        None
    }
}

/// Cuts the columns so that no table is wider than `width`.
fn blocks(
    texts: &[(String, Vec<String>, Verdict)],
    columns: &[String],
    label: usize,
    width: usize,
) -> Vec<std::ops::Range<usize>> {
    let column_width = |i: usize| {
        let widest = texts.iter().map(|(_, values, _)| values[i].len()).max().unwrap_or(0);
        widest.max(columns[i].len()) + 3
    };
    // Label and verdict columns with their borders.
    let fixed = label + 3 + "invalid".len() + 3;
    let mut found = Vec::new();
    let (mut start, mut used) = (0, fixed);
    for i in 0..columns.len() {
        let need = column_width(i);
        if i > start && used + need > width {
            found.push(start..i);
            (start, used) = (i, fixed);
        }
        used += need;
    }
    found.push(start..columns.len());
    found
}

//! Expectations that compare a cell with the cell of another row.
//!
//! Pure, and after all cells ran: looks up the other cell, compares the two
//! averages, or the values of the two rows along an axis, and draws the verdict of
//! the cell anew. What cannot be said about the other cell cannot be said about the
//! relation either.

use std::collections::HashMap;

use super::growth::{self, FEWEST};
use super::judge::{self, short};
use super::metrics::Value;
use super::wording::number;
use crate::experiment::expectation::More;
use crate::experiment::{Experiment, Rule};
use crate::results::{CellResult, Judged, Verdict};

/// The reason of a relation that nobody has settled.
pub const OPEN: &str = "the row it is compared with has not run";

/// What two cells that are compared have in common.
type Key<'a> = (&'a str, &'a str, &'a [(String, String)], u32);

/// Settles every open relation of a run of `experiments`. Rows that these do not have any
/// more were not chosen: what compares with them is skipped, which is no fault.
pub fn settle_among(cells: &mut [CellResult], experiments: &[Experiment]) {
    let chosen = |cell: &CellResult, row: &str| {
        let of = experiments.iter().find(|experiment| experiment.name == cell.experiment);
        of.is_none_or(|experiment| experiment.rows.iter().any(|known| known.name == row))
    };
    for cell in cells.iter_mut() {
        let mut changed = false;
        for index in 0..cell.rules.len().min(cell.expectations.len()) {
            let rows = cell.rules[index].rule.other_rows();
            let Some(row) = rows.into_iter().find(|row| !chosen(cell, row)) else { continue };
            let reason = format!("compared with {row}, which was not run");
            let judged = &mut cell.expectations[index];
            if judged.reason == OPEN {
                (judged.verdict, judged.reason) = (Verdict::Skip, reason);
                changed = true;
            }
        }
        if changed {
            judge::conclude(cell);
        }
    }
    settle(cells);
}

/// Settles every open relation of a run.
pub fn settle(cells: &mut [CellResult]) {
    let mut settled = settled(cells);
    settled.extend(growth::settled(cells));
    for (cell, index, judged) in settled {
        cells[cell].expectations[index] = judged;
        judge::conclude(&mut cells[cell]);
    }
}

/// Cell, place among its expectations, verdict.
fn settled(cells: &[CellResult]) -> Vec<(usize, usize, Judged)> {
    let others: HashMap<Key<'_>, &CellResult> = cells.iter().map(|cell| (key(cell, &cell.row), cell)).collect();
    let mut found = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        for (index, (rule, judged)) in cell.rules.iter().zip(&cell.expectations).enumerate() {
            if let (Some(row), OPEN) = (rule.rule.other(), judged.reason.as_str())
                && let Some(other) = others.get(&key(cell, row))
            {
                let outcome = match &rule.rule {
                    Rule::More(More { over: Some(axis), times, .. }) => {
                        along(judged, axis, *times, [cell, other], cells)
                    }
                    rule => compared(judged, rule, cell, other),
                };
                found.push((at, index, outcome));
            }
        }
    }
    found
}

fn key<'a>(cell: &'a CellResult, row: &'a str) -> Key<'a> {
    (&cell.experiment, row, &cell.axes, cell.repetition)
}

fn compared(open: &Judged, rule: &Rule, cell: &CellResult, other: &CellResult) -> Judged {
    let value = |cell: &CellResult| cell.metrics.get(&open.metric).copied().flatten();
    let outcome = |verdict, measured: String, reason: String| Judged { verdict, measured, reason, ..open.clone() };
    let hard = judge::conservation(other);
    if hard.verdict != Verdict::Pass {
        let verdict = if hard.verdict == Verdict::Skip { Verdict::Skip } else { Verdict::Invalid };
        return outcome(verdict, String::new(), format!("{}: {}", other.row, hard.reason));
    }
    for one in [cell, other] {
        if value(one).is_none() {
            let omitted = one.observation.as_ref().and_then(|seen| seen.omitted.get(&open.metric));
            let verdict = if omitted.is_some() { Verdict::Skip } else { Verdict::Invalid };
            let why = omitted.cloned().unwrap_or_else(|| format!("{} has no {}", one.row, open.metric));
            return outcome(verdict, String::new(), why);
        }
    }
    match rule {
        Rule::More(more) => {
            let (this, that) = (spread(cell, &open.metric), spread(other, &open.metric));
            let (verdict, reason) = more_than(this, that, more.times.unwrap_or(1.0));
            outcome(verdict, format!("{} to {}", shown(this), shown(that)), reason)
        }
        Rule::Times(times) => {
            let [this, that] = [cell, other].map(|cell| value(cell).unwrap_or_default());
            // Products, not a ratio: the other one may be 0.
            let holds = times.min.is_none_or(|min| this >= min * that - 1e-9)
                && times.max.is_none_or(|max| this <= max * that + 1e-9);
            let ratio = if that == 0.0 { String::new() } else { format!(", {} times", short(this / that)) };
            let measured = format!("{} to {}{ratio}", short(this), short(that));
            outcome(if holds { Verdict::Pass } else { Verdict::Fail }, measured, String::new())
        }
        _ => open.clone(),
    }
}

/// The two rows by their values at all places of an axis.
fn along(open: &Judged, axis: &str, times: Option<f64>, rows: [&CellResult; 2], cells: &[CellResult]) -> Judged {
    let of = |row: &CellResult| {
        let rest = growth::axes(row, axis);
        let mates = cells.iter().filter(|cell| {
            cell.experiment == row.experiment
                && (&cell.row, cell.repetition) == (&row.row, row.repetition)
                && growth::axes(cell, axis) == rest
        });
        let sound = mates.filter(|cell| judge::conservation(cell).verdict == Verdict::Pass);
        let mut values: Vec<f64> = sound.filter_map(|cell| cell.metrics.get(&open.metric).copied().flatten()).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let values = rows.map(of);
    let fewest = values.iter().map(Vec::len).min().unwrap_or(0);
    if fewest < FEWEST {
        let reason = format!("undecided: {fewest} values over {axis}, and fewer than {FEWEST} have no range");
        return Judged { verdict: Verdict::Skip, reason, ..open.clone() };
    }
    let [this, that] = values.map(|sorted| [sorted[0], growth::median(&sorted), sorted[sorted.len() - 1]]);
    let (verdict, reason) = more_than(this, that, times.unwrap_or(1.0));
    Judged { verdict, measured: format!("{} to {}", shown(this), shown(that)), reason, ..open.clone() }
}

/// Least, median and largest sample; three times the value of a metric without samples.
fn spread(cell: &CellResult, metric: &str) -> [f64; 3] {
    let figure = cell.observation.as_ref().and_then(|seen| seen.figures.get(metric));
    let value = cell.metrics.get(metric).copied().flatten().unwrap_or_default();
    figure.map_or([value; 3], |figure| [figure.min, figure.median, figure.max])
}

fn shown([min, median, max]: [f64; 3]) -> String {
    number(&Value { mean: median, min, max })
}

/// Decided only where no two samples contradict each other.
fn more_than(this: [f64; 3], that: [f64; 3], times: f64) -> (Verdict, String) {
    if this[0] > times * that[2] {
        (Verdict::Pass, String::new())
    } else if this[2] < times * that[0] {
        (Verdict::Fail, String::new())
    } else {
        (Verdict::Skip, "undecided: the samples overlap; a busy machine does that (more samples, or --repeat)".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_overlap_decide_nothing() {
        let verdict = |this, that, times| more_than(this, that, times).0;
        assert_eq!(verdict([10.0, 11.0, 12.0], [1.0, 2.0, 9.0], 1.0), Verdict::Pass);
        assert_eq!(verdict([10.0, 11.0, 12.0], [1.0, 2.0, 10.0], 1.0), Verdict::Skip);
        assert_eq!(verdict([10.0, 11.0, 12.0], [1.0, 2.0, 4.0], 3.0), Verdict::Skip);
        assert_eq!(verdict([10.0, 11.0, 12.0], [13.0, 14.0, 15.0], 1.0), Verdict::Fail);
        assert_eq!(verdict([10.0, 11.0, 12.0], [9.0, 9.0, 40.0], 1.0), Verdict::Skip, "one outlier takes no side");
    }
}

//! Relations between two relations, settled over samples: does this grow less than that?
//!
//! Pure, and after all cells ran. Rates and times scatter, so nothing is said of single
//! ones: each sample gives a ratio for both sides, and the verdict is drawn only where
//! medians and ranges leave no doubt. What is undecided is skipped, with the figures.

use super::judge;
use super::judge::short;
use super::relation::OPEN;
use crate::experiment::Rule;
use crate::experiment::expectation::{Growth, SAMPLE};
use crate::results::{CellResult, Judged, Verdict};

/// Fewer have no range to speak of.
pub(super) const FEWEST: usize = 3;

/// Cell, place among its expectations, verdict.
pub(super) fn settled(cells: &[CellResult]) -> Vec<(usize, usize, Judged)> {
    let mut found = Vec::new();
    for (at, cell) in cells.iter().enumerate() {
        for (index, (rule, judged)) in cell.rules.iter().zip(&cell.expectations).enumerate() {
            if let (Rule::Growth(growth), OPEN) = (&rule.rule, judged.reason.as_str()) {
                found.push((at, index, compared(judged, growth, cell, cells)));
            }
        }
    }
    found
}

/// The axes but for one.
pub(super) fn axes<'a>(cell: &'a CellResult, but: &str) -> Vec<&'a (String, String)> {
    cell.axes.iter().filter(|(key, _)| key != but).collect()
}

fn sample(cell: &CellResult) -> Option<&str> {
    cell.axes.iter().find(|(key, _)| key == SAMPLE).map(|(_, value)| value.as_str())
}

/// The ratio of `row` over `from` in each sample that has both, in order of size.
fn ratios(mates: &[&CellResult], metric: &str, row: &str, from: &str) -> Vec<f64> {
    let value = |cell: &CellResult| cell.metrics.get(metric).copied().flatten().filter(|value| *value > 0.0);
    let of = |row: &str, at: Option<&str>| {
        let cell = mates.iter().find(|cell| cell.row == row && sample(cell) == at)?;
        value(cell).filter(|_| judge::conservation(cell).verdict == Verdict::Pass)
    };
    let samples = mates.iter().filter(|cell| cell.row == row).map(|cell| sample(cell));
    let mut found: Vec<f64> = samples.filter_map(|at| Some(of(row, at)? / of(from, at)?)).collect();
    found.sort_by(f64::total_cmp);
    found
}

pub(super) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// Where the middle half begins and ends; of fewer than four that is all.
fn middle_half(sorted: &[f64]) -> (f64, f64) {
    let aside = sorted.len() / 4;
    (sorted[aside], sorted[sorted.len() - 1 - aside])
}

fn shown(sorted: &[f64]) -> String {
    let two = |number: f64| short((number * 100.0).round() / 100.0);
    format!("x {} ({} to {})", two(median(sorted)), two(sorted[0]), two(sorted[sorted.len() - 1]))
}

fn compared(open: &Judged, growth: &Growth, cell: &CellResult, cells: &[CellResult]) -> Judged {
    let mate = |other: &&CellResult| {
        other.experiment == cell.experiment
            && other.repetition == cell.repetition
            && axes(other, SAMPLE) == axes(cell, SAMPLE)
    };
    let mates: Vec<&CellResult> = cells.iter().filter(mate).collect();
    let this = ratios(&mates, &open.metric, &cell.row, &growth.growth_from);
    let that = ratios(&mates, &open.metric, &growth.below, &growth.below_from);
    let outcome = |verdict, measured: String, reason: String| Judged { verdict, measured, reason, ..open.clone() };
    let fewest = this.len().min(that.len());
    if fewest < FEWEST {
        let reason = format!("undecided: {fewest} samples, and fewer than {FEWEST} have no range");
        return outcome(Verdict::Skip, String::new(), reason);
    }
    let measured = format!("{} against {}", shown(&this), shown(&that));
    let ((_, high), (low, _)) = (middle_half(&this), middle_half(&that));
    // For it, each median must be outside of the other's middle half, since one sample in
    // which the machine did something else says nothing; against it, all must speak.
    if median(&this) < low && high < median(&that) {
        outcome(Verdict::Pass, measured, String::new())
    } else if this[0] > that[that.len() - 1] {
        outcome(Verdict::Fail, measured, String::new())
    } else {
        let reason = format!("undecided, the spread is too large: {measured}");
        outcome(Verdict::Skip, measured, reason)
    }
}

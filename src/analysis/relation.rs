//! Expectations that compare a cell with the cell of another row.
//!
//! Pure, and after all cells ran: looks up the other cell, compares the two
//! averages, and draws the verdict of the cell anew. What cannot be said about
//! the other cell cannot be said about the relation either.

use std::collections::HashMap;

use super::growth;
use super::judge::{self, short};
use crate::experiment::Rule;
use crate::experiment::expectation::Times;
use crate::results::{CellResult, Judged, Verdict};

/// The reason of a relation that nobody has settled.
pub const OPEN: &str = "the row it is compared with has not run";

/// What two cells that are compared have in common.
type Key<'a> = (&'a str, &'a str, &'a [(String, String)], u32);

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
            if let (Rule::Times(times), OPEN) = (&rule.rule, judged.reason.as_str())
                && let Some(other) = others.get(&key(cell, &times.times_of))
            {
                found.push((at, index, compared(judged, times, cell, other)));
            }
        }
    }
    found
}

fn key<'a>(cell: &'a CellResult, row: &'a str) -> Key<'a> {
    (&cell.experiment, row, &cell.axes, cell.repetition)
}

fn compared(open: &Judged, times: &Times, cell: &CellResult, other: &CellResult) -> Judged {
    let value = |cell: &CellResult| cell.metrics.get(&open.metric).copied().flatten();
    let outcome = |verdict, measured: String, reason: String| Judged { verdict, measured, reason, ..open.clone() };
    let hard = judge::conservation(other);
    if hard.verdict != Verdict::Pass {
        let verdict = if hard.verdict == Verdict::Skip { Verdict::Skip } else { Verdict::Invalid };
        return outcome(verdict, String::new(), format!("{}: {}", other.row, hard.reason));
    }
    let (Some(this), Some(that)) = (value(cell), value(other)) else {
        let lacking = if value(cell).is_none() { cell } else { other };
        return outcome(Verdict::Invalid, String::new(), format!("{} has no {}", lacking.row, open.metric));
    };
    // Products, not a ratio: the other one may be 0.
    let holds =
        times.min.is_none_or(|min| this >= min * that - 1e-9) && times.max.is_none_or(|max| this <= max * that + 1e-9);
    let ratio = if that == 0.0 { String::new() } else { format!(", {} times", short(this / that)) };
    let measured = format!("{} to {}{ratio}", short(this), short(that));
    outcome(if holds { Verdict::Pass } else { Verdict::Fail }, measured, String::new())
}

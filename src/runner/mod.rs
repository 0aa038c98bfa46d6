//! Runs cells somewhere and brings back what they saw. Knows cells and
//! observations, not waits.

pub mod allowance;
pub mod limits;
pub mod local;
pub mod process;
pub mod selftest;
pub mod stepper;

use crate::analysis::judge::Here;
use crate::experiment::Cell;
use crate::observation::{End, Observation};
use crate::results::{CellResult, Verdict};
use crate::{analysis, probe};
use std::collections::HashMap;

/// What is known of this machine: its kernel release, and what each probe said,
/// since cells ask again and again.
pub struct Probes {
    /// As `uname -r` says it.
    release: String,
    realtime: bool,
    said: HashMap<String, Option<String>>,
}

impl Probes {
    pub fn new(release: &str) -> Probes {
        Probes { release: release.into(), realtime: crate::sys::realtime::here(), said: HashMap::new() }
    }

    /// Why `name` is lacking here; `None` when it is there.
    pub fn lacking(&mut self, name: &str) -> Option<String> {
        let ask = || {
            let probe = probe::find(name)?;
            probe.run().err().map(|why| format!("no {name}: {why}"))
        };
        self.said.entry(name.to_owned()).or_insert_with(ask).clone()
    }
}

/// How cells are to be observed, whatever their settings.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Keep every round.
    pub trace: bool,
    /// Source of the counts, by name; the best there is when absent.
    pub count_with: Option<String>,
    /// Event whose timeline to keep.
    pub timeline: Option<u64>,
    /// Which repetition this is, counted from 1; only the null wait asks.
    pub repetition: u32,
}

/// How often a cell is run when the machine is too slow for its barriers or
/// disturbs its counts.
const TRIES: usize = 3;

/// Runs a cell again when a barrier timed out or counts got lost, and says so in
/// its warnings: on a busy machine that is no news about the kernel.
pub fn observe(cell: &Cell, local: &mut local::Local, wish: &Wish) -> Observation {
    let mut timed_out = Vec::new();
    loop {
        let mut seen = local.observe(&cell.settings, wish);
        match &seen.end {
            End::Invalid { reason, again: true } if timed_out.len() + 1 < TRIES && local.stopped().is_none() => {
                timed_out.push(format!("{} was run again: {reason}", cell.id));
            }
            _ => {
                seen.warnings.extend(timed_out);
                return seen;
            }
        }
    }
}

/// Skips, or runs and judges, one cell.
pub fn run_cell(cell: &Cell, local: &mut local::Local, probes: &mut Probes, wish: &Wish) -> CellResult {
    if let Some(why) = cell.needs.iter().find_map(|need| probes.lacking(need)) {
        return analysis::judge::skip(cell, why);
    }
    if let Some(why) = limits::Limits::lacking(&cell.settings, limits::descriptors()) {
        return analysis::judge::skip(cell, why);
    }
    let seen = observe(cell, local, wish);
    let lacks: HashMap<String, Option<String>> =
        cell.expectations.iter().flat_map(|e| &e.needs).map(|need| (need.clone(), probes.lacking(need))).collect();
    let lacks = |need: &str| lacks.get(need).cloned().flatten();
    let here = Here { release: &probes.release, realtime: probes.realtime, lacks: &lacks };
    let judged = analysis::judge(cell, seen, &here);
    if !failed_by_chance(&judged) || local.stopped().is_some() {
        return judged;
    }
    let mut again = observe(cell, local, wish);
    again
        .warnings
        .push(format!("{} was run again, since chance fails it once in 1000 runs: {}", cell.id, judged.reason));
    analysis::judge(cell, again, &here)
}

/// Whether only rules failed that fail once in a thousand runs of a right kernel.
/// A whole suite has dozens of them; failing twice in a row is one in a million.
fn failed_by_chance(judged: &CellResult) -> bool {
    let mut failed =
        judged.expectations.iter().zip(&judged.rules).filter(|(e, _)| e.verdict == Verdict::Fail).peekable();
    judged.verdict == Verdict::Fail && failed.peek().is_some() && failed.all(|(_, asked)| asked.rule.is_statistical())
}

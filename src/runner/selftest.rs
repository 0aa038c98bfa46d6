//! Every source of counts, proven with cells whose counts are known: eight
//! workers with EPOLLEXCLUSIVE wake 1 per event, with an epoll instance each 8.
//!
//! Having the rights proves nothing: a perf counter can open and stay 0.

use super::local::Local;
use super::{Probes, Wish, run_cell};
use crate::cell::count::NAMES;
use crate::checkup::{Source, Standing};
use crate::experiment::{Cell, Experiment};
use crate::results::{CellResult, Verdict};

/// A late packet is rare and no fault of the source.
const TRIES: usize = 2;

const CELLS: &str = r#"
title = "Self-test of the counting sources"
[defaults]
object = "tcp"
kind = "epoll"
workers = 8
events = 101
[[wait]]
name = "exclusive"
exclusive = true
needs = "epoll_exclusive"
[[wait]]
name = "own"
"#;

/// What a source counts, and what the two cells must then show.
fn plan(name: &str) -> (&'static str, &'static str, &'static str) {
    match name {
        "bpf" => ("sleeps, exact for each worker", "wakeups_per_event = 1", "wakeups_per_event = 8"),
        "perf" => ("sleeps, exact for all together", "wakeups_per_event = 1", "wakeups_per_event = 8"),
        "proc" => (
            "sleeps on locks as well: an upper bound",
            "wakeups_per_event = 1",
            "wakeups_per_event = { min = 8, mean_max = 9 }",
        ),
        _ => (
            "returns only: what slept again in the kernel is not seen",
            "returns_per_event = 1",
            "returns_per_event = { min = 1, max = 8 }",
        ),
    }
}

/// Tries all sources, best first. Stops at a signal, with what it has.
pub fn run(local: &mut Local, probes: &mut Probes) -> Vec<Source> {
    let mut found = Vec::new();
    for name in NAMES {
        if local.stopped().is_some() {
            break;
        }
        found.push(one(name, local, probes));
    }
    found
}

fn one(name: &'static str, local: &mut Local, probes: &mut Probes) -> Source {
    let (about, exclusive, own) = plan(name);
    let text = format!("{CELLS}[[expect]]\nwait = \"exclusive\"\n{exclusive}\n[[expect]]\nwait = \"own\"\n{own}\n");
    let cells = Experiment::parse("self-test.toml", &text).and_then(|experiment| experiment.cells(&[]));
    let cells = cells.expect("the text is ours");
    let metric = if name == "ledger" { "returns_per_event" } else { "wakeups_per_event" };
    let wish = Wish { count_with: Some(name.into()), ..Wish::default() };
    let results = cells.iter().map(|cell| patiently(cell, local, probes, &wish)).collect::<Vec<_>>();
    let value = |at: usize| results[at].metrics.get(metric).copied().flatten();
    let (standing, reason) = standing(&results);
    Source { name, about, standing, exclusive: value(0), own_epoll: value(1), reason }
}

fn patiently(cell: &Cell, local: &mut Local, probes: &mut Probes, wish: &Wish) -> CellResult {
    let mut result = run_cell(cell, local, probes, wish);
    for _ in 1..TRIES {
        if result.verdict == Verdict::Fail && local.stopped().is_none() {
            result = run_cell(cell, local, probes, wish);
        }
    }
    result
}

/// The worst of the cells. A kernel without EPOLLEXCLUSIVE skips one of them.
fn standing(results: &[CellResult]) -> (Standing, String) {
    let worst = results.iter().max_by_key(|result| result.verdict).expect("there are cells");
    match worst.verdict {
        Verdict::Pass | Verdict::Skip => (Standing::Works, String::new()),
        Verdict::Invalid => (Standing::Refused, worst.reason.clone()),
        Verdict::Fail => (Standing::Wrong, format!("{}: {}", worst.row, worst.reason)),
    }
}

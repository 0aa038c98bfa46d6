//! Whether the sources of wakeup counts agree about one cell.
//!
//! Pure. Each source counted a run of its own, so only a cell whose wakeups are
//! fixed by a rule can be compared. Sources that tell D-sleeps apart must agree
//! to the digit; /proc counts those as well and may be higher by as many.

use crate::experiment::{Expectation, Rule};
use crate::observation::{End, Observation};
use crate::results::{CellResult, Judged, Verdict};

/// The sources that see wakeups. The ledger sees returns only.
pub const COMPARABLE: [&str; 3] = ["bpf", "perf", "proc"];

/// The name of this expectation.
pub const AGREE: &str = "sources_agree";

/// A run of the cell that was to be counted with `source`. There may be several
/// of one source.
pub struct Run<'a> {
    pub source: &'a str,
    pub seen: &'a Observation,
}

/// Compares the runs of one cell.
pub fn agree(cell: &CellResult, runs: &[Run<'_>]) -> Judged {
    let (verdict, measured, reason) = compare(cell, runs);
    Judged {
        metric: AGREE.into(),
        expected: "bpf and perf count the same wakeups, /proc at most their D-sleeps more".into(),
        measured,
        verdict,
        reason,
        source: "every source sees the same switches: include/trace/events/sched.h; proc(5), voluntary_ctxt_switches"
            .into(),
    }
}

fn compare(cell: &CellResult, runs: &[Run<'_>]) -> (Verdict, String, String) {
    let skip = |why: String| (Verdict::Skip, String::new(), why);
    let (absent, ran): (Vec<&Run<'_>>, Vec<&Run<'_>>) = runs.iter().partition(|run| refused(run.seen).is_some());
    let mut lacking: Vec<String> = absent.iter().filter_map(|run| refused(run.seen)).collect();
    lacking.dedup();
    let lacking = lacking.join("; ");
    let Some(first) = ran.first() else {
        let why = if lacking.is_empty() { cell.reason.clone() } else { lacking };
        return skip(why);
    };
    if let End::Refused { call, errno, .. } = &first.seen.end {
        return skip(format!("no event was fired: {errno} from {call}"));
    }
    if first.seen.count_source == "scripted" {
        return skip("the null wait makes its counts up".into());
    }
    if let Some((source, why)) = ran.iter().find_map(|run| Some((run.source, unfinished(&run.seen.end)?))) {
        return (Verdict::Invalid, String::new(), format!("{source}: {why}"));
    }
    let apart: Vec<&&Run<'_>> = ran.iter().filter(|run| run.seen.dsleeps.is_some()).collect();
    let proc = ran.iter().filter(|run| run.source == "proc").map(|run| wakeups(run.seen)).min();
    let mut counts: Vec<String> = apart.iter().map(|run| format!("{} {}", run.source, wakeups(run.seen))).collect();
    counts.extend(proc.map(|count| format!("proc {count}")));
    let measured = counts.join(", ");
    let Some(exact) = apart.first().map(|run| wakeups(run.seen)).filter(|_| counts.len() > 1) else {
        return skip(format!("nothing to compare with: {measured}; {lacking}"));
    };
    if !cell.rules.iter().any(fixes_wakeups) {
        let why = "no rule fixes the wakeups of this cell; each run was held against /proc by itself";
        return skip(format!("{measured}; {why}"));
    }
    let dsleeps = apart.iter().filter_map(|run| run.seen.dsleeps).max().unwrap_or(0);
    let same = apart.iter().all(|run| wakeups(run.seen) == exact);
    let explained = proc.is_none_or(|count| (exact..=exact + dsleeps).contains(&count));
    let measured = format!("{measured}; up to {dsleeps} D-sleeps");
    (if same && explained { Verdict::Pass } else { Verdict::Fail }, measured, lacking)
}

/// Why the source could not be had, if that is how the run ended.
fn refused(seen: &Observation) -> Option<String> {
    let absent = matches!(seen.end, End::Invalid { .. }) && seen.count_source.is_empty();
    (absent && !seen.sources_refused.is_empty()).then(|| seen.sources_refused.join("; "))
}

fn unfinished(end: &End) -> Option<String> {
    match end {
        End::Complete | End::Refused { .. } => None,
        End::Lost { event, .. } => Some(format!("event {event} was lost")),
        End::Invalid { reason, .. } => Some(reason.clone()),
        End::Interrupted => Some("interrupted".into()),
    }
}

fn wakeups(seen: &Observation) -> u64 {
    seen.wakeups_per_round.iter().map(|(count, rounds)| count * rounds).sum()
}

fn fixes_wakeups(expectation: &Expectation) -> bool {
    let about = ["wakeups", "wakeups_per_event", "wakeups_per_round"].contains(&expectation.metric.as_str());
    about && matches!(expectation.rule, Rule::Exact(_) | Rule::PerWorker { .. })
}

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
        End::Unable { reason } => Some(reason.clone()),
    }
}

fn wakeups(seen: &Observation) -> u64 {
    seen.wakeups_per_round.iter().map(|(count, rounds)| count * rounds).sum()
}

fn fixes_wakeups(expectation: &Expectation) -> bool {
    let about = ["wakeups", "wakeups_per_event", "wakeups_per_round"].contains(&expectation.metric.as_str());
    about && matches!(expectation.rule, Rule::Exact(_) | Rule::PerWorker { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Experiment;

    fn cell(rules: &str) -> CellResult {
        let text = format!("title = \"t\"\n[defaults]\nkind = \"null\"\n[[expect]]\n{rules}\n");
        let cells = Experiment::parse("t.toml", &text).unwrap().cells(&[]).unwrap();
        crate::analysis::judge::not_run(&cells[0], "not run")
    }

    /// A run of ten events.
    fn seen(source: &str, wakeups: u64, dsleeps: Option<u64>) -> Observation {
        let mut seen = Observation::empty(End::Complete);
        seen.count_source = source.into();
        seen.wakeups_per_round.insert(wakeups, 1);
        seen.dsleeps = dsleeps;
        seen
    }

    fn absent(why: &str) -> Observation {
        let mut seen = Observation::empty(End::Invalid { reason: why.into(), again: false });
        seen.sources_refused.push(why.into());
        seen
    }

    #[track_caller]
    fn check(rules: &str, runs: &[(&str, Observation)], verdict: Verdict, words: &str) {
        let runs: Vec<Run<'_>> = runs.iter().map(|(source, seen)| Run { source, seen }).collect();
        let judged = agree(&cell(rules), &runs);
        let said = format!("{}; {}", judged.measured, judged.reason);
        assert_eq!(judged.verdict, verdict, "{said}");
        assert!(said.contains(words), "no {words:?} in {said:?}");
    }

    const FIXED: &str = "wakeups_per_event = 1";

    #[test]
    fn proc_may_be_higher_by_the_dsleeps_and_by_no_more() {
        let with = |proc: u64, dsleeps: u64| {
            [
                ("bpf", seen("bpf", 10, Some(dsleeps))),
                ("perf", seen("perf", 10, Some(0))),
                ("proc", seen("proc", proc, None)),
            ]
        };
        check(FIXED, &with(10, 0), Verdict::Pass, "bpf 10, perf 10, proc 10; up to 0 D-sleeps");
        check(FIXED, &with(12, 2), Verdict::Pass, "proc 12");
        check(FIXED, &with(13, 2), Verdict::Fail, "proc 13");
        check(FIXED, &with(9, 2), Verdict::Fail, "proc 9");
        let mut again = with(13, 2).to_vec();
        again.push(("proc", seen("proc", 11, None)));
        check(FIXED, &again, Verdict::Pass, "proc 11");
    }

    #[test]
    fn sources_that_tell_dsleeps_apart_agree_to_the_digit() {
        let off = [("bpf", seen("bpf", 10, Some(1))), ("perf", seen("perf", 11, Some(1)))];
        check(FIXED, &off, Verdict::Fail, "bpf 10, perf 11");
    }

    #[test]
    fn what_cannot_be_compared_is_skipped_with_the_reason() {
        let bpf = || ("bpf", seen("bpf", 10, Some(0)));
        let no_perf = || ("perf", absent("cannot count with perf: no tracefs"));
        check(
            FIXED,
            &[bpf(), no_perf(), ("proc", seen("proc", 10, None))],
            Verdict::Pass,
            "cannot count with perf: no tracefs",
        );
        check(FIXED, &[bpf(), no_perf()], Verdict::Skip, "nothing to compare with: bpf 10; cannot count with perf");
        check(FIXED, &[no_perf()], Verdict::Skip, "no tracefs");
        check(FIXED, &[], Verdict::Skip, "not run");
        let both = [bpf(), ("proc", seen("proc", 14, None))];
        check("wakeups_per_event = { min = 1 }", &both, Verdict::Skip, "no rule fixes the wakeups");
        let broken = Observation::empty(End::Invalid { reason: "lost".into(), again: true });
        check(FIXED, &[bpf(), ("perf", broken)], Verdict::Invalid, "perf: lost");
        check(FIXED, &[("bpf", seen("scripted", 1, Some(0)))], Verdict::Skip, "makes its counts up");
    }
}

//! What a count means on PREEMPT_RT. Pure.
//!
//! There every contended spin lock is a sleep (TASK_RTLOCK_WAIT). The sched
//! tracepoints show it as D, not S, so that bpf and perf do not count it and what
//! is exact stays exact. /proc has one number for both: what it counts is a true
//! floor and no ceiling. So a rule about such a count is judged as far as it is a
//! floor; where only its ceiling is exceeded, the verdict is a skip.

use super::judge::{one, skipped};
use super::metrics::Facts;
use crate::experiment::expectation::Range;
use crate::experiment::{Expectation, Rule};
use crate::results::{Judged, Verdict};

const WHY: &str = "counted with proc on a PREEMPT_RT kernel, where waiting for a spin lock is a sleep, too: the count may \
                   be too high (bpf and perf tell the two apart)";

/// Judges one expectation of a cell that ran on such a kernel.
pub fn judge(expectation: &Expectation, facts: &Facts<'_>) -> Judged {
    let judged = one(expectation, facts);
    let sleeps = ["wakeups", "spurious"].iter().any(|of| expectation.metric.starts_with(of));
    if facts.seen.count_source != "proc" || !sleeps || judged.verdict == Verdict::Pass {
        return judged;
    }
    let floor = match &expectation.rule {
        Rule::Exact(want) => Range { min: Some(*want), ..Range::default() },
        Rule::PerWorker { per_worker, .. } => Range { min_per_worker: Some(*per_worker), ..Range::default() },
        Rule::Range(range) => Range { max: None, max_per_worker: None, mean_max: None, ..*range },
        // Both sides of a relation may be too high, and a ceiling has no floor.
        Rule::Times(_) | Rule::NeverAbove(_) => Range::default(),
        _ => return judged,
    };
    let floor = Expectation { rule: Rule::Range(floor), ..expectation.clone() };
    match one(&floor, facts).verdict {
        Verdict::Pass => Judged { measured: judged.measured, ..skipped(expectation, WHY.into()) },
        _ => judged,
    }
}

//! Holds the counts against /proc, which the kernel keeps in quite another place.
//!
//! Sleeps of either kind must add up to the voluntary context switches of each
//! worker, where the source knows workers, and of all together where it does not.
//! There is one honest difference: a task that goes to sleep with a signal or a
//! wake pending gives up the CPU, which is counted as voluntary, and does not
//! sleep. Tracepoints show it runnable; so then all its switches, asleep or
//! runnable, must add up to all that /proc knows. (Before Linux 5.18,
//! fa2c3254d7cf, that holds for sleeps whose wake collides with the switch, too.)

use crate::observation::{Observation, WorkerFacts};

/// What else is known of one worker's context switches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Switched {
    /// By /proc.
    pub voluntary: u64,
    pub involuntary: u64,
    /// By the source: switches away from it while it was runnable.
    pub runnable: Option<u64>,
}

impl Switched {
    /// What was added since `before`.
    pub fn since(&self, before: &Switched) -> Switched {
        Switched {
            voluntary: self.voluntary - before.voluntary,
            involuntary: self.involuntary - before.involuntary,
            runnable: self.runnable.zip(before.runnable).map(|(now, before)| now - before),
        }
    }
}

/// What does not add up; `None` when all does.
pub fn disagreement(found: &Observation, switched: &[Switched]) -> Option<String> {
    let whole = |worker: &WorkerFacts| worker.wakeups + worker.own_sleeps + worker.dsleeps.unwrap_or(0);
    match found.count_source.as_str() {
        "ledger" => None,
        "perf" => {
            let rounds: u64 = found.wakeups_per_round.iter().map(|(count, rounds)| count * rounds).sum();
            let sum = rounds + found.dsleeps.unwrap_or(0) + found.total(|w| w.own_sleeps);
            let want: u64 = switched.iter().map(|s| s.voluntary).sum();
            (sum != want).then(|| format!("perf counted {sum} sleeps, /proc {want}"))
        }
        source => {
            let differs = |sum: u64, s: &Switched| {
                let all = s.runnable.map(|runnable| sum + runnable);
                sum > s.voluntary || (sum < s.voluntary && all != Some(s.voluntary + s.involuntary))
            };
            let off = found.workers.iter().zip(switched).position(|(worker, s)| differs(whole(worker), s))?;
            let sum = whole(&found.workers[off]);
            Some(format!("worker {off}: {source} counted {sum} sleeps, /proc at the end {}", switched[off].voluntary))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::End;

    #[track_caller]
    fn check(wakeups: u64, switched: (u64, u64, Option<u64>), agrees: bool) {
        let mut found = Observation::empty(End::Complete);
        found.count_source = "bpf".into();
        found.workers.push(WorkerFacts { wakeups, dsleeps: Some(1), ..WorkerFacts::default() });
        let (voluntary, involuntary, runnable) = switched;
        let said = disagreement(&found, &[Switched { voluntary, involuntary, runnable }]);
        assert_eq!(said.is_none(), agrees, "{said:?}");
    }

    #[test]
    fn sleeps_are_the_voluntary_switches() {
        check(9, (10, 3, Some(3)), true);
        check(10, (10, 3, Some(3)), false);
        check(8, (10, 3, Some(3)), false);
        check(9, (10, 3, None), true);
        check(8, (10, 3, None), false);
    }

    #[test]
    fn a_sleep_that_a_signal_prevented_is_a_switch_all_the_same() {
        check(8, (10, 3, Some(4)), true);
        // One sleep missed and one prevented are not the same.
        check(7, (10, 3, Some(4)), false);
    }
}

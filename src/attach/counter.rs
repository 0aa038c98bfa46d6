//! Where the wakeups of a server's threads come from: the best source we may use.
//!
//! | source | wakeups | connections | needs |
//! | --- | --- | --- | --- |
//! | bpf | interruptible sleeps, sorted by what they were good for | per thread | CAP_BPF, CAP_PERFMON, tracefs |
//! | perf | interruptible sleeps | per thread | CAP_PERFMON, tracefs |
//! | proc | voluntary_ctxt_switches: all sleeps | the network's, or our own | a right to look |

use crate::cell::task::Task;
use crate::sighting::Turns;
use crate::sys::bpf::BpfCounter;
use crate::sys::calls::listening;
use crate::sys::perf::{ThreadCounter, ThreadEvents};

/// The names, best first, as `--count-with` spells them.
pub const NAMES: [&str; 3] = ["bpf", "perf", "proc"];

/// Counts of one thread since some moment. `None` where the source cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub wakeups: u64,
    pub sorted: Option<Sorted>,
    pub accepts: Option<u64>,
    pub empties: Option<u64>,
}

/// Wakeups by what they were good for; the rest was for something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sorted {
    pub took: u64,
    pub refused: u64,
    pub hidden: u64,
}

impl Counts {
    pub fn since(self, before: Counts) -> Counts {
        let less = |now: Option<u64>, then: Option<u64>| now.map(|now| now.saturating_sub(then.unwrap_or(0)));
        let sorted = self.sorted.map(|now| {
            let then = before.sorted.unwrap_or_default();
            Sorted {
                took: now.took.saturating_sub(then.took),
                refused: now.refused.saturating_sub(then.refused),
                hidden: now.hidden.saturating_sub(then.hidden),
            }
        });
        Counts {
            wakeups: self.wakeups.saturating_sub(before.wakeups),
            sorted,
            accepts: less(self.accepts, before.accepts),
            empties: less(self.empties, before.empties),
        }
    }

    pub fn and(self, more: Counts) -> Counts {
        let plus = |a: Option<u64>, b: Option<u64>| a.map(|a| a + b.unwrap_or(0)).or(b);
        let sorted = match (self.sorted, more.sorted) {
            (Some(a), Some(b)) => {
                Some(Sorted { took: a.took + b.took, refused: a.refused + b.refused, hidden: a.hidden + b.hidden })
            }
            (a, b) => a.or(b),
        };
        Counts {
            wakeups: self.wakeups + more.wakeups,
            sorted,
            accepts: plus(self.accepts, more.accepts),
            empties: plus(self.empties, more.empties),
        }
    }

    /// The same of who takes connections by io_uring, where no call of accept ends: what
    /// the wakeups were good for cannot be told.
    pub fn unsorted(self) -> Counts {
        Counts { wakeups: self.wakeups, ..Counts::default() }
    }

    /// The wakeups by kind, the rest among them.
    pub fn turns(&self) -> Option<Turns> {
        let Sorted { took, refused, hidden } = self.sorted?;
        let other = self.wakeups.saturating_sub(took + refused + hidden);
        Some(Turns { took, refused, hidden, other })
    }

    /// Those that may be for connections.
    pub fn for_connections(&self) -> u64 {
        self.turns().map_or(self.wakeups, Turns::for_connections)
    }
}

/// A source, with a slot for each thread.
pub enum Source {
    Bpf(BpfCounter),
    /// `None` for a thread that has gone.
    Perf(ThreadEvents, Vec<Option<ThreadCounter>>),
    Proc,
}

impl Source {
    /// The source `wanted`, or the best there is; the second value says why better ones
    /// could not be had. `first` is a thread to try it on.
    pub fn open(wanted: Option<&str>, slots: usize, first: u32) -> Result<(Source, Vec<String>), String> {
        let mut refused = Vec::new();
        for name in NAMES {
            if wanted.is_some_and(|wanted| wanted != name) {
                continue;
            }
            let opened = match name {
                "bpf" => BpfCounter::open_for_server(slots).map(Source::Bpf).map_err(|e| e.to_string()),
                "perf" => ThreadEvents::find()
                    .and_then(|events| events.open(first).map(|_| Source::Perf(events, Vec::new())))
                    .map_err(|e| e.to_string()),
                _ => Ok(Source::Proc),
            };
            match opened {
                Ok(source) => return Ok((source, refused)),
                Err(why) if wanted.is_some() => return Err(format!("cannot count with {name}: {why}")),
                Err(why) => refused.push(format!("{name}: {why}")),
            }
        }
        Err(format!("unknown count source {wanted:?}"))
    }

    pub fn name(&self) -> &'static str {
        match self {
            Source::Bpf(_) => "bpf",
            Source::Perf(..) => "perf",
            Source::Proc => "proc",
        }
    }

    /// Counts thread `tid` in `slot` from here on; slots are taken in order.
    pub fn watch(&mut self, slot: usize, tid: u32) -> Result<(), String> {
        match self {
            Source::Bpf(counter) => counter.watch(slot, tid).map_err(|e| e.to_string()),
            Source::Perf(events, counters) => {
                counters.push(Some(events.open(tid).map_err(|e| e.to_string())?));
                Ok(())
            }
            Source::Proc => Ok(()),
        }
    }

    /// What a slot has counted; an error where it cannot be read any more.
    pub fn read(&self, slot: usize, task: &Task) -> Result<Counts, String> {
        Ok(match self {
            Source::Bpf(counter) => {
                let turns = counter.turns(slot);
                let hidden = turns.hidden + if listens(task, turns.within) { turns.within } else { 0 };
                Counts {
                    wakeups: counter.facts(slot).sleeps,
                    sorted: Some(Sorted { took: turns.took, refused: turns.refused, hidden }),
                    accepts: Some(turns.accepts),
                    empties: Some(turns.empties),
                }
            }
            Source::Perf(_, counters) => {
                let counter = counters[slot].as_ref().ok_or("its thread has gone")?;
                let [wakeups, accepts, empties] = counter.read().map_err(|e| e.to_string())?;
                Counts { wakeups, sorted: None, accepts: Some(accepts), empties: Some(empties) }
            }
            Source::Proc => {
                let switches = task.switches().map_err(|e| e.to_string())?;
                Counts { wakeups: switches.voluntary, ..Counts::default() }
            }
        })
    }

    /// Gives up what it holds for a thread that has gone.
    pub fn forget(&mut self, slot: usize) {
        if let Source::Perf(_, counters) = self {
            counters[slot] = None;
        }
    }

    /// Whether it knows what accept gave to each thread.
    pub fn knows_accepts(&self) -> bool {
        !matches!(self, Source::Proc)
    }

    /// Runs of the counting programs that the kernel left out.
    pub fn missed(&self) -> u64 {
        match self {
            Source::Bpf(counter) => counter.missed().unwrap_or(0),
            _ => 0,
        }
    }
}

/// Whether sleeps in the middle of the call that a thread is in are a wait's. Not so where
/// it runs: such a call ends soon, and is sorted then.
fn listens(task: &Task, within: u64) -> bool {
    within > 0
        && task
            .call()
            .ok()
            .flatten()
            .and_then(|call| call.first().copied())
            .is_some_and(|number| listening().any(|call| call == number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_wakeups_count_where_they_cannot_be_sorted() {
        let sorted = Some(Sorted { took: 1, refused: 2, hidden: 0 });
        let counts = Counts { wakeups: 9, sorted, accepts: Some(1), empties: Some(2) };
        assert_eq!(counts.for_connections(), 3);
        assert_eq!(counts.unsorted().for_connections(), 9);
        assert_eq!((counts.unsorted().accepts, counts.unsorted().empties), (None, None));
    }
}

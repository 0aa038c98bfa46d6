//! Quiet, observed: every worker is off the CPU and in its wait.
//!
//! Three things must hold together, none of them is enough alone (the ledger
//! alone is wrong in 16 to 57 % of events, state S alone in up to 0.3 %):
//!
//! 1. by its own word in the ledger every worker is about to wait;
//! 2. /proc/PID/task/TID/syscall shows the expected call on the expected
//!    descriptor, which the kernel prints only of a task that is off the CPU;
//! 3. nobody who was awake since the last barrier can have woken somebody
//!    behind our back. So those who ran are looked at first, twice if there are
//!    several of them; after that nobody is left to wake anybody, and one look
//!    at each of the others, with an arrival count that has not moved, is proof.

use std::io;

use super::contract::Asleep;
use super::ledger::{Ledger, Phase};
use super::task::{Look, Runs, Switches, Task};

/// Why it is not quiet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotYet {
    pub worker: u32,
    pub why: String,
}

/// What changed between two barriers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub wakeups: u64,
    pub returns: u64,
}

/// A worker and what was known of it at the last barrier.
struct Watched {
    task: Task,
    expected: Asleep,
    arrivals: Option<u64>,
    switches: Switches,
    returns: u64,
    own_sleeps: u64,
    /// Ran since the last barrier, as far as we know by now.
    active: bool,
}

/// All workers of a cell.
pub struct Watch {
    workers: Vec<Watched>,
}

impl Watch {
    /// Starts watching. Call it with every worker asleep in its wait.
    pub fn new(ledger: &Ledger, tasks: Vec<Task>) -> io::Result<Watch> {
        let watched = ledger.slots().zip(tasks).map(|(slot, task)| {
            Ok(Watched {
                expected: slot.asleep(),
                arrivals: task.runs()?.map(|runs| runs.arrivals).filter(|n| *n > 0),
                switches: task.switches()?,
                returns: slot.returns(),
                own_sleeps: slot.own_sleeps(),
                active: false,
                task,
            })
        });
        Ok(Watch { workers: watched.collect::<io::Result<_>>()? })
    }

    /// One try. `Ok(Ok(..))` only if all slept in their waits at one moment.
    pub fn try_quiet(&mut self, ledger: &Ledger) -> io::Result<Result<(), NotYet>> {
        for (worker, slot) in ledger.slots().enumerate() {
            let watched = &mut self.workers[worker];
            watched.active |= slot.returns() != watched.returns;
            if slot.phase() != Phase::Waiting {
                return Ok(not_yet(worker, "busy by its own word"));
            }
        }
        let before = ledger_mark(ledger);
        // Each pass either ends here or finds at least one more active worker.
        loop {
            let looks = if self.workers.iter().filter(|w| w.active).count() > 1 { 2 } else { 1 };
            for _ in 0..looks {
                for (worker, watched) in self.workers.iter().enumerate().filter(|(_, w)| w.active) {
                    if let Some(why) = watched.awake()? {
                        return Ok(not_yet(worker, &why));
                    }
                }
            }
            let mut more = false;
            for (worker, watched) in self.workers.iter_mut().enumerate().filter(|(_, w)| !w.active) {
                if let Some(why) = watched.awake()? {
                    return Ok(not_yet(worker, &why));
                }
                if watched.moved()? {
                    watched.active = true;
                    more = true;
                }
            }
            if !more {
                break;
            }
        }
        if ledger_mark(ledger) != before {
            return Ok(not_yet(0, "somebody returned during the scan"));
        }
        Ok(Ok(()))
    }

    /// Takes stock at a barrier: what the active workers did since the last one.
    pub fn take(&mut self, ledger: &Ledger) -> io::Result<Change> {
        let mut change = Change::default();
        for (slot, watched) in ledger.slots().zip(&mut self.workers).filter(|(_, w)| w.active) {
            let switches = watched.task.switches()?;
            let own_sleeps = slot.own_sleeps() - watched.own_sleeps;
            let sleeps = switches.voluntary - watched.switches.voluntary;
            change.wakeups += sleeps.saturating_sub(own_sleeps);
            change.returns += slot.returns() - watched.returns;
            watched.switches = switches;
            watched.returns = slot.returns();
            watched.own_sleeps = slot.own_sleeps();
            watched.arrivals = watched.task.runs()?.map(|runs| runs.arrivals).filter(|n| *n > 0);
            watched.active = false;
        }
        Ok(change)
    }

    /// Switches of every worker, read afresh.
    pub fn switches(&self) -> io::Result<Vec<Switches>> {
        self.workers.iter().map(|w| w.task.switches()).collect()
    }

    /// CPU time of every worker; zero where the kernel does not keep it.
    pub fn runs(&self) -> io::Result<Vec<Runs>> {
        self.workers.iter().map(|w| Ok(w.task.runs()?.unwrap_or_default())).collect()
    }

    /// One line per worker for the report of a lost wakeup.
    pub fn describe(&self) -> Vec<String> {
        let lines = self.workers.iter().enumerate();
        lines.map(|(i, w)| format!("w{i}: {}", w.task.describe())).collect()
    }
}

impl Watched {
    /// Why it is not asleep in its wait, if it is not.
    fn awake(&self) -> io::Result<Option<String>> {
        Ok(match self.task.look(&self.expected)? {
            Look::Asleep => None,
            Look::Running => Some("running".into()),
            Look::Elsewhere(at) => Some(format!("blocked outside its wait ({at})")),
        })
    }

    /// Whether it has been on a CPU since the last barrier. Without an arrival
    /// count everybody may have been.
    fn moved(&self) -> io::Result<bool> {
        let Some(last) = self.arrivals else {
            return Ok(true);
        };
        Ok(self.task.runs()?.is_none_or(|runs| runs.arrivals != last))
    }
}

fn not_yet(worker: usize, why: &str) -> Result<(), NotYet> {
    Err(NotYet { worker: worker as u32, why: why.into() })
}

/// A number that moves whenever any worker returns.
fn ledger_mark(ledger: &Ledger) -> u64 {
    ledger.slots().map(|slot| slot.returns()).sum()
}

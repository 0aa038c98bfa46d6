//! Where the wakeups come from: the best source this machine lets us have.
//!
//! Between two quiet moments a worker's switch-outs to sleep equal its wakeups,
//! as an identity. The sources differ in what they can tell apart:
//!
//! | source | wakeups | needs |
//! | --- | --- | --- |
//! | bpf | interruptible sleeps, exact, per worker; D-sleeps apart; who is awake | CAP_BPF, CAP_PERFMON, tracefs |
//! | perf | the same, but only the sum over the workers | CAP_PERFMON, tracefs |
//! | proc | voluntary_ctxt_switches: D-sleeps included, so an upper bound | nothing |
//! | ledger | returns only: what slept again inside the kernel is not seen | nothing |

use std::io;

use super::ledger::Ledger;
use super::task::{Switches, Task};
use crate::observation::Lane;
use crate::sys::bpf::BpfCounter;
use crate::sys::perf::PerfCounter;

/// The names of the sources, best first, as `--count-with` spells them.
pub const NAMES: [&str; 4] = ["bpf", "perf", "proc", "ledger"];

/// Sleeps of one worker, or of all, since some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sleeps {
    /// What counts as wakeups.
    pub wakeups: u64,
    /// Uninterruptible sleeps that are *not* in `wakeups`, where they can be told.
    pub dsleeps: Option<u64>,
}

impl Sleeps {
    /// D-sleeps since `before`.
    pub fn since(self, before: Sleeps) -> Option<u64> {
        Some(self.dsleeps? - before.dsleeps?)
    }
}

/// A source of wakeup counts for one cell.
pub enum Counter {
    Bpf(BpfCounter),
    Perf(PerfCounter),
    Proc,
    Ledger,
}

impl Counter {
    /// Opens the source `wanted`, or the best there is. Every worker sleeps.
    ///
    /// `helpers` says that workers start threads or children, which are called as they
    /// are until they change it. The second value says why better ones could not be had.
    pub fn open(
        wanted: Option<&str>,
        comm: &str,
        tasks: &[Task],
        helpers: bool,
    ) -> Result<(Counter, Vec<String>), String> {
        let mut refused = Vec::new();
        for name in NAMES {
            if wanted.is_some_and(|wanted| wanted != name) {
                continue;
            }
            match Self::open_one(name, comm, tasks, helpers) {
                Ok(counter) => return Ok((counter, refused)),
                Err(why) if wanted.is_some() => return Err(format!("cannot count with {name}: {why}")),
                Err(why) => refused.push(format!("{name}: {why}")),
            }
        }
        Err(format!("unknown count source {wanted:?}"))
    }

    fn open_one(name: &str, comm: &str, tasks: &[Task], helpers: bool) -> Result<Counter, String> {
        match name {
            "bpf" => {
                let mut counter = BpfCounter::open(tasks.len()).map_err(|e| e.to_string())?;
                for (slot, task) in tasks.iter().enumerate() {
                    counter.watch(slot, task.tid).map_err(|e| e.to_string())?;
                }
                Ok(Counter::Bpf(counter))
            }
            "perf" if helpers => {
                Err("counts by name, and a thread that serves a client begins with its maker's".into())
            }
            "perf" => Ok(Counter::Perf(PerfCounter::open(comm).map_err(|e| e.to_string())?)),
            "proc" => Ok(Counter::Proc),
            _ => Ok(Counter::Ledger),
        }
    }

    /// As results name it.
    pub fn name(&self) -> &'static str {
        match self {
            Counter::Bpf(_) => "bpf",
            Counter::Perf(_) => "perf",
            Counter::Proc => "proc",
            Counter::Ledger => "ledger",
        }
    }

    /// How many workers are awake, if the source can tell without asking each.
    pub fn awake(&self) -> Option<u64> {
        match self {
            Counter::Bpf(counter) => Some(counter.awake()),
            _ => None,
        }
    }

    /// Sleeps of all workers together, for a source that knows only that.
    pub fn total(&self) -> Option<io::Result<Sleeps>> {
        let Counter::Perf(counter) = self else {
            return None;
        };
        let read = || {
            let (sleeps, dsleeps) = (counter.sleeps(), counter.d_sleeps());
            Ok(Sleeps { wakeups: sleeps.map_err(io::Error::other)?, dsleeps: Some(dsleeps.map_err(io::Error::other)?) })
        };
        Some(read())
    }

    /// Sleeps of one worker since the source was opened (bpf) or it was started.
    pub fn of(&self, worker: u32, ledger: &Ledger, task: &Task) -> io::Result<Sleeps> {
        Ok(match self {
            Counter::Bpf(counter) => {
                let facts = counter.facts(worker as usize);
                Sleeps { wakeups: facts.sleeps, dsleeps: Some(facts.d_sleeps) }
            }
            Counter::Perf(_) | Counter::Proc => {
                let Switches { voluntary, .. } = task.switches()?;
                Sleeps { wakeups: voluntary, dsleeps: None }
            }
            Counter::Ledger => Sleeps { wakeups: ledger.slot(worker).returns(), dsleeps: None },
        })
    }

    /// What [`Counter::of`] would read from a status file after one more sleep;
    /// `None` for sources that are cheaper to read.
    pub fn after_one_sleep(&self, before: Sleeps) -> Option<Sleeps> {
        let file = matches!(self, Counter::Perf(_) | Counter::Proc);
        file.then_some(Sleeps { wakeups: before.wakeups + 1, ..before })
    }

    /// How many of `own` sleeps of the lab itself are among the wakeups.
    pub fn holds(&self, own: u64) -> u64 {
        if matches!(self, Counter::Ledger) { 0 } else { own }
    }

    /// How often one worker left its CPU while runnable, where that is known.
    pub fn runnable(&self, worker: usize) -> Option<u64> {
        match self {
            Counter::Bpf(counter) => Some(counter.facts(worker).preempted),
            _ => None,
        }
    }

    /// What one worker did since `fired_ns`, as far as this source knows. Only
    /// the last wakeup and the last run are known; after one event that is all.
    pub fn lane(&self, worker: u32, ledger: &Ledger, fired_ns: u64) -> Lane {
        let after = |t_ns: u64| (t_ns >= fired_ns).then(|| t_ns - fired_ns);
        let slot = ledger.slot(worker);
        let mut lane = Lane {
            worker,
            returned_ns: after(slot.last_return_ns()),
            claimed_ns: after(slot.last_claim_ns()),
            ..Lane::default()
        };
        if let Counter::Bpf(counter) = self {
            let facts = counter.facts(worker as usize);
            lane.woken_ns = after(facts.t_waking_ns);
            if lane.woken_ns.is_some() {
                lane.waker = Some(facts.waker);
                lane.waker_cpu = Some(facts.cpu_waking);
                lane.running_ns = after(facts.t_switch_in_ns);
                lane.cpu = lane.running_ns.map(|_| facts.cpu_in);
                lane.asleep_ns = after(facts.t_switch_out_ns);
            }
        }
        lane
    }

    /// Runs of the counting programs that the kernel skipped, because another
    /// BPF program or map call was active on that CPU. Zero where it is not told.
    pub fn missed(&self) -> u64 {
        match self {
            Counter::Bpf(counter) => counter.missed().unwrap_or(0),
            _ => 0,
        }
    }
}

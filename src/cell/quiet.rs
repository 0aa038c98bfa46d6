//! Quiet, observed: every worker is off the CPU and in its wait.
//!
//! Three things must hold together, none of them is enough alone (the ledger
//! alone is wrong in 16 to 57 % of events, state S alone in up to 0.3 %):
//!
//! 1. by its own word in the ledger every worker is about to wait;
//! 2. whoever has run since the last barrier is seen in state S, and in
//!    /proc/PID/task/TID/syscall in the expected call on the expected descriptor,
//!    which the kernel prints only of a task that is off the CPU;
//! 3. whoever has not run since (its arrival count has not moved) still sleeps
//!    the sleep it was seen in at the last barrier, and state S says that no wake
//!    is on its way: a woken task reads R from the first moment.
//!
//! Those who ran are looked at first, twice if there are several of them, since
//! only they can wake anybody; after that nobody is left to wake the others, and
//! one look at each of these is proof.
//!
//! On PREEMPT_RT the walk over the wait queue can be preempted, and threads of the
//! kernel do it; there these must sleep, too, before the workers are looked at
//! (`softirq.rs`). A worker that waits for a lock (D) is awake by either way.
//!
//! Where BPF counts who is awake, 2 and 3 are one memory read: the number is kept
//! by the kernel at every wake and every switch.
//!
//! Not so where wakes come from timers. On some kernels tracepoints are silent
//! while certain tasks are current (seen on 6.18.44, by ftrace and BPF alike: the
//! idle task of CPU 1 and the threads of pid 1; a sched_switch away from them is
//! never shown). The injector and the workers are none of these, so a wake by one
//! of them shows; but a timer interrupts anybody. A worker that slept in a hold
//! could then be awake unseen, and one barrier in 1,500 ended before its last
//! sleep. Such cells are looked at through /proc; sleeps are counted by BPF still,
//! since a sleeper's switch-out happens with itself as current.

use std::io;

use super::agreement::Switched;
use super::contract::Asleep;
use super::count::{Counter, Sleeps};
use super::ledger::{Ledger, Phase};
use super::softirq::SoftirqThreads;
use super::task::{Look, Runs, Switches, Task};
use crate::observation::Lane;

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
    pub dsleeps: Option<u64>,
    pub returns: u64,
}

/// A worker and what was known of it at the last barrier.
struct Watched {
    task: Task,
    expected: Asleep,
    arrivals: Option<u64>,
    /// At the first barrier, and at the last one.
    first: Sleeps,
    sleeps: Sleeps,
    returns: u64,
    own_sleeps: u64,
    /// Ran since the last barrier, as far as we know by now.
    active: bool,
    /// Was killed: sleeps no more and never will.
    dead: bool,
    /// Was stopped by SIGSTOP: rests in state T, wherever that met it.
    stopped: bool,
}

/// All workers of a cell, and the source that counts their sleeps.
pub struct Watch {
    workers: Vec<Watched>,
    counter: Counter,
    /// Whether timers wake workers, so that the counter may not see all wakes.
    timers: bool,
    /// Threads of the kernel that may be waking workers.
    softirqs: SoftirqThreads,
    /// For a source that knows only the sum.
    total: Sleeps,
}

impl Watch {
    /// Starts watching. Call it with every worker asleep in its wait; `timers`
    /// says whether workers are also woken by timers, `cpu` is the injector's.
    pub fn new(ledger: &Ledger, tasks: Vec<Task>, counter: Counter, timers: bool, cpu: usize) -> io::Result<Watch> {
        let watched = ledger.slots().zip(tasks).zip(0..).map(|((slot, task), worker)| {
            let sleeps = counter.of(worker, ledger, &task)?;
            Ok(Watched {
                expected: slot.asleep(),
                arrivals: arrivals(&task)?,
                first: sleeps,
                sleeps,
                returns: slot.returns(),
                own_sleeps: slot.own_sleeps(),
                active: false,
                dead: false,
                stopped: false,
                task,
            })
        });
        Ok(Watch {
            workers: watched.collect::<io::Result<_>>()?,
            total: counter.total().transpose()?.unwrap_or_default(),
            counter,
            timers,
            softirqs: SoftirqThreads::of(cpu)?,
        })
    }

    /// How many workers are awake, if a source knows that is to be believed.
    fn awake(&self) -> Option<u64> {
        if self.timers { None } else { self.counter.awake() }
    }

    /// Looks at `worker` no more, which was killed in its sleep. Its counts stay
    /// what they were: the wake it died of was no event.
    pub fn bury(&mut self, worker: usize) {
        self.workers[worker].dead = true;
    }

    /// From now on `worker` sleeps elsewhere, by its own word.
    pub fn expect(&mut self, worker: usize, asleep: Asleep) {
        self.workers[worker].expected = asleep;
    }

    /// From now on `worker` is stopped, or is not any more.
    pub fn set_stopped(&mut self, worker: usize, stopped: bool) {
        let watched = &mut self.workers[worker];
        watched.stopped = stopped;
        watched.active = true;
    }

    pub fn is_dead(&self, worker: usize) -> bool {
        self.workers[worker].dead
    }

    /// Watches no more.
    pub fn into_counter(self) -> Counter {
        self.counter
    }

    /// The source of the counts.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }

    /// One try. `Ok(Ok(..))` only if all slept in their waits at one moment.
    pub fn try_quiet(&mut self, ledger: &Ledger) -> io::Result<Result<(), NotYet>> {
        // Before the phases: a worker that returns after its phase was read, and
        // sleeps elsewhere than in its wait, must not pass for one that never left.
        let before = ledger_mark(ledger);
        for (worker, slot) in ledger.slots().enumerate() {
            let watched = &mut self.workers[worker];
            watched.active |= slot.returns() != watched.returns;
            if slot.phase() != Phase::Waiting {
                return Ok(not_yet(worker, "busy by its own word"));
            }
        }
        // First: what they woke before they slept is awake, or done and asleep again.
        if let Some(thread) = self.softirqs.busy()? {
            return Ok(not_yet(0, &format!("{thread} may still be waking workers")));
        }
        match self.awake() {
            Some(0) => {}
            Some(awake) => return Ok(not_yet(0, &format!("{awake} workers are awake"))),
            None => {
                if let Some(not_yet) = self.scan()? {
                    return Ok(Err(not_yet));
                }
            }
        }
        if ledger_mark(ledger) != before {
            return Ok(not_yet(0, "somebody returned during the scan"));
        }
        Ok(Ok(()))
    }

    /// Looks at every worker through /proc; see the top of this file.
    pub fn scan(&mut self) -> io::Result<Option<NotYet>> {
        // Each pass either ends here or finds at least one more active worker.
        loop {
            let looks = if self.workers.iter().filter(|w| w.active).count() > 1 { 2 } else { 1 };
            for _ in 0..looks {
                for (worker, watched) in self.workers.iter().enumerate().filter(|(_, w)| w.active && !w.dead) {
                    if let Some(why) = watched.awake()? {
                        return Ok(Some(NotYet { worker: worker as u32, why }));
                    }
                }
            }
            let mut more = false;
            for (worker, watched) in self.workers.iter_mut().enumerate().filter(|(_, w)| !w.active && !w.dead) {
                if !watched.rests()? {
                    return Ok(Some(NotYet { worker: worker as u32, why: "woken or stopped".into() }));
                }
                if watched.moved()? {
                    watched.active = true;
                    more = true;
                }
            }
            if !more {
                return Ok(None);
            }
        }
    }

    /// Takes stock at a barrier: what happened since the last one.
    pub fn take(&mut self, ledger: &Ledger) -> io::Result<Change> {
        let mut change = Change { dsleeps: Some(0), ..Change::default() };
        let mut own_sleeps = 0;
        // Reading /proc is dear: only who ran can have slept. The others are cheap.
        let costly = self.awake().is_none();
        let looked_at = |w: &Watched| (w.active || !costly) && !w.dead;
        for (worker, watched) in self.workers.iter_mut().enumerate().filter(|(_, w)| looked_at(w)) {
            let slot = ledger.slot(worker as u32);
            let arrivals = if costly { arrivals(&watched.task)? } else { None };
            let once = watched.arrivals.zip(arrivals).is_some_and(|(before, now)| now == before + 1);
            let sleeps = match self.counter.after_one_sleep(watched.sleeps).filter(|_| once) {
                // Asleep before and after, and on a CPU once in between: that is
                // one sleep. The totals of the run are held against the files.
                Some(sleeps) => sleeps,
                None => self.counter.of(worker as u32, ledger, &watched.task)?,
            };
            let own = slot.own_sleeps() - watched.own_sleeps;
            change.wakeups += (sleeps.wakeups - watched.sleeps.wakeups).saturating_sub(self.counter.holds(own));
            change.dsleeps = change.dsleeps.zip(sleeps.since(watched.sleeps)).map(|(sum, more)| sum + more);
            change.returns += slot.returns() - watched.returns;
            own_sleeps += own;
            watched.sleeps = sleeps;
            watched.returns = slot.returns();
            watched.own_sleeps = slot.own_sleeps();
            watched.arrivals = arrivals;
            watched.active = false;
        }
        if let Some(total) = self.counter.total().transpose()? {
            change.wakeups = (total.wakeups - self.total.wakeups).saturating_sub(own_sleeps);
            change.dsleeps = total.since(self.total);
            self.total = total;
        }
        Ok(change)
    }

    /// What was slept so far does not count. Call it at a barrier.
    pub fn rebase(&mut self) {
        self.workers.iter_mut().for_each(|worker| worker.first = worker.sleeps);
    }

    /// What each worker slept from the first barrier to the last.
    pub fn sleeps(&self) -> impl Iterator<Item = Sleeps> {
        self.workers
            .iter()
            .map(|w| Sleeps { wakeups: w.sleeps.wakeups - w.first.wakeups, dsleeps: w.sleeps.since(w.first) })
    }

    /// What each worker did between `fired_ns` and now, at a barrier.
    pub fn lanes(&self, ledger: &Ledger, fired_ns: u64) -> Vec<Lane> {
        (0..self.workers.len() as u32).map(|worker| self.counter.lane(worker, ledger, fired_ns)).collect()
    }

    /// Switches of every worker so far, by /proc read afresh and by the source.
    pub fn switched(&self) -> io::Result<Vec<Switched>> {
        let one = |(worker, watched): (usize, &Watched)| {
            let Switches { voluntary, involuntary } = watched.task.switches()?;
            Ok(Switched { voluntary, involuntary, runnable: self.counter.runnable(worker) })
        };
        self.workers.iter().enumerate().map(one).collect()
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
    /// Whether its state letter is that of a worker nobody has woken.
    fn rests(&self) -> io::Result<bool> {
        if self.stopped { self.task.stopped() } else { self.task.sleeps() }
    }

    /// Why it is not asleep in its wait, if it is not.
    fn awake(&self) -> io::Result<Option<String>> {
        if self.stopped {
            // It runs no more on its way there, so it can wake nobody.
            return Ok((!self.task.stopped()?).then(|| "not stopped".into()));
        }
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

/// `None` where the kernel does not count them.
fn arrivals(task: &Task) -> io::Result<Option<u64>> {
    Ok(task.runs()?.map(|runs| runs.arrivals).filter(|n| *n > 0))
}

fn not_yet(worker: usize, why: &str) -> Result<(), NotYet> {
    Err(NotYet { worker: worker as u32, why: why.into() })
}

/// A number that moves whenever any worker returns.
fn ledger_mark(ledger: &Ledger) -> u64 {
    ledger.slots().map(|slot| slot.returns()).sum()
}

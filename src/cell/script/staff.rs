//! The workers of a script and what is known of them: started once, given their
//! turns one by one, and seen asleep after each step.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::table::{Outcome, Table};
use super::waiter;
use crate::cell::agreement::{Switched, disagreement};
use crate::cell::coordinator::{START_MS, invalid};
use crate::cell::count::{Counter, Sleeps};
use crate::cell::crew::{Crew, Kit, TRIES_PER_CHECK, comm};
use crate::cell::ledger::{Ledger, Phase, Slot};
use crate::cell::plan::Plan;
use crate::cell::quiet::Watch;
use crate::cell::task::{Look, Task};
use crate::experiment::Script;
use crate::observation::{End, Observation, WorkerFacts};
use crate::sys;

/// More returns between two steps than any script has.
const RECORDS: u64 = 64;

/// Workers that run.
pub struct Staff {
    pub(super) ledger: Ledger,
    pub(super) crew: Crew,
    /// Absent beside a storm, which never sleeps.
    watch: Option<Watch>,
    members: Vec<(i32, i32)>,
    /// Turns given to each.
    pub(super) given: Vec<u32>,
    /// The job of each.
    pub(super) jobs: Vec<usize>,
    /// Those whose last turn was something they were told, with what their wait had
    /// come to before.
    pub(super) told: Vec<Option<Option<Outcome>>>,
    /// Sleeps of each that ended between an event and quiet.
    wakeups: Vec<u64>,
    dsleeps: Option<u64>,
    rounds: std::collections::BTreeMap<u64, u64>,
    switched: Vec<Switched>,
    refused: Vec<String>,
    /// Some wait ends by a timer, perhaps between two readings of counts: sums of
    /// these need not agree then.
    timers: bool,
    pub(super) limit: Duration,
    /// Those whose place of sleep has changed and was not read yet.
    pub(super) fresh: Vec<usize>,
}

impl Staff {
    /// Starts every worker of the script; each rests at its gate.
    pub fn start(plan: &Plan, script: &Script, table: &Table, cpus: &[usize]) -> Result<Staff, End> {
        let broken = |e: std::io::Error| invalid(e.to_string());
        let count = script.workers.len();
        let ledger = Ledger::new(count as u32, RECORDS).map_err(broken)?;
        // Workers keep the whole mask.
        unpin(cpus).map_err(|e| invalid(format!("cannot unpin the main thread: {e}")))?;
        let work = |slot: Slot<'_>, index: u32| waiter::run(slot, script, index as usize, table);
        let coordinator = std::process::id();
        let kit = Kit { settings: &plan.settings, ledger: &ledger, work: &work, cpus, coordinator };
        let crew = Crew::start(&kit).map_err(invalid)?;
        // What wakes workers runs where the main thread runs; see `coordinator`.
        let cpu = home(cpus);
        sys::cpus::pin_to(cpu).map_err(|e| invalid(format!("cannot pin the main thread: {e}")))?;
        let tasks = at_rest(&ledger, &crew)?;
        let members = tasks.iter().map(|t| (t.pid as i32, t.tid as i32)).collect();
        let mut staff = Staff {
            crew,
            watch: None,
            members,
            given: vec![0; count],
            jobs: script.workers.clone(),
            told: vec![None; count],
            wakeups: vec![0; count],
            dsleeps: Some(0),
            rounds: Default::default(),
            switched: Vec::new(),
            refused: Vec::new(),
            timers: script.has_timers(),
            limit: Duration::from_millis(plan.settings.limit_ms),
            fresh: Vec::new(),
            ledger,
        };
        if !script.storms() {
            let (counter, refused) =
                Counter::open(plan.count_with.as_deref(), &comm(coordinator), &tasks, false).map_err(invalid)?;
            staff.refused = refused;
            let watch = Watch::new(&staff.ledger, tasks, counter, script.has_timers(), cpu).map_err(broken)?;
            staff.switched = watch.switched().map_err(broken)?;
            staff.watch = Some(watch);
        }
        Ok(staff)
    }

    /// Goes on when everybody sleeps. With `events` the sleeps since the last
    /// time are wakeups; otherwise they belong to the start of a turn.
    pub fn settle(&mut self, events: bool) -> Result<(), End> {
        let Some(watch) = &mut self.watch else {
            return Ok(());
        };
        let broken = |e: std::io::Error| invalid(e.to_string());
        let deadline = Instant::now() + self.limit;
        for tries in 1.. {
            let begun = self.ledger.slots().zip(&self.given).all(|(slot, given)| slot.turns_begun() == *given);
            // A turn that has begun has said where its worker will sleep.
            for worker in if begun { std::mem::take(&mut self.fresh) } else { Vec::new() } {
                watch.expect(worker, self.ledger.slot(worker as u32).asleep());
            }
            let quiet = if begun { watch.try_quiet(&self.ledger).map_err(broken)? } else { Err(not_begun()) };
            let Err(not_yet) = quiet else {
                break;
            };
            if sys::signal::termination_asked() {
                return Err(End::Interrupted);
            }
            if tries % TRIES_PER_CHECK == 0 {
                self.crew.check_alive().map_err(invalid)?;
                if Instant::now() > deadline {
                    let states = watch.describe().join("; ");
                    let reason = format!(
                        "worker {} is not asleep after {} ms: {}; {states}",
                        not_yet.worker,
                        self.limit.as_millis(),
                        not_yet.why
                    );
                    return Err(End::Invalid { reason, again: true });
                }
            }
            sys::spin::yield_cpu();
        }
        let before: Vec<Sleeps> = watch.sleeps().collect();
        let change = watch.take(&self.ledger).map_err(broken)?;
        if events {
            for ((sum, now), before) in self.wakeups.iter_mut().zip(watch.sleeps()).zip(before) {
                *sum += now.wakeups - before.wakeups;
            }
            *self.rounds.entry(change.wakeups).or_default() += 1;
            self.dsleeps = self.dsleeps.zip(change.dsleeps).map(|(sum, more)| sum + more);
        }
        Ok(())
    }

    /// What the last wait of `worker` came to; `None` while it lasts.
    pub fn result(&self, worker: usize) -> Option<Outcome> {
        self.told[worker].unwrap_or_else(|| self.last_turn(worker))
    }

    pub(super) fn last_turn(&self, worker: usize) -> Option<Outcome> {
        let (ended, outcome) = self.ledger.slot(worker as u32).turns_ended();
        let result = if outcome < 0 { Err(Errno::from_raw(-outcome as i32)) } else { Ok(outcome as u64) };
        (ended > 0 && ended == self.given[worker]).then_some(result)
    }

    /// How often it was woken between one quiet moment and the next, which a storm has not.
    pub fn wakeups(&self, worker: usize) -> Result<u64, End> {
        match &self.watch {
            Some(_) => Ok(self.wakeups[worker]),
            None => Err(invalid("beside a storm nobody is ever seen asleep, so wakeups are not counted".into())),
        }
    }

    /// How often its wait has come back.
    pub fn returns(&self, worker: usize) -> u64 {
        self.ledger.slot(worker as u32).returns()
    }

    /// When the last turn of `worker` began.
    pub fn since_ns(&self, worker: usize) -> u64 {
        self.ledger.slot(worker as u32).since_ns()
    }

    pub fn signal(&self, worker: usize) -> Result<(), Errno> {
        let (pid, tid) = self.members[worker];
        sys::interrupt::send(pid, tid)
    }

    /// Ends the process of `worker`, which sleeps.
    pub fn kill(&mut self, worker: usize) -> Result<(), Errno> {
        self.crew.kill(worker as u32)?;
        if let Some(watch) = &mut self.watch {
            watch.bury(worker);
        }
        Ok(())
    }

    /// Stops the process of `worker`, which sleeps.
    pub fn stop(&mut self, worker: usize) -> Result<(), Errno> {
        self.crew.stop(worker as u32)?;
        if let Some(watch) = &mut self.watch {
            watch.set_stopped(worker, true);
        }
        Ok(())
    }

    /// Lets it run again.
    pub fn resume(&mut self, worker: usize) -> Result<(), Errno> {
        if let Some(watch) = &mut self.watch {
            watch.set_stopped(worker, false);
        }
        self.crew.resume(worker as u32)
    }

    /// Adds what the workers did; the counter is left in `used`.
    pub fn report(self, found: &mut Observation, used: &mut Option<Counter>) -> std::io::Result<()> {
        found.sources_refused = self.refused;
        for (slot, wakeups) in self.ledger.slots().zip(self.wakeups) {
            found.workers.push(WorkerFacts {
                wakeups,
                returns: slot.returns(),
                claims: slot.claims(),
                empty_returns: slot.empty_returns(),
                errors: slot.errors().collect(),
                ..WorkerFacts::default()
            });
        }
        let Some(watch) = self.watch else {
            return Ok(());
        };
        found.count_source = watch.counter().name().into();
        found.wakeups_per_round = self.rounds;
        found.dsleeps = self.dsleeps;
        if self.timers {
            found.wakeups_per_round = [(found.total(|w| w.wakeups), 1)].into();
        } else if let (End::Complete, "bpf" | "proc", Ok(now)) = (&found.end, watch.counter().name(), watch.switched())
        {
            // The last switch of a killed worker, to its death, is no sleep.
            let alive = |worker: &usize| !watch.is_dead(*worker);
            let both = now.iter().zip(&self.switched).enumerate().filter(|(worker, _)| alive(worker));
            let switched: Vec<Switched> = both.map(|(_, (now, before))| now.since(before)).collect();
            let mut whole = Observation { workers: Vec::new(), ..found.clone() };
            let sleeps = watch.sleeps().enumerate().filter(|(worker, _)| alive(worker));
            whole.workers.extend(sleeps.map(|(_, sleeps)| WorkerFacts {
                wakeups: sleeps.wakeups,
                dsleeps: sleeps.dsleeps,
                ..WorkerFacts::default()
            }));
            if let Some(reason) = disagreement(&whole, &switched) {
                found.end = End::Invalid { reason, again: true };
            }
        }
        *used = Some(watch.into_counter());
        Ok(())
    }
}

/// The CPU of the main thread.
pub fn home(cpus: &[usize]) -> usize {
    *cpus.last().expect("a process has a CPU")
}

fn unpin(cpus: &[usize]) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    cpus.iter().try_for_each(|cpu| set.set(*cpu))?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

fn not_begun() -> crate::cell::quiet::NotYet {
    crate::cell::quiet::NotYet { worker: 0, why: "a turn has not begun".into() }
}

/// Waits until every worker has been seen asleep at its gate.
fn at_rest(ledger: &Ledger, crew: &Crew) -> Result<Vec<Task>, End> {
    let broken = |e: std::io::Error| invalid(e.to_string());
    let deadline = Instant::now() + Duration::from_millis(START_MS);
    let mut tasks = Vec::new();
    for slot in ledger.slots() {
        let task = loop {
            if let Some((pid, tid)) = slot.task() {
                break Task::new(pid, tid, true).map_err(broken)?;
            }
            patience(crew, deadline)?;
        };
        while slot.phase() != Phase::Waiting || task.look(&slot.asleep()).map_err(broken)? != Look::Asleep {
            patience(crew, deadline)?;
        }
        tasks.push(task);
    }
    Ok(tasks)
}

fn patience(crew: &Crew, deadline: Instant) -> Result<(), End> {
    crew.check_alive().map_err(invalid)?;
    if Instant::now() > deadline {
        return Err(invalid(format!("the workers did not start within {START_MS} ms")));
    }
    sys::spin::yield_cpu();
    Ok(())
}

//! Runs a script: one statement after the other in the main thread, workers in
//! a crew. Between two statements every worker is asleep, as observed. Judges
//! nothing: it notes what each step came to.

mod clients;
mod staff;
mod table;
mod waiter;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use self::staff::Staff;
use self::table::{Outcome, Table};
use super::coordinator::{invalid, raise_descriptor_limit};
use super::count::Counter;
use super::plan::Plan;
use super::worker::now_ns;
use crate::experiment::Script;
use crate::experiment::script::{Action, Job, Step};
use crate::observation::{End, Observation, StepSeen, Times};
use crate::sys;

/// Around the moment at which a wait times out, in microseconds: the timer has
/// 50 us of slack, and the sleeper a way to the CPU.
const SWEEP_US: std::ops::Range<i64> = -20..100;

/// Of the network that whoever opens it is in.
const MIGRATE: &str = "/proc/sys/net/ipv4/tcp_migrate_req";

/// Runs the script of the plan. Every worker is gone when it returns.
pub fn observe(plan: &Plan, used: &mut Option<Counter>) -> Result<Observation, End> {
    raise_descriptor_limit();
    let script = plan.settings.script().expect("checked before");
    let mut run = Run {
        plan,
        table: Table::new(&script).map_err(|e| invalid(format!("cannot make the lock: {e}")))?,
        script: &script,
        staff: None,
        holder: None,
        lasted: Duration::ZERO,
        seen: BTreeMap::new(),
    };
    let started = Instant::now();
    let end = run.all().err().unwrap_or(End::Complete);
    let mut found = Observation::empty(end);
    found.elapsed_ns = started.elapsed().as_nanos() as u64;
    let seen = std::mem::take(&mut run.seen);
    found.steps = seen.into_iter().map(|(step, outcomes)| StepSeen { step, outcomes }).collect();
    if let Some(staff) = run.staff.take() {
        staff.report(&mut found, used).map_err(|e| invalid(e.to_string()))?;
    }
    Ok(found)
}

struct Run<'a> {
    plan: &'a Plan,
    script: &'a Script,
    table: Table,
    staff: Option<Staff>,
    holder: Option<Holder>,
    /// How long the last wait of the main thread took.
    lasted: Duration,
    seen: BTreeMap<usize, BTreeMap<String, Times>>,
}

impl Run<'_> {
    fn all(&mut self) -> Result<(), End> {
        let steps = &self.script.steps;
        let mut at = 0;
        while at < steps.len() {
            let Action::Repeat { rounds, .. } = steps[at].action else {
                self.step(at, 1)?;
                at += 1;
                continue;
            };
            let end = at + steps[at..].iter().position(|step| step.action == Action::End).expect("blocks have an end");
            for round in 1..=rounds {
                for inner in at + 1..end {
                    self.step(inner, round)?;
                }
            }
            at = end + 1;
        }
        Ok(())
    }

    /// One statement, in round `round` of its block.
    fn step(&mut self, at: usize, round: u64) -> Result<(), End> {
        if sys::signal::termination_asked() {
            return Err(End::Interrupted);
        }
        let script = self.script;
        let step = &script.steps[at];
        let outcome = self.act(step, round)?;
        // Nothing that the main thread does sleeps on behalf of a worker.
        if let (Some(staff), false) = (&mut self.staff, matches!(step.action, Action::Start(_))) {
            staff.settle(true)?;
        }
        match (&step.wanted, outcome) {
            (None, Err(errno)) => {
                Err(End::Refused { worker: None, call: step.text.clone(), errno: format!("{errno:?}") })
            }
            (None, Ok(_)) => Ok(()),
            (Some(_), outcome) => {
                let text = outcome.unwrap_or_else(|errno| format!("{errno:?}"));
                let times = self.seen.entry(at).or_default().entry(text).or_insert(Times { rounds: 0, first: round });
                times.rounds += 1;
                Ok(())
            }
        }
    }

    /// Does it; what it came to, in words.
    fn act(&mut self, step: &Step, round: u64) -> Result<Result<String, Errno>, End> {
        let said = |outcome: Outcome| outcome.map(|count| count.to_string());
        let done = |result: Result<(), Errno>| result.map(|()| String::new());
        Ok(match &step.action {
            Action::Open(kind, names) => done(self.table.open(*kind, names)),
            Action::Dup { from, to } => done(self.table.dup(*from, *to)),
            Action::Close(name) => done(self.table.close(*name)),
            Action::Hold => {
                self.holder = Some(Holder::start().map_err(|e| invalid(format!("cannot fork a holder: {e}")))?);
                Ok(String::new())
            }
            Action::Release => {
                self.holder = None;
                Ok(String::new())
            }
            Action::Handler { restart } => {
                sys::interrupt::handle(*restart).map_err(|e| invalid(format!("cannot handle SIGUSR1: {e}")))?;
                Ok(String::new())
            }
            Action::Control(control) => said(self.table.control(control)),
            Action::Write(names) => said(names.iter().try_fold(0, |sum, name| Ok(sum + self.table.write(*name)?))),
            Action::WriteAt(name, worker) => {
                self.until_timeout(*worker, round);
                said(self.table.write(*name))
            }
            Action::Read(name) => said(self.table.read(*name)),
            Action::Connect(name, count) => {
                said((0..*count).try_for_each(|_| self.table.connect(*name)).map(|()| *count))
            }
            Action::Network => {
                network().map_err(invalid)?;
                Ok(String::new())
            }
            Action::Migrate(on) => {
                fs::write(MIGRATE, if *on { "1" } else { "0" }).map_err(|e| invalid(format!("{MIGRATE}: {e}")))?;
                Ok(String::new())
            }
            Action::Reuseport(name) => said(self.table.reuseport(*name)),
            Action::Clients { accepted, reset } => said(
                self.table
                    .settled()
                    .map(|seen| (if *accepted { seen.accepted } else { 0 }) + (if *reset { seen.reset } else { 0 })),
            ),
            Action::Wait(waiting) => {
                let started = Instant::now();
                let outcome = self.table.wait(waiting, &mut 0);
                self.lasted = started.elapsed();
                said(outcome)
            }
            Action::Start(workers) => {
                self.staff()?.give_turns(workers)?;
                Ok(String::new())
            }
            Action::Kill(worker) => done(self.staff()?.kill(*worker)),
            Action::Signal(worker) => done(self.staff()?.signal(*worker)),
            Action::Came => Ok(self.came()?),
            Action::Result(worker) => match self.staff()?.result(*worker) {
                Some(outcome) => said(outcome),
                None => Ok("asleep".into()),
            },
            Action::Lasted => Ok(self.lasted.as_millis().to_string()),
            Action::Repeat { .. } | Action::End => Ok(String::new()),
        })
    }

    /// The workers, which are started when the first one is asked for.
    fn staff(&mut self) -> Result<&mut Staff, End> {
        if self.staff.is_none() {
            self.staff = Some(Staff::start(self.plan, self.script, &self.table)?);
        }
        Ok(self.staff.as_mut().expect("just made"))
    }

    /// Who came back with an event since it was started.
    fn came(&mut self) -> Result<String, End> {
        let names = &self.script.worker_names;
        let staff = self.staff()?;
        let came = |worker: &usize| matches!(staff.result(*worker), Some(Ok(1..)));
        let came: Vec<&str> = (0..names.len()).filter(came).map(|worker| names[worker].as_str()).collect();
        Ok(if came.is_empty() { "none".into() } else { came.join("+") })
    }

    /// Spins until about the moment at which the wait of `worker` times out; a
    /// little earlier or later in each round. A point in time is the condition.
    fn until_timeout(&self, worker: usize, round: u64) {
        let (Some(staff), Job::Wait(waiting, _)) = (&self.staff, &self.script.workers[worker]) else {
            return;
        };
        let width = (SWEEP_US.end - SWEEP_US.start) as u64;
        // A step that shares no factor with the width visits every offset.
        let offset_us = SWEEP_US.start + (round * 7 % width) as i64;
        let end_us = waiting.within_us.unwrap_or(0) as i64 + offset_us;
        let end = staff.since_ns(worker).saturating_add_signed(end_us * 1000);
        while now_ns() < end {
            std::hint::spin_loop();
        }
    }
}

/// Moves the cell into a network of its own, which ends with it.
fn network() -> Result<(), String> {
    let said = |errno: Errno| format!("unshare: {errno:?}");
    match unshare(CloneFlags::CLONE_NEWNET) {
        // The owner of a new user namespace may make all others in it.
        Err(Errno::EPERM) => unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(said)?,
        other => other.map_err(said)?,
    }
    sys::boot::link_up("lo").map_err(|e| format!("cannot bring lo up: {e}"))
}

/// A child that keeps open what was open when it was forked.
struct Holder(Pid);

impl Holder {
    fn start() -> std::io::Result<Holder> {
        let parent = nix::unistd::getpid();
        let pid = sys::fork::fork_running(|| {
            if sys::fork::die_with(parent).is_err() || sys::signal::default_termination().is_err() {
                return 1;
            }
            loop {
                nix::unistd::pause();
            }
        })?;
        Ok(Holder(pid))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Not reaped yet, so the number is still ours.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

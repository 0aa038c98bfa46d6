//! Runs a script: one statement after the other in the main thread, workers in
//! a crew. Between two statements every worker is asleep, as observed. Judges
//! nothing: it notes what each step came to.

mod act;
mod clients;
mod group;
mod holder;
mod latch;
pub(super) mod network;
mod staff;
mod table;
mod turns;
mod waiter;
mod waits;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use self::clients::Clients;
use self::staff::Staff;
use self::table::Table;
use self::waits::Got;
use super::coordinator::invalid;
use super::count::Counter;
use super::plan::Plan;
use crate::experiment::Script;
use crate::experiment::script::{Action, Name};
use crate::observation::{End, Observation, StepSeen, Times};
use crate::sys;

/// Runs the script of the plan. Every worker is gone when it returns.
pub fn observe(plan: &Plan, used: &mut Option<Counter>) -> Result<Observation, End> {
    sys::descriptors::raise_limit();
    let script = plan.settings.script().expect("checked before");
    let cpus = sys::cpus::allowed().map_err(|e| invalid(e.to_string()))?;
    // What the main thread sends then arrives on that CPU; see `network::let_arrive`.
    sys::cpus::pin_to(staff::home(&cpus)).map_err(|e| invalid(format!("cannot pin the main thread: {e}")))?;
    let mut run = Run {
        plan,
        cpus,
        clients: Clients::default(),
        received: BTreeMap::new(),
        more: Vec::new(),
        got: Got::new(),
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
    /// Those that the cell may use.
    cpus: Vec<usize>,
    clients: Clients,
    /// Datagrams that were read for each name and not asked for yet.
    received: BTreeMap<Name, u64>,
    /// What has no name.
    more: Vec<OwnedFd>,
    /// For the waits of the main thread.
    got: Got,
    table: Table,
    staff: Option<Staff>,
    holder: Option<sys::fork::Owned>,
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
        let outcome = self.act(at, step, round)?;
        // Nothing that the main thread does sleeps on behalf of a worker. Whoever was
        // told to do something, or had to stop, was woken for that.
        if let Some(staff) = &mut self.staff
            && !act::settles(&step.action)
        {
            staff.settle(!matches!(step.action, Action::Stop(_) | Action::Continue(_)))?;
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

    /// The workers, which are started when the first one is asked for.
    fn staff(&mut self) -> Result<&mut Staff, End> {
        if self.staff.is_none() {
            self.staff = Some(Staff::start(self.plan, self.script, &self.table, &self.cpus)?);
        }
        Ok(self.staff.as_mut().expect("just made"))
    }
}

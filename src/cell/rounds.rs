//! Fire, wait until everybody sleeps, take stock; again.
//!
//! Judges nothing: it collects what happened, and stops when it cannot know.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::contract::{Injector, SetupError};
use super::crew::{Crew, CrewError};
use super::ledger::{Ledger, Phase, Record};
use super::plan::Plan;
use super::quiet::Watch;
use super::worker::now_ns;
use crate::experiment::settings::Stranded;
use crate::load;
use crate::observation::{End, Latency, Observation, Round, Timeline};
use crate::sys;

/// Winners beyond this many are not listed; the per-worker claims still hold all.
const WINNERS: usize = 20_000;
/// Look for dead workers once in so many failed tries.
const TRIES_PER_CHECK: u32 = 64;
/// How long workers may be on their way before the object is asked whether an
/// event is; the next question comes twice as late.
const PATIENCE: Duration = Duration::from_millis(1);

/// What the loop needs.
pub struct Stage<'a> {
    pub plan: &'a Plan,
    pub ledger: &'a Ledger,
    pub crew: &'a Crew,
    pub watch: &'a mut Watch,
    pub injector: &'a mut dyn Injector,
}

/// Collects while the rounds go by.
struct Tally {
    wakeups_per_round: BTreeMap<u64, u64>,
    returns_per_round: BTreeMap<u64, u64>,
    rounds: Vec<Round>,
    winners: Vec<u32>,
    latency: Histogram<u64>,
    /// The same for the middle third of the events and for the last.
    late: [Histogram<u64>; 2],
    /// Records already read, per worker.
    seen: Vec<u64>,
    /// When each event that nobody has claimed yet was fired, with its tag.
    open: Vec<(u32, u64)>,
    quiet_ns: u64,
    dsleeps: Option<u64>,
    timeline: Option<Timeline>,
}

impl Stage<'_> {
    /// Runs all rounds and describes them; worker facts are filled in later.
    pub fn run(&mut self) -> Observation {
        let started = Instant::now();
        let load = load::find(&self.plan.settings.load).expect("checked in the plan");
        let batch = load.batch(&self.plan.settings);
        let mut tally = Tally::new(self.ledger.workers());
        let mut fired = 0;
        let mut end = End::Complete;
        while fired < self.plan.settings.events {
            if sys::signal::termination_asked() {
                end = End::Interrupted;
                break;
            }
            if let Err(stop) = self.round(batch, &mut fired, &mut tally) {
                end = stop;
                break;
            }
        }
        // The barriers look for the dead only now and then.
        if end == End::Complete
            && let Err(stop) = self.check_crew()
        {
            end = stop;
        }
        let mut found = Observation::empty(end);
        found.fired = fired;
        found.batch = batch;
        found.elapsed_ns = started.elapsed().as_nanos() as u64;
        tally.into_observation(&mut found);
        found
    }

    fn round(&mut self, batch: u64, fired: &mut u64, tally: &mut Tally) -> Result<(), End> {
        for _ in 0..batch {
            let at = now_ns();
            let tag = self.injector.fire().map_err(|e| invalid(format!("event {fired}: {e}")))?;
            *fired += 1;
            tally.open.push((tag, at));
        }
        let fire_returned = now_ns();
        let claims = self.barrier(*fired, tally)?;
        let quiet = now_ns();
        let change = self.watch.take(self.ledger).map_err(|e| invalid(e.to_string()))?;
        if let (Some(event), Some((_, first))) = (self.plan.timeline, tally.open.first())
            && (*fired - batch..*fired).contains(&event)
        {
            tally.timeline = Some(Timeline {
                event,
                fire_returned_ns: fire_returned - first,
                quiet_ns: quiet - first,
                lanes: self.watch.lanes(self.ledger, *first),
            });
        }
        tally.dsleeps = tally.dsleeps.zip(change.dsleeps).map(|(sum, more)| sum + more);
        let before = tally.winners_total();
        let third = ((*fired - batch) * 3 / self.plan.settings.events) as usize;
        tally.read(self.ledger, third)?;
        self.injector.retire(claims < *fired);
        tally.round(change.wakeups, change.returns, tally.winners_total() - before, self.plan.trace);
        Ok(())
    }

    /// Waits until all is claimed and everybody sleeps; or, where events may be
    /// left, until everybody sleeps on what is left. Returns the claims so far.
    fn barrier(&mut self, fired: u64, tally: &mut Tally) -> Result<u64, End> {
        let start = Instant::now();
        let limit = Duration::from_millis(self.plan.settings.limit_ms);
        let deadline = start + limit;
        // Whether an event has arrived costs a walk through all sockets of the
        // machine. So it is asked only where it decides: is it left, or lost?
        let patience = if self.plan.settings.stranded == Stranded::Count { PATIENCE } else { limit / 2 };
        let mut ask_at = start + patience;
        let mut arrived = false;
        let mut claimed_at = None;
        let mut tries = 0u32;
        let mut why;
        loop {
            let claims = self.ledger.claims();
            let missing = fired.saturating_sub(claims);
            let mut quiet = false;
            let now = Instant::now();
            arrived |= missing == 0;
            if !arrived && now >= ask_at {
                arrived = !self.injector.under_way(missing).map_err(|e| invalid(e.to_string()))?;
                ask_at = now + (now - start);
            }
            if arrived {
                let since = *claimed_at.get_or_insert_with(Instant::now);
                match self.watch.try_quiet(self.ledger).map_err(|e| self.died(e.to_string()))? {
                    Ok(()) => {
                        let still = self.ledger.claims();
                        if still == fired || self.plan.settings.stranded == Stranded::Count {
                            tally.quiet_ns += since.elapsed().as_nanos() as u64;
                            return Ok(still);
                        }
                        quiet = true;
                        why = format!("{} of {fired} events unclaimed", fired - still);
                    }
                    Err(not_yet) => why = format!("worker {} is not quiet: {}", not_yet.worker, not_yet.why),
                }
            } else {
                why = format!("{missing} of {fired} events have not reached a worker");
            }
            if now > deadline {
                // A verdict rests on it, and to some sources a stopped or dead worker
                // looks asleep; to /proc it does not.
                let doubt = match quiet {
                    true => self.watch.scan().map_err(|e| self.died(e.to_string()))?,
                    false => None,
                };
                match doubt {
                    Some(not_yet) => why = format!("worker {} is not quiet: {}", not_yet.worker, not_yet.why),
                    None if quiet => return Err(End::Lost { event: claims, states: self.watch.describe() }),
                    None => {}
                }
                let reason = format!("{why} after {} ms{}", self.plan.settings.limit_ms, self.who_is_busy());
                return Err(End::Invalid { reason, again: true });
            }
            tries += 1;
            if tries.is_multiple_of(TRIES_PER_CHECK) {
                self.check_crew()?;
                if sys::signal::termination_asked() {
                    return Err(End::Interrupted);
                }
            }
            sys::spin::yield_cpu();
        }
    }

    /// The first worker that is not in its wait by its own word, for a message.
    fn who_is_busy(&self) -> String {
        let busy = self.ledger.slots().position(|slot| slot.phase() != Phase::Waiting);
        let line = busy.and_then(|worker| self.watch.describe().into_iter().nth(worker));
        line.map_or("; all workers say they wait".into(), |line| format!("; {line}"))
    }

    /// A file of a worker could not be read: say so, or better, that it died.
    fn died(&self, message: String) -> End {
        self.check_crew().map_or_else(|stop| stop, |()| invalid(message))
    }

    /// Stops when a worker died or gave up; one that gave up says why in the
    /// ledger before it ends.
    fn check_crew(&self) -> Result<(), End> {
        let alive = self.crew.check_alive();
        if let Some((worker, slot)) = self.ledger.slots().enumerate().find(|(_, slot)| slot.phase() == Phase::Gone) {
            let SetupError { call, errno } = slot.failure();
            return Err(End::Refused {
                worker: Some(worker as u32),
                call: call.to_string(),
                errno: format!("{errno:?}"),
            });
        }
        alive.map_err(stopped)
    }
}

fn invalid(reason: String) -> End {
    End::Invalid { reason, again: false }
}

fn stopped(error: CrewError) -> End {
    match error {
        CrewError::Broken(reason) => invalid(reason),
        CrewError::Refused { worker, error } => invalid(format!("worker {worker}: {error}")),
    }
}

/// From 1 ns to 1000 s with three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1_000_000_000_000, 3).expect("constant bounds")
}

impl Tally {
    fn new(workers: u32) -> Tally {
        Tally {
            wakeups_per_round: BTreeMap::new(),
            returns_per_round: BTreeMap::new(),
            rounds: Vec::new(),
            winners: Vec::new(),
            latency: histogram(),
            late: [histogram(), histogram()],
            seen: vec![0; workers as usize],
            open: Vec::new(),
            quiet_ns: 0,
            dsleeps: Some(0),
            timeline: None,
        }
    }

    fn winners_total(&self) -> u64 {
        self.seen.iter().sum()
    }

    /// Reads the new records of all workers, in the order of their claims; they
    /// belong to that third of the events, counted from 0.
    fn read(&mut self, ledger: &Ledger, third: usize) -> Result<(), End> {
        let mut fresh: Vec<(Record, u32)> = Vec::new();
        for (worker, slot) in ledger.slots().enumerate() {
            let records = slot
                .records(&mut self.seen[worker])
                .map_err(|lost| invalid(format!("worker {worker} overwrote {lost} records; the ring is too small")))?;
            fresh.extend(records.into_iter().map(|record| (record, worker as u32)));
        }
        fresh.sort_by_key(|(record, _)| record.t_claim_ns);
        for (record, worker) in fresh {
            // Objects that cannot tag hand out in the order of arrival.
            let at = self.open.iter().position(|(tag, _)| record.tag == 0 || *tag == record.tag);
            if let Some((_, fired_at)) = at.map(|at| self.open.remove(at)) {
                let latency = record.t_claim_ns.saturating_sub(fired_at).max(1);
                self.latency.saturating_record(latency);
                if let Some(late) = third.checked_sub(1) {
                    self.late[late].saturating_record(latency);
                }
            }
            if self.winners.len() < WINNERS {
                self.winners.push(worker);
            }
        }
        Ok(())
    }

    fn round(&mut self, wakeups: u64, returns: u64, claims: u64, trace: bool) {
        *self.wakeups_per_round.entry(wakeups).or_default() += 1;
        *self.returns_per_round.entry(returns).or_default() += 1;
        if trace {
            self.rounds.push(Round { wakeups, returns, claims });
        }
    }

    fn into_observation(self, found: &mut Observation) {
        let at = |quantile| self.latency.value_at_quantile(quantile);
        found.claim_latency = Latency {
            samples: self.latency.len(),
            min: self.latency.min(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: self.latency.max(),
        };
        found.late_p99 = self.late.map(|third| third.value_at_quantile(0.99));
        found.wakeups_per_round = self.wakeups_per_round;
        found.returns_per_round = self.returns_per_round;
        found.rounds = self.rounds;
        found.winners = self.winners;
        found.quiet_ns = self.quiet_ns;
        found.dsleeps = self.dsleeps;
        found.timeline = self.timeline;
    }
}

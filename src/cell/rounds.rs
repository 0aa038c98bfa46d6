//! Fire, wait until everybody sleeps, take stock; again.
//!
//! Judges nothing: it collects what happened, and stops when it cannot know.

use std::time::{Duration, Instant};

use super::contract::{Injector, SetupError};
use super::coordinator::invalid;
use super::crew::{Crew, TRIES_PER_CHECK};
use super::ledger::{Ledger, Phase};
use super::plan::Plan;
use super::quiet::{Change, Watch};
use super::spectator::{self, Before};
use super::tally::Tally;
use super::traffic::Traffic;
use super::worker::now_ns;
use crate::client::latency::note;
use crate::experiment::settings::Stranded;
use crate::load::{self, Pace};
use crate::observation::{End, Observation, Timeline, Traffic as Seen};
use crate::sys;

/// How long workers may be on their way before the object is asked whether an
/// event is; the next question comes twice as late.
const PATIENCE: Duration = Duration::from_millis(1);

/// How long what is open may take to end when somebody asked us to stop; `herd` waits
/// longer before it kills.
const GRACE_NS: u64 = 500_000_000;

/// What the loop needs, and what it collects.
pub struct Stage<'a> {
    pub plan: &'a Plan,
    pub ledger: &'a Ledger,
    pub crew: &'a Crew,
    pub watch: &'a mut Watch,
    pub injector: &'a mut dyn Injector,
    /// Of a load that waits for no barrier.
    pace: Option<Pace>,
    tally: Tally,
    /// Events fired, and the claims there were before the first of them.
    fired: u64,
    base: u64,
    /// When the last event was fired.
    fired_at: u64,
    /// Of these events, those whose clients came to nothing; nobody need claim them.
    lost: u64,
    warnings: Vec<String>,
    /// Somebody asked us to stop: what there is is brought to its end, within the grace.
    cut: bool,
    /// Somebody watches, and knows who is there.
    watched: bool,
}

impl<'a> Stage<'a> {
    pub fn new(
        plan: &'a Plan,
        ledger: &'a Ledger,
        crew: &'a Crew,
        watch: &'a mut Watch,
        injector: &'a mut dyn Injector,
    ) -> Stage<'a> {
        Stage {
            plan,
            ledger,
            crew,
            watch,
            injector,
            pace: load::pace(&plan.settings),
            tally: Tally::new(ledger.workers()),
            fired: 0,
            base: 0,
            fired_at: 0,
            lost: 0,
            warnings: Vec::new(),
            cut: false,
            watched: false,
        }
    }

    /// What comes before anything counts: connections that stay, then events to
    /// warm up. Returns how many connections each worker has.
    pub fn prepare(&mut self) -> Result<Vec<u64>, End> {
        let wanted = &self.plan.settings.traffic;
        for _ in 0..wanted.connections + wanted.idle_connections {
            self.event(true)?;
            self.settle(1)?;
        }
        let held = self.ledger.slots().map(|slot| slot.claims()).collect();
        self.forget();
        if wanted.warmup > 0 {
            self.fire_all(wanted.warmup, 0)?;
            if self.cut {
                return Err(End::Interrupted);
            }
            self.forget();
        }
        Ok(held)
    }

    /// Says who is there, if somebody watches; from now on each round waits for that one.
    pub fn introduce(&mut self) -> Result<(), End> {
        self.watched = self.plan.step;
        if self.watched {
            spectator::ready(self.watch)?;
        }
        Ok(())
    }

    /// What was so far does not count.
    fn forget(&mut self) {
        self.tally.restart();
        self.warnings.clear();
        (self.fired, self.lost, self.base) = (0, 0, self.ledger.claims());
    }

    /// Runs all rounds and describes them; worker facts are filled in later.
    pub fn run(&mut self) -> Observation {
        let started = Instant::now();
        let settings = &self.plan.settings;
        let done = self.fire_all(settings.events, settings.traffic.duration_ms);
        // The barriers look for the dead only now and then.
        let end = match done.and_then(|traffic| self.check_crew().map(|()| traffic)) {
            Ok(traffic) => (if self.cut { End::Interrupted } else { End::Complete }, traffic),
            Err(stop) => (stop, None),
        };
        let mut found = Observation::empty(end.0);
        found.traffic = end.1;
        found.fired = self.fired;
        let load = load::find(&settings.load).expect("checked in the plan");
        found.batch = if found.traffic.is_some() { self.fired.max(1) } else { load.batch(settings) };
        found.elapsed_ns = started.elapsed().as_nanos() as u64;
        found.warnings.append(&mut self.warnings);
        std::mem::replace(&mut self.tally, Tally::new(0)).into_observation(&mut found);
        found
    }

    /// Fires so many events, or for so long where that is not 0.
    fn fire_all(&mut self, events: u64, duration_ms: u64) -> Result<Option<Seen>, End> {
        if let Some(pace) = self.pace {
            let mut seen = self.drive(pace, events, duration_ms)?;
            let drained = now_ns();
            self.settle(self.fired)?;
            seen.busy_ns += now_ns() - drained;
            return Ok(Some(seen));
        }
        let batch = load::find(&self.plan.settings.load).expect("checked in the plan").batch(&self.plan.settings);
        while self.fired < events {
            if sys::signal::termination_asked() {
                return Err(End::Interrupted);
            }
            if self.watched && !spectator::wanted()? {
                break;
            }
            self.round(batch)?;
        }
        Ok(None)
    }

    /// Clients by the clock or one after the other, until all have come to an end.
    fn drive(&mut self, pace: Pace, events: u64, duration_ms: u64) -> Result<Seen, End> {
        let mut traffic = Traffic::new(&self.plan.settings, pace, events, duration_ms).map_err(invalid_io)?;
        traffic.hear(self.injector.ends()).map_err(invalid_io)?;
        if pace == Pace::Attached {
            let settings = &self.plan.settings;
            eprintln!("herd: workers wait on port {} for {} ms", settings.port, settings.traffic.duration_ms);
        }
        while traffic.turn(self.injector, &mut self.tally)? {
            if traffic.should_read() {
                let third = traffic.pacer().fired() * 3 / events.max(1);
                let claimed = self.tally.read(self.ledger, third.min(2) as usize)?;
                traffic.claimed(&claimed);
            }
            if traffic.should_check() {
                self.check_crew()?;
                if !self.cut && sys::signal::termination_asked() {
                    self.cut = true;
                    traffic.cut_short(GRACE_NS);
                }
            }
        }
        self.fired += if pace == Pace::Attached { self.claims() } else { traffic.pacer().fired() };
        // Who stalls on purpose cannot keep up, and that is the point.
        let settings = &self.plan.settings;
        if !settings.some_worker(|worker| worker.stall_us > 0) {
            self.warnings.extend(traffic.pacer().saturated());
        }
        self.warnings.extend(traffic.starved());
        let seen = traffic.into_seen();
        self.lost = seen.clients.lost();
        Ok(seen)
    }

    /// Claims of the events that count.
    fn claims(&self) -> u64 {
        self.ledger.claims() - self.base
    }

    /// Makes one event, or one connection that stays.
    fn event(&mut self, stays: bool) -> Result<(), End> {
        let at = now_ns();
        let made = if stays { self.injector.attach() } else { self.injector.fire() };
        let tag = made.map_err(|e| invalid(format!("event {}: {e}", self.fired)))?;
        self.fired += 1;
        self.fired_at = at;
        self.tally.open.add(tag, at);
        Ok(())
    }

    fn round(&mut self, batch: u64) -> Result<(), End> {
        let before = self.watched.then(|| Before::of(self.ledger, self.watch));
        let first = now_ns();
        for _ in 0..batch {
            self.event(false)?;
        }
        let fire_returned = now_ns();
        let timeline = self.plan.timeline.filter(|event| (self.fired - batch..self.fired).contains(event));
        let change = self.settle(batch)?;
        if timeline.is_none() && before.is_none() {
            return Ok(());
        }
        let seen = Timeline {
            event: timeline.unwrap_or(self.fired - batch),
            fire_returned_ns: fire_returned - first,
            quiet_ns: now_ns() - first,
            lanes: self.watch.lanes(self.ledger, first),
        };
        match before {
            Some(before) => {
                spectator::show(batch, change.wakeups, before.parts(self.ledger, self.watch), seen)?;
            }
            None => self.tally.timeline = Some(seen),
        }
        Ok(())
    }

    /// Waits until everybody sleeps and takes stock of the last `batch` events.
    fn settle(&mut self, batch: u64) -> Result<Change, End> {
        let claims = self.barrier()?;
        let change = self.watch.take(self.ledger).map_err(invalid_io)?;
        self.tally.dsleeps = self.tally.dsleeps.zip(change.dsleeps).map(|(sum, more)| sum + more);
        let third = (self.fired - batch) * 3 / self.plan.settings.events;
        let claimed = self.tally.read(self.ledger, third.min(2) as usize)?;
        if let (1, &[(_, worker)]) = (batch, claimed.as_slice())
            && self.fired_at > 0
        {
            let woken = self.watch.counter().lane(worker, self.ledger, self.fired_at).woken_ns;
            woken.into_iter().for_each(|ns| note(&mut self.tally.woken, ns));
        }
        self.injector.retire(claims < self.fired);
        self.tally.round(change.wakeups, change.returns, self.plan.trace);
        Ok(change)
    }

    /// Waits until all is claimed and everybody sleeps; or, where events may be
    /// left, until everybody sleeps on what is left. Returns the claims so far.
    fn barrier(&mut self) -> Result<u64, End> {
        let attached = self.pace == Some(Pace::Attached);
        let start = Instant::now();
        let limit = Duration::from_millis(self.plan.settings.limit_ms);
        let limit = if self.cut { limit.min(Duration::from_nanos(GRACE_NS)) } else { limit };
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
            let claims = self.claims();
            if attached {
                // Foreign clients come when they like.
                self.fired = claims;
            }
            let fired = self.fired;
            let missing = (fired - self.lost).saturating_sub(claims);
            let mut quiet = false;
            let now = Instant::now();
            arrived |= missing == 0;
            if !arrived && now >= ask_at {
                arrived = !self.injector.under_way(missing).map_err(invalid_io)?;
                ask_at = now + (now - start);
            }
            if arrived {
                let since = *claimed_at.get_or_insert_with(Instant::now);
                match self.watch.try_quiet(self.ledger).map_err(|e| self.died(e.to_string()))? {
                    Ok(()) => {
                        let still = self.claims();
                        let all = (fired - self.lost..=fired).contains(&still);
                        if all || self.plan.settings.stranded == Stranded::Count {
                            self.tally.quiet_ns += since.elapsed().as_nanos() as u64;
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
                let late = if attached { "; let the clients end before duration_ms is over" } else { "" };
                let reason = format!("{why} after {} ms{}{late}", limit.as_millis(), self.who_is_busy());
                return Err(End::Invalid { reason, again: true });
            }
            tries += 1;
            if tries.is_multiple_of(TRIES_PER_CHECK) {
                self.check_crew()?;
                if !self.cut && sys::signal::termination_asked() {
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
        alive.map_err(invalid)
    }
}

fn invalid_io(error: std::io::Error) -> End {
    invalid(error.to_string())
}

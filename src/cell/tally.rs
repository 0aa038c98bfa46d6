//! What the coordinator collects while a cell runs: counts of rounds, who claimed
//! what, and how long it took.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hdrhistogram::Histogram;

use super::ledger::{Ledger, Record};
use crate::client::latency::{histogram, latency_of, note};
use crate::observation::{End, Observation, Round, Timeline};

/// Winners beyond this many are not listed; the per-worker claims still hold all.
const WINNERS: usize = 20_000;

/// The events that nobody has claimed yet: when each was fired, or was to be.
#[derive(Default)]
pub(super) struct Open {
    tagged: HashMap<u32, VecDeque<u64>>,
    /// Objects that cannot tag hand out in the order of arrival.
    queue: VecDeque<u64>,
}

impl Open {
    pub(super) fn add(&mut self, tag: u32, at: u64) {
        match tag {
            0 => self.queue.push_back(at),
            _ => self.tagged.entry(tag).or_default().push_back(at),
        }
    }

    /// Forgets one with that tag, which was claimed or never will be; says when it was fired.
    pub(super) fn close(&mut self, tag: u32) -> Option<u64> {
        if tag == 0 {
            return self.queue.pop_front();
        }
        let same = self.tagged.get_mut(&tag)?;
        let at = same.pop_front();
        if same.is_empty() {
            self.tagged.remove(&tag);
        }
        at
    }
}

/// Collects while the rounds go by.
pub(super) struct Tally {
    wakeups_per_round: BTreeMap<u64, u64>,
    returns_per_round: BTreeMap<u64, u64>,
    rounds: Vec<Round>,
    /// Read since the last round; a timed load reads many times in its one round.
    claims: u64,
    winners: Vec<u32>,
    latency: Histogram<u64>,
    /// The same for the middle third of the events and for the last.
    late: [Histogram<u64>; 2],
    /// Records already read, per worker.
    seen: Vec<u64>,
    pub(super) open: Open,
    /// From the event to the return that claimed it.
    returned: Histogram<u64>,
    /// From the event to the wake of the worker that claimed it.
    pub(super) woken: Histogram<u64>,
    pub(super) quiet_ns: u64,
    pub(super) dsleeps: Option<u64>,
    pub(super) timeline: Option<Timeline>,
}

impl Tally {
    pub(super) fn new(workers: u32) -> Tally {
        Tally {
            wakeups_per_round: BTreeMap::new(),
            returns_per_round: BTreeMap::new(),
            rounds: Vec::new(),
            claims: 0,
            winners: Vec::new(),
            latency: histogram(),
            late: [histogram(), histogram()],
            seen: vec![0; workers as usize],
            open: Open::default(),
            returned: histogram(),
            woken: histogram(),
            quiet_ns: 0,
            dsleeps: Some(0),
            timeline: None,
        }
    }

    /// Forgets all but how far the records were read: what comes now counts.
    pub(super) fn restart(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        *self = Tally { seen, ..Tally::new(0) };
    }

    /// Reads the new records of all workers, in the order of their claims; they
    /// belong to that third of the events, counted from 0. Returns the tag and the
    /// worker of each.
    pub(super) fn read(&mut self, ledger: &Ledger, third: usize) -> Result<Vec<(u32, u32)>, End> {
        let mut fresh: Vec<(Record, u32)> = Vec::new();
        for (worker, slot) in ledger.slots().enumerate() {
            let records = slot.records(&mut self.seen[worker]).map_err(|lost| End::Invalid {
                reason: format!("worker {worker} overwrote {lost} records; the ring is too small"),
                again: true,
            })?;
            fresh.extend(records.into_iter().map(|record| (record, worker as u32)));
        }
        fresh.sort_by_key(|(record, _)| record.t_claim_ns);
        for (record, worker) in &fresh {
            if let Some(fired_at) = self.open.close(record.tag) {
                let latency = record.t_claim_ns.saturating_sub(fired_at);
                note(&mut self.latency, latency);
                note(&mut self.returned, record.t_return_ns.saturating_sub(fired_at));
                if let Some(late) = third.checked_sub(1) {
                    note(&mut self.late[late.min(1)], latency);
                }
            }
            if self.winners.len() < WINNERS {
                self.winners.push(*worker);
            }
        }
        self.claims += fresh.len() as u64;
        Ok(fresh.into_iter().map(|(record, worker)| (record.tag, worker)).collect())
    }

    /// A round has ended; its claims are those read since the last one.
    pub(super) fn round(&mut self, wakeups: u64, returns: u64, trace: bool) {
        let claims = std::mem::take(&mut self.claims);
        *self.wakeups_per_round.entry(wakeups).or_default() += 1;
        *self.returns_per_round.entry(returns).or_default() += 1;
        if trace {
            self.rounds.push(Round { wakeups, returns, claims });
        }
    }

    pub(super) fn into_observation(self, found: &mut Observation) {
        found.claim_latency = latency_of(&self.latency);
        found.return_latency = latency_of(&self.returned);
        found.wake_latency = latency_of(&self.woken);
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

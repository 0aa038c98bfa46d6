//! What metrics are computed from: an observation and the settings of its cell, with
//! the sums that several metrics share.

use std::collections::BTreeMap;

use super::winners;
use crate::experiment::Settings;
use crate::observation::{Latency, Observation, ServerFacts, Traffic};

/// What a metric is computed from.
pub struct Facts<'a> {
    pub seen: &'a Observation,
    pub settings: &'a Settings,
}

impl Facts<'_> {
    pub(super) fn claims(&self) -> u64 {
        self.seen.total(|w| w.claims)
    }

    pub(super) fn wakeups(&self) -> u64 {
        self.seen.wakeups_per_round.iter().map(|(count, rounds)| count * rounds).sum()
    }

    pub(super) fn useful_returns(&self) -> u64 {
        self.seen.total(|w| w.returns - w.empty_returns)
    }

    pub(super) fn spurious(&self) -> u64 {
        self.wakeups().saturating_sub(self.useful_returns())
    }

    pub(super) fn visible(&self) -> u64 {
        self.spurious().min(self.seen.total(|w| w.empty_returns))
    }

    pub(super) fn per_event(&self, count: u64) -> Option<f64> {
        ratio(count as f64, self.seen.fired)
    }

    pub(super) fn shares(&self) -> Vec<u64> {
        self.seen.workers.iter().map(|w| w.claims).collect()
    }

    /// CPU time by worker.
    pub(super) fn busy_ns(&self) -> Vec<u64> {
        self.seen.workers.iter().map(|w| w.cpu_ns).collect()
    }

    /// Of a timed load.
    pub(super) fn traffic(&self, of: impl Fn(&Traffic) -> f64) -> Option<f64> {
        self.seen.traffic.as_ref().map(of)
    }

    pub(super) fn server(&self, of: impl Fn(&ServerFacts) -> u64) -> Option<f64> {
        self.seen.server.as_ref().map(|server| of(server) as f64)
    }

    /// CPU time of all workers and of those that helped them.
    pub(super) fn cpu_ns(&self) -> u64 {
        self.seen.server.map_or_else(|| self.busy_ns().iter().sum(), |server| server.cpu_ns)
    }

    pub(super) fn drops(&self, name: &str) -> Option<f64> {
        self.traffic(|t| t.drops.get(name).copied().unwrap_or(0) as f64)
    }

    pub(super) fn latency_us(&self, ns: u64) -> Option<f64> {
        (self.seen.claim_latency.samples > 0).then_some(ns as f64 / 1000.0)
    }

    /// Minimum, median and maximum over the rounds, per event of a round.
    pub(super) fn spread(&self, histogram: &BTreeMap<u64, u64>) -> Option<[f64; 3]> {
        // A script has quiet moments, but no events to count by.
        if !self.settings.script.is_empty() {
            return None;
        }
        let batch = self.seen.batch as f64;
        let rounds: u64 = histogram.values().sum();
        let (min, max) = (*histogram.keys().next()?, *histogram.keys().next_back()?);
        let mut below = 0;
        let median = histogram.iter().find(|(_, count)| {
            below += **count;
            2 * below >= rounds
        });
        let median = *median?.0;
        Some([min, median, max].map(|n| n as f64 / batch))
    }

    pub(super) fn trial(&self) -> Option<(f64, f64)> {
        winners::trials(&self.seen.winners, self.settings.workers, self.settings.trial as usize)
    }
}

/// `None` without samples.
pub(super) fn us(latency: Latency, ns: fn(Latency) -> u64) -> Option<f64> {
    (latency.samples > 0).then(|| ns(latency) as f64 / 1000.0)
}

pub(super) fn ratio(of: f64, to: u64) -> Option<f64> {
    (to > 0).then(|| of / to as f64)
}

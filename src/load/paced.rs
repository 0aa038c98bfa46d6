//! Open loop: events at a rate, whether or not the last one was served. Each has
//! an intended start, and its latency counts from there, so that a slow server is
//! not flattered by events that came late because of it.

use super::{Load, Pace};
use crate::experiment::Settings;
use crate::experiment::settings::Arrivals;

/// `rate` events a second.
pub struct Paced;

impl Load for Paced {
    fn name(&self) -> &'static str {
        "paced"
    }

    fn about(&self) -> &'static str {
        "`rate` events a second (open loop), `arrivals` constant or poisson"
    }

    fn batch(&self, _: &Settings) -> u64 {
        1
    }

    fn pace(&self, settings: &Settings) -> Option<Pace> {
        Some(Pace::Rate { per_second: settings.traffic.rate, poisson: settings.traffic.arrivals == Arrivals::Poisson })
    }
}

//! Closed loop: a number of clients, each of which sends its next event when the
//! last one was answered. A slow server slows its own load down.

use super::{Load, Pace};
use crate::experiment::Settings;

/// `clients` at once.
pub struct Closed;

impl Load for Closed {
    fn name(&self) -> &'static str {
        "closed"
    }

    fn about(&self) -> &'static str {
        "`clients` clients, each with one event at a time; the next when it was answered (needs reply)"
    }

    fn batch(&self, _: &Settings) -> u64 {
        1
    }

    fn pace(&self, settings: &Settings) -> Option<Pace> {
        Some(Pace::Clients(settings.traffic.clients))
    }
}

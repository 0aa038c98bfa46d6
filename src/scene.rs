//! What a cell says while somebody watches it: who is there, then one scene for each
//! round, then the observation that every cell ends with. Facts only, no judgement.

use serde::{Deserialize, Serialize};

use crate::observation::{Observation, Timeline};

/// One line of a cell that is watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Said {
    /// Every worker sleeps, and no event was made yet.
    Ready(Opening),
    /// One round from quiet to quiet.
    Round(Scene),
    End(Box<Observation>),
}

/// Who is there before the first event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// Where the wakeups come from: `bpf`, `perf`, `proc` or `ledger`.
    pub count_source: String,
}

/// One round: from the first of its events until everybody sleeps again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Events made in this round; more than one only under a burst.
    pub fired: u64,
    /// Of all workers, exact as far as the source is.
    pub wakeups: u64,
    /// In registration order.
    pub parts: Vec<Part>,
    /// Times of the last wakeup, return and claim of each worker in this round.
    pub timeline: Timeline,
}

/// What one worker did in one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// As far as the source can tell workers apart; `perf` knows only the sum of a
    /// scene, and here is what /proc says.
    pub wakeups: u64,
    pub returns: u64,
    pub claims: u64,
    /// Returns that took nothing.
    pub empties: u64,
}

//! Clients that go by the clock or in a loop: when they begin, where they sleep, how
//! long they wait, how their latencies are kept; and whole HTTP clients made of that,
//! for `herd load`. Knows no workers, no ledger and no cell.

pub mod answer;
mod chunks;
pub mod ears;
pub mod latency;
pub mod pacer;
pub mod places;
pub mod target;
pub mod visit;

//! From raw facts to numbers and verdicts. Pure: no kernel, clock or file.

pub mod compare;
pub mod disturbance;
pub mod judge;
pub mod metrics;
pub mod rank;
pub mod winners;

pub use judge::judge;

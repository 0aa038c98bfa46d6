//! One cell, in a process of its own: `herd __cell`.
//!
//! The plan comes in on stdin as a line of JSON, one observation goes out as another.
//! While somebody watches there is a line for each round as well, and a byte comes in
//! for each that is wanted.
//! The same protocol runs locally, as the init of a virtual machine, and on
//! another host.

mod agreement;
mod background;
mod census;
pub mod contract;
pub mod coordinator;
pub mod count;
mod counts;
pub mod crew;
pub mod drops;
mod failure;
mod job;
pub mod ledger;
pub mod plan;
pub mod quiet;
mod quota;
pub mod rounds;
pub mod script;
pub mod scripted;
pub mod softirq;
mod spectator;
mod study;
mod tally;
pub mod task;
mod traffic;
pub mod worker;

pub use plan::Plan;

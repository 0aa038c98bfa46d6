//! One cell, in a process of its own: `herd __cell`.
//!
//! The plan comes in on stdin as JSON, one observation goes out as a JSON line.
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
mod drops;
mod failure;
mod job;
pub mod ledger;
mod pacer;
pub mod plan;
pub mod quiet;
mod quota;
pub mod rounds;
pub mod script;
pub mod scripted;
pub mod softirq;
mod tally;
pub mod task;
mod traffic;
pub mod worker;

pub use plan::Plan;

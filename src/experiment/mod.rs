//! Experiments as data: a TOML file in, cells to run out.
//!
//! This module knows no kernel: it validates and expands. Whether a setting can
//! be had on this machine is decided later, by a probe or by trying it.

pub mod cells;
mod check;
pub mod embedded;
pub mod error;
pub mod expectation;
pub mod file;
pub mod kernel;
pub mod keys;
mod network;
mod placement;
mod pressure;
mod reader;
pub mod script;
pub mod settings;
pub mod shard;
mod special;
pub mod study;
mod traffic;

pub use cells::Cell;
pub use error::ExperimentError;
pub use expectation::{Expectation, Rule, Winners};
pub use file::Experiment;
pub use kernel::KernelRange;
pub use script::Script;
pub use settings::Settings;

//! What the front end tells a cell's process.

use serde::{Deserialize, Serialize};

use crate::experiment::Settings;

/// The name of the hidden subcommand.
pub const COMMAND: &str = "__cell";

/// One cell to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Process id of the front end; the cell dies with it.
    pub parent: i32,
    /// Keep every round, not only their distribution.
    pub trace: bool,
    /// Source of the counts; the best there is when absent.
    #[serde(default)]
    pub count_with: Option<String>,
    /// Event whose timeline to keep, counted from 0.
    #[serde(default)]
    pub timeline: Option<u64>,
    /// Say what came of each round, and wait for a byte on stdin before each.
    #[serde(default)]
    pub step: bool,
    /// Which repetition of the cell this is, counted from 1.
    #[serde(default)]
    pub repetition: u32,
    pub settings: Settings,
}

//! Scripts: what a cell does that is no row of equal workers on one object.
//!
//! A list of statements, one string each: the descriptors, who watches whom, who
//! waits, what happens, and behind `->` what must come of it. One line is one
//! step of the program that a person would write, has its own line in messages and
//! is a test point of its own; nesting tables would have hidden the order, which
//! is all that matters here.
//!
//! [`STATEMENTS`] lists them; `herd list --statements` shows that list.
//!
//! After each statement the cell goes on only when every worker is asleep, in its
//! wait or after it: seen, not assumed.

mod actions;
mod needs;
mod parse;
mod wanted;
mod words;

use super::settings::Lock;
pub use actions::*;
pub use wanted::Wanted;
pub use words::STATEMENTS;

/// The setting that lets queued connections outlive their listener.
pub const MIGRATE: &str = "net.ipv4.tcp_migrate_req";

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// As it is written, without what is wanted.
    pub text: String,
    pub action: Action,
    pub wanted: Option<Wanted>,
    /// Unique in the script; names the test point.
    pub slug: String,
    /// How often it runs, and whether it is part of a race.
    pub rounds: u64,
    pub race: bool,
}

/// A script that makes sense.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    pub names: Vec<String>,
    /// What each name stands for.
    pub kinds: Vec<Kind>,
    /// What workers do.
    pub jobs: Vec<Job>,
    /// The first job of each worker.
    pub workers: Vec<usize>,
    pub worker_names: Vec<String>,
    pub steps: Vec<Step>,
}

/// A mistake in statement `at`, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    pub at: usize,
    pub message: String,
}

impl Script {
    /// Reads statements. Names must be there before they are used.
    pub fn parse(statements: &[String]) -> Result<Script, Mistake> {
        parse::script(statements)
    }

    /// The steps with something wanted of them.
    pub fn checks(&self) -> impl Iterator<Item = (usize, &Step, &Wanted)> {
        self.steps.iter().enumerate().filter_map(|(i, step)| Some((i, step, step.wanted.as_ref()?)))
    }
}

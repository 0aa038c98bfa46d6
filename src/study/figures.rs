//! What a study says: samples by name, why a figure is left out, notes. It travels from
//! the study's process to the cell's as JSON. Counts who was made and who was seen to end.

use std::collections::BTreeMap;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::observation::{TASKS_MADE, TASKS_REAPED};

/// Why a study did not come to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Trouble {
    /// This machine has not what it takes: skipped, with the reason.
    Unable(String),
    /// The kernel refused a call that it does not refuse on a healthy machine.
    Refused { call: String, errno: String },
    /// Something went wrong that must not.
    Broken(String),
}

/// For `map_err`: names the call.
pub fn refused(call: &str) -> impl Fn(Errno) -> Trouble {
    move |errno| Trouble::Refused { call: call.into(), errno: format!("{errno:?}") }
}

/// Everything a study says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    pub samples: BTreeMap<String, Vec<f64>>,
    pub omitted: BTreeMap<String, String>,
    pub notes: Vec<String>,
    pub words: String,
    pub trouble: Option<Trouble>,
}

/// Collects what a study says.
#[derive(Debug, Default)]
pub struct Figures {
    said: Said,
    made: u64,
    reaped: u64,
}

impl Figures {
    /// One more sample of a figure.
    pub fn add(&mut self, name: &str, sample: f64) {
        self.said.samples.entry(name.into()).or_default().push(sample);
    }

    /// A figure that cannot be had here.
    pub fn omit(&mut self, name: &str, why: &str) {
        self.said.omitted.insert(name.into(), why.into());
    }

    /// Worth knowing beside the figures; shown below the table.
    pub fn note(&mut self, text: String) {
        self.said.notes.push(text);
    }

    /// A few words for the table.
    pub fn say(&mut self, words: &str) {
        self.said.words = words.into();
    }

    /// Tasks that were made.
    pub fn made(&mut self, tasks: u64) {
        self.made += tasks;
    }

    /// Tasks that were joined or waited for.
    pub fn reaped(&mut self, tasks: u64) {
        self.reaped += tasks;
    }

    /// All of it, with how it ended.
    pub fn close(mut self, outcome: Result<(), Trouble>) -> Said {
        self.add(TASKS_MADE, self.made as f64);
        self.add(TASKS_REAPED, self.reaped as f64);
        for (name, why) in &self.said.omitted {
            self.said.notes.push(format!("{name} is left out: {why}"));
        }
        Said { trouble: outcome.err(), ..self.said }
    }
}

//! The document of one run: what is stored, shown, compared. Pure data.
//!
//! Other programs rely on these names. A change that an old reader would
//! misunderstand raises [`SCHEMA`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::experiment::file::Layout;
use crate::experiment::{Expectation, Experiment, Settings};
use crate::observation::{Observation, WorkerFacts};

/// Version of the document's layout.
pub const SCHEMA: u32 = 1;

/// What is known about one cell or one expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Pass,
    /// Cannot be had here, with the reason.
    Skip,
    /// Could not be measured: neither a pass nor a fail.
    Invalid,
    Fail,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Verdict::Pass => "pass",
            Verdict::Skip => "skip",
            Verdict::Invalid => "invalid",
            Verdict::Fail => "FAIL",
        })
    }
}

/// One expectation, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    pub metric: String,
    pub expected: String,
    pub measured: String,
    pub verdict: Verdict,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// One cell, run and judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    pub experiment: String,
    pub id: String,
    pub row: String,
    pub axes: Vec<(String, String)>,
    /// Counted from 1; more than 1 with --repeat.
    pub repetition: u32,
    pub settings: Settings,
    pub count_source: String,
    /// In registration order; empty when the cell was skipped.
    pub workers: Vec<WorkerFacts>,
    /// Name to number, or null where it makes no sense.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// The pattern in the order of the winners, in words.
    pub winners: String,
    pub expectations: Vec<Judged>,
    pub verdict: Verdict,
    /// Empty for a pass.
    #[serde(default)]
    pub reason: String,
    /// The rest of the raw facts; absent when the cell was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Observation>,
    /// What was asked, so that a stored cell can be judged again.
    #[serde(default)]
    pub rules: Vec<Expectation>,
}

/// The id of repetition `repetition`, counted from 1, of the cell `id`.
pub fn numbered(id: &str, repetition: u32) -> String {
    if repetition > 1 { format!("{id}#{repetition}") } else { id.to_owned() }
}

impl CellResult {
    /// As one of several repetitions, counted from 1.
    pub fn repeated(self, repetition: u32) -> CellResult {
        CellResult { id: numbered(&self.id, repetition), repetition, ..self }
    }

    /// The raw facts with the workers where a cell's process put them.
    pub fn whole_observation(&self) -> Option<Observation> {
        let seen = self.observation.clone()?;
        Some(Observation { workers: self.workers.clone(), ..seen })
    }
}

/// What a report needs to know of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExperimentFacts {
    pub name: String,
    pub title: String,
    pub question: String,
    pub look: String,
    pub moral: String,
    pub layout: Layout,
}

impl From<&Experiment> for ExperimentFacts {
    fn from(experiment: &Experiment) -> Self {
        ExperimentFacts {
            name: experiment.name.clone(),
            title: experiment.title.clone(),
            question: experiment.question.clone(),
            look: experiment.look.clone(),
            moral: experiment.moral.clone(),
            layout: experiment.layout.clone(),
        }
    }
}

/// The virtualisation that is no machine, but a kernel run as a program.
pub const USER_MODE: &str = "user-mode-linux";

/// Where and on what a run was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    pub kernel_release: String,
    pub kernel_version: String,
    pub machine: String,
    pub cpus_online: u64,
    pub cpus_allowed: u64,
    pub cpu_model: String,
    pub preemption: String,
    pub scheduler: String,
    pub sched_ext: String,
    pub mitigations: BTreeMap<String, String>,
    pub cgroup_cpu_quota: String,
    pub clock_source: String,
    pub virtualisation: String,
    pub load_average: String,
    /// CPUs that receive packet steering spreads loopback to, as a mask.
    pub rps_lo: String,
    pub threaded_lo: String,
    pub realtime: bool,
    pub backlog_threads: bool,
    pub busy_poll: String,
    pub busy_read: String,
    pub tcp_syncookies: String,
    /// What of all this may change counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    pub user_id: u32,
    pub libc: String,
    pub started: String,
}

/// Which part of a run this is, and how the parts fit together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardFacts {
    /// Counted from 1.
    pub number: u32,
    pub of: u32,
    /// The same in all parts of one run.
    pub plan: String,
    /// Where in the whole plan the cells of one repetition stand.
    pub places: Vec<usize>,
}

impl Environment {
    /// The release, and that it is user-mode-linux where it is: the same release
    /// on a machine is another kernel.
    pub fn kernel_name(&self) -> String {
        let user_mode = if self.virtualisation == USER_MODE { "-uml" } else { "" };
        format!("{}{user_mode}", self.kernel_release)
    }

    /// What kernel ranges are held against.
    pub fn stable_release(&self) -> &str {
        crate::experiment::kernel::stable_release(&self.kernel_release, &self.kernel_version)
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub schema: u32,
    /// Version of herd.
    pub herd: String,
    pub environment: Environment,
    pub experiments: Vec<ExperimentFacts>,
    pub cells: Vec<CellResult>,
    /// Whether the run was cut short by a signal.
    #[serde(default)]
    pub interrupted: bool,
    /// Absent from a whole run, and from parts that were merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<ShardFacts>,
}

impl Results {
    /// A run of this herd without a cell yet.
    pub fn new(environment: Environment, experiments: &[Experiment]) -> Results {
        Results {
            schema: SCHEMA,
            herd: env!("CARGO_PKG_VERSION").into(),
            environment,
            experiments: experiments.iter().map(ExperimentFacts::from).collect(),
            cells: Vec::new(),
            interrupted: false,
            shard: None,
        }
    }

    /// How many cells have that verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cells.iter().filter(|cell| cell.verdict == verdict).count()
    }

    /// The worst there is: one invalid cell makes a run invalid unless one failed.
    pub fn exit(&self) -> crate::exit::Exit {
        use crate::exit::Exit;
        if self.count(Verdict::Fail) > 0 {
            Exit::Fail
        } else if self.count(Verdict::Invalid) > 0 {
            Exit::Invalid
        } else if self.count(Verdict::Pass) == 0 {
            Exit::AllSkipped
        } else {
            Exit::Pass
        }
    }
}

/// Why a stored document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error("{file} is not a herd result: {why}")]
    NotOurs { file: String, why: String },
    #[error("{file} has schema {found}, this herd reads up to {SCHEMA}; use the herd that wrote it, or a newer one")]
    TooNew { file: String, found: u64 },
    #[error("{file} is cut off or damaged: {why}")]
    Damaged { file: String, why: String },
}

impl Results {
    /// Reads a stored document.
    pub fn parse(file: &str, text: &str) -> Result<Results, ResultsError> {
        let damaged = |e: serde_json::Error| ResultsError::Damaged { file: file.into(), why: e.to_string() };
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| {
            if text.trim_start().starts_with('{') {
                damaged(e)
            } else {
                ResultsError::NotOurs { file: file.into(), why: "not a JSON document".into() }
            }
        })?;
        let schema = value.get("schema").and_then(serde_json::Value::as_u64);
        let ours = value.get("herd").is_some_and(serde_json::Value::is_string);
        match schema.filter(|_| ours) {
            None => Err(ResultsError::NotOurs { file: file.into(), why: "it has no schema and herd version".into() }),
            Some(0) => Err(ResultsError::NotOurs { file: file.into(), why: "schema 0 is older than the first".into() }),
            Some(found) if found > u64::from(SCHEMA) => Err(ResultsError::TooNew { file: file.into(), found }),
            Some(_) => serde_json::from_value(value).map_err(damaged),
        }
    }
}

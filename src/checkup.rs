//! What `herd doctor` found: plain data.

use serde::Serialize;

use crate::analysis::disturbance::Look;
use crate::results::Environment;

/// One probe with its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Feature {
    pub name: &'static str,
    pub about: &'static str,
    pub there: bool,
    /// Why not, with the errno.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What real cells said about a source of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It gave the numbers that are known beforehand.
    Works,
    /// It opened and gave other numbers.
    Wrong,
    /// It could not be opened, or the cells could not be measured.
    Refused,
}

/// One counting source, tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Source {
    pub name: &'static str,
    pub about: &'static str,
    pub standing: Standing,
    /// Counts per event of eight workers with EPOLLEXCLUSIVE: 1 is right.
    pub exclusive: Option<f64>,
    /// The same with an epoll instance each: 8 is right.
    pub own_epoll: Option<f64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One limit of this machine and how far it reaches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Allowance {
    pub limit: &'static str,
    pub value: String,
    pub allows: String,
    /// How to raise it.
    pub raise: &'static str,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checkup {
    pub herd: &'static str,
    pub environment: Environment,
    pub features: Vec<Feature>,
    pub sources: Vec<Source>,
    /// The source a run takes by itself.
    pub chosen: Option<&'static str>,
    pub limits: Vec<Allowance>,
    pub settings: Vec<Look>,
}

impl Checkup {
    /// The source that counts wakeups right: the one a run takes, or the best of
    /// those that --count-with must name.
    pub fn counting(&self) -> Option<&Source> {
        let right = |source: &&Source| source.standing == Standing::Works && source.name != "ledger";
        let chosen = self.sources.iter().find(|source| Some(source.name) == self.chosen).filter(right);
        chosen.or_else(|| self.sources.iter().find(right))
    }
}

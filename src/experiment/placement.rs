//! Where the workers live: how many processes, and how many threads in each.

use serde::{Deserialize, Serialize};

/// P processes of T threads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    pub processes: u32,
    pub threads: u32,
}

impl Placement {
    pub fn workers(self) -> u32 {
        self.processes * self.threads
    }
}

impl std::fmt::Display for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.processes, self.threads)
    }
}

/// The three ways to say a placement: the two short ones follow `workers`.
/// Stored as it is spelled in an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PlacementKind {
    /// One worker per process.
    Processes,
    /// All workers are threads of one process.
    Threads,
    /// Exactly this many processes and threads, as in `4x2`.
    Exact(Placement),
}

impl std::str::FromStr for PlacementKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || "processes, threads, or PxT such as 4x2 (at least 1x1)".to_owned();
        let exact = match text {
            "processes" => return Ok(PlacementKind::Processes),
            "threads" => return Ok(PlacementKind::Threads),
            exact => exact,
        };
        let (p, t) = exact.split_once('x').ok_or_else(wanted)?;
        let side = |s: &str| s.parse::<u32>().ok().filter(|n| (1..=100_000).contains(n));
        let (processes, threads) = side(p).zip(side(t)).ok_or_else(wanted)?;
        if u64::from(processes) * u64::from(threads) > 100_000 {
            return Err("at most 100000 workers".into());
        }
        Ok(PlacementKind::Exact(Placement { processes, threads }))
    }
}

impl TryFrom<String> for PlacementKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PlacementKind> for String {
    fn from(kind: PlacementKind) -> String {
        kind.to_string()
    }
}

impl std::fmt::Display for PlacementKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PlacementKind::Processes => f.write_str("processes"),
            PlacementKind::Threads => f.write_str("threads"),
            PlacementKind::Exact(placement) => placement.fmt(f),
        }
    }
}

//! Two stored results: what changed. Pure.
//!
//! Made so that two runs of one kernel differ in nothing, and one changed wait
//! differs in exactly that: kernel counts that are constants are compared as
//! constants, other kernel counts by their rule or when their ranges lie apart,
//! races in user space by their rule only, and times never decide anything.

pub(super) mod cell;
mod fields;
mod latency;
pub(super) mod pairing;
mod steps;

use serde::Serialize;

use crate::results::{CellResult, Results, Verdict};
pub use fields::{Difference, differences};
pub use latency::LatencyDifference;
use pairing::Group;

/// Chance of calling two samples of one distribution different.
pub const ERROR_RATE: f64 = 0.001;

/// Facts that differ between any two runs and mean nothing by themselves.
const PASSING: [&str; 3] = ["load_average", "started", "warnings"];

/// Which way a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Better,
    /// Neither better nor worse.
    Changed,
    Worse,
}

/// One thing that changed in a cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// A metric, `winners`, `error`, `order` or `verdict`.
    pub what: String,
    pub direction: Direction,
    pub old: String,
    pub new: String,
    /// The rule, where one changed its verdict.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expected: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
}

/// A cell in which something changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellChange {
    pub id: String,
    /// Its id in the new result, where it has another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_id: Option<String>,
    pub direction: Direction,
    pub changes: Vec<Change>,
    /// What was asked differently.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Difference>,
}

/// A remark about a cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Remark {
    pub id: String,
    pub text: String,
}

/// Where one of the two results comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    pub file: String,
    pub herd: String,
    pub kernel_release: String,
    pub cpus_online: u64,
    pub count_sources: Vec<String>,
}

/// All in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Same,
    Better,
    Changed,
    /// Something that was known is not measured any more, or nothing was.
    Unknown,
    Worse,
}

/// What two results say about each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub old: Origin,
    pub new: Origin,
    pub environment: Vec<Difference>,
    pub outcome: Outcome,
    /// Cells measured on both sides.
    pub compared: usize,
    pub cells: Vec<CellChange>,
    /// Differences that the way of counting explains.
    pub explained: Vec<Remark>,
    /// Cells on both sides that one of them did not measure.
    pub not_measured: Vec<Remark>,
    pub only_old: Vec<String>,
    pub only_new: Vec<String>,
    /// For information: times depend on more than the kernel.
    pub latencies: Vec<LatencyDifference>,
    /// Why latencies were not compared, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latencies_not_compared: Option<String>,
}

/// The two results are about different things.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{old} ({of_old}) and {new} ({of_new}) have no cell in common; compare two runs of the same experiments")]
pub struct NothingInCommon {
    old: String,
    of_old: String,
    new: String,
    of_new: String,
}

/// Compares two results; the names are only for messages.
pub fn compare(old: (&str, &Results), new: (&str, &Results)) -> Result<Comparison, NothingInCommon> {
    let (olds, news) = (pairing::groups(old.1.cells.iter()), pairing::groups(new.1.cells.iter()));
    let paired = pairing::pair(&olds, &news);
    if paired.both.is_empty() {
        return Err(NothingInCommon {
            old: old.0.into(),
            of_old: experiments(old.1),
            new: new.0.into(),
            of_new: experiments(new.1),
        });
    }
    let (from, to) = (origin(old), origin(new));
    let ids = |groups: &[&Group<'_>]| groups.iter().map(|g| g.id.to_owned()).collect();
    let mut found = Comparison {
        environment: environment(old.1, new.1, &from, &to),
        old: from,
        new: to,
        outcome: Outcome::Same,
        compared: 0,
        cells: Vec::new(),
        explained: Vec::new(),
        not_measured: Vec::new(),
        only_old: ids(&paired.only_old),
        only_new: ids(&paired.only_new),
        latencies: Vec::new(),
        latencies_not_compared: None,
    };
    let mut lost = false;
    for (old, new) in &paired.both {
        lost |= pair(old, new, &mut found);
    }
    found.latencies_not_compared = latency::refused(&paired.both);
    let worst = found.cells.iter().map(|cell| cell.direction).max();
    found.outcome = match worst {
        Some(Direction::Worse) => Outcome::Worse,
        _ if lost || found.compared == 0 => Outcome::Unknown,
        Some(Direction::Changed) => Outcome::Changed,
        Some(Direction::Better) => Outcome::Better,
        None => Outcome::Same,
    };
    Ok(found)
}

/// Compares one pair. Returns whether something known is not measured any more.
fn pair(old: &Group<'_>, new: &Group<'_>, found: &mut Comparison) -> bool {
    let (was, is) = (old.state(), new.state());
    let measured = pairing::is_measured;
    if !measured(was) || !measured(is) {
        let side = |name: &str, group: &Group<'_>, state: Verdict| match measured(state) {
            true => format!("{name}: {state}"),
            false => format!("{name}: {state}, {}", group.reason(state)),
        };
        let text = format!("{}; {}", side("old", old, was), side("new", new, is));
        found.not_measured.push(Remark { id: old.id.into(), text });
        return measured(was) && is == Verdict::Invalid;
    }
    found.compared += 1;
    let cell::Found { changes, explained } = cell::compare(old, new);
    found.explained.extend(explained.into_iter().map(|text| Remark { id: old.id.into(), text }));
    if let Some(direction) = changes.iter().map(|change| change.direction).max() {
        found.cells.push(CellChange {
            id: old.id.into(),
            new_id: (old.id != new.id).then(|| new.id.into()),
            direction,
            changes,
            settings: fields::differences(&old.first().settings, &new.first().settings),
        });
    }
    found.latencies.extend(latency::compare(old, new));
    false
}

fn origin((file, results): (&str, &Results)) -> Origin {
    let mut sources: Vec<String> =
        results.cells.iter().map(|cell| cell.count_source.clone()).filter(|source| !source.is_empty()).collect();
    sources.sort_unstable();
    sources.dedup();
    Origin {
        file: file.into(),
        herd: results.herd.clone(),
        kernel_release: results.environment.kernel_release.clone(),
        cpus_online: results.environment.cpus_online,
        count_sources: sources,
    }
}

fn environment(old: &Results, new: &Results, from: &Origin, to: &Origin) -> Vec<Difference> {
    let mut found = fields::differences(&old.environment, &new.environment);
    found.retain(|difference| !PASSING.contains(&difference.what.split('.').next().unwrap_or_default()));
    let mut add = |what: &str, old: String, new: String| {
        if old != new {
            found.push(Difference { what: what.into(), old, new });
        }
    };
    add("herd", from.herd.clone(), to.herd.clone());
    add("count_source", from.count_sources.join(", "), to.count_sources.join(", "));
    found
}

/// Which experiments a result is about, for a message.
fn experiments(results: &Results) -> String {
    let mut names: Vec<&str> = results.cells.iter().map(|cell: &CellResult| cell.experiment.as_str()).collect();
    names.dedup();
    if names.is_empty() { "no cells".into() } else { names.join(", ") }
}

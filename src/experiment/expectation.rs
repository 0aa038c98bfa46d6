//! What the kernel's contract says a metric must be.
//!
//! Only the statement lives here; judging it is `analysis::verdict`.

use serde::{Deserialize, Serialize};
use toml::Value;

use super::kernel::KernelRange;

/// In which order the work went round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Winners {
    /// w0, w1, .. wN-1, w0, ..: each goes to the back of the queue.
    Rotation,
    /// Always the first registered.
    First,
    /// Always the last to have gone to sleep, which is the last registered.
    Last,
    /// Each worker exactly the same number of claims.
    Even,
    /// Independent and equally likely: chi-square at p = 0.001.
    Uniform,
    /// Each worker at least as many claims as the one registered after it.
    Decreasing,
}

/// One rule about one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Exactly this; for a per-event metric in every event.
    Exact(f64),
    /// Bounds. `min` and `max` hold in every event, `mean_*` for the average;
    /// the `*_per_worker` forms are multiplied by the number of workers.
    Range(Range),
    /// `per_worker` x workers in every event as a floor, and on average at most
    /// `slack` more: a sleep on the object's own lock counts as well.
    PerWorker {
        per_worker: f64,
        slack: f64,
    },
    /// Exactly so many for each event that was fired, so that the rule follows `events`.
    PerEvent {
        per_event: f64,
    },
    Winners(Winners),
    /// The refused call's errno, by name.
    Error(String),
    /// The average is at least `min` and at most `max` times that of another row,
    /// in the cell that has the same axes and repetition.
    Times(Times),
    /// It grows less from one row to another than between two others; see [`Growth`].
    Growth(Growth),
    /// For times that a study measured: see [`More`].
    More(More),
    /// Never above this in any event: a race. That it was not seen does not say
    /// that it cannot happen, so the verdict is "not seen in n rounds".
    NeverAbove(f64),
    /// The claims of one worker are what independent, equally likely choices
    /// give: binomial bounds at p = 0.001.
    Share(Share),
}

/// A relation to the same metric of another row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// Name of that row.
    pub times_of: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// A relation between two relations: this row over `growth_from` is less than `below`
/// over `below_from`. Such ratios of times and rates scatter, so they are taken once for
/// each value of the axis [`SAMPLE`], and their medians and ranges are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    pub growth_from: String,
    pub below: String,
    pub below_from: String,
}

/// The axis over which samples of a growth are taken.
pub const SAMPLE: &str = "sample";

impl std::fmt::Display for Growth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Growth { growth_from, below, below_from } = self;
        write!(f, "growing less from {growth_from} to here than from {below_from} to {below}")
    }
}

impl Rule {
    /// The rows that must be there to judge it.
    pub fn other_rows(&self) -> Vec<&str> {
        match self {
            Rule::Growth(Growth { growth_from, below, below_from }) => vec![growth_from, below, below_from],
            rule => rule.other().into_iter().collect(),
        }
    }
}

/// Every sample is above `times` (1 when absent) times every sample of another row.
/// Overlapping samples decide nothing: the rule is skipped then, and never fails by noise.
/// What is measured once in a cell has its samples along an axis, `over`: the rule is about
/// the two rows there, so it is written for one cell of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct More {
    /// Name of that row.
    pub more_than: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<f64>,
    /// An axis of the experiment; without it the samples are those of a study.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<String>,
}

/// One worker's part of the claims.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    pub worker: u32,
    /// Chance that an event goes there; one in the number of workers when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_per_worker: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_worker: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_max: Option<f64>,
}

/// A rule, what it is about and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// A metric's name, or `winners`, `error` or `share`.
    pub metric: String,
    pub rule: Rule,
    /// Man page, kernel function, version, commit.
    pub source: String,
    /// Probes without which the expectation is skipped.
    pub needs: Vec<String>,
    /// Kernels it speaks about.
    #[serde(default, skip_serializing_if = "KernelRange::is_open")]
    pub kernel: KernelRange,
}

impl Rule {
    /// Whether it is wrong once in a thousand times about a kernel that is right.
    pub fn is_statistical(&self) -> bool {
        matches!(self, Rule::Winners(Winners::Uniform) | Rule::Share(_))
    }

    /// The row whose cell with the same axes decides it.
    pub fn other(&self) -> Option<&str> {
        match self {
            Rule::Times(times) => Some(&times.times_of),
            Rule::More(more) => Some(&more.more_than),
            _ => None,
        }
    }

    /// Reads a rule as an experiment file spells it.
    pub fn parse(metric: &str, value: &Value) -> Result<Rule, String> {
        match metric {
            "winners" => value
                .clone()
                .try_into()
                .map(Rule::Winners)
                .map_err(|_| "one of rotation, first, last, even, uniform, decreasing".into()),
            "error" => match value.as_str() {
                Some(name) if name.starts_with('E') => Ok(Rule::Error(name.into())),
                _ => Err("an errno by name, such as \"EINVAL\"".into()),
            },
            "share" => Self::parse_share(value),
            _ => Self::parse_number(value),
        }
    }

    fn parse_number(value: &Value) -> Result<Rule, String> {
        let wanted = "a number, { per_worker, slack }, { per_event }, { never_above }, { times_of, min, max }, \
                      { growth_from, below, below_from }, { more_than, times }, or bounds out of min, max, \
                      min_per_worker, max_per_worker, mean_min, mean_max";
        // JSON has no nan and no inf: a stored result could not be read back.
        let as_number = |v: &Value| v.as_float().or(v.as_integer().map(|n| n as f64)).filter(|x| x.is_finite());
        if let Some(number) = as_number(value) {
            return Ok(Rule::Exact(number));
        }
        let table = value.as_table().filter(|t| !t.is_empty()).ok_or(wanted)?;
        if let Some(per_worker) = table.get("per_worker") {
            if table.keys().any(|k| k != "per_worker" && k != "slack") {
                return Err(wanted.into());
            }
            return Ok(Rule::PerWorker {
                per_worker: as_number(per_worker).ok_or(wanted)?,
                slack: table.get("slack").map_or(Some(0.0), as_number).ok_or(wanted)?,
            });
        }
        if let Some(each) = table.get("per_event") {
            let per_event = as_number(each).filter(|_| table.len() == 1).ok_or(wanted)?;
            return Ok(Rule::PerEvent { per_event });
        }
        if let Some(bound) = table.get("never_above") {
            let alone = table.len() == 1;
            return as_number(bound).filter(|_| alone).map(Rule::NeverAbove).ok_or(wanted.into());
        }
        if table.contains_key("times_of") {
            return Self::parse_times(table);
        }
        if table.contains_key("growth_from") {
            let wanted = "{ growth_from = \"a row\", below = \"a row\", below_from = \"a row\" }";
            return Value::Table(table.clone()).try_into().map(Rule::Growth).map_err(|_| wanted.into());
        }
        if table.contains_key("more_than") {
            let wanted = "{ more_than = \"a row\" }, with times = a factor above 0 and over = an axis, or without";
            let more: More = Value::Table(table.clone()).try_into().map_err(|_| wanted)?;
            let possible = more.times.is_none_or(|times| times.is_finite() && times > 0.0);
            return if possible { Ok(Rule::More(more)) } else { Err(wanted.into()) };
        }
        let as_floats = table
            .iter()
            .map(|(k, v)| Some((k.clone(), Value::Float(as_number(v)?))))
            .collect::<Option<toml::Table>>()
            .ok_or(wanted)?;
        Value::Table(as_floats).try_into().map(Rule::Range).map_err(|_| wanted.into())
    }

    fn parse_times(table: &toml::Table) -> Result<Rule, String> {
        let wanted = "{ times_of = \"a row\", min, max } with at least one of the bounds";
        let times: Times = Value::Table(table.clone()).try_into().map_err(|_| wanted)?;
        let bounded = times.min.is_some() || times.max.is_some();
        let finite = times.min.into_iter().chain(times.max).all(f64::is_finite);
        if bounded && finite { Ok(Rule::Times(times)) } else { Err(wanted.into()) }
    }

    fn parse_share(value: &Value) -> Result<Rule, String> {
        let wanted = "{ worker = 0 }, or { worker = 0, part = 0.5 } with a part between 0 and 1";
        let share: Share = value.clone().try_into().map_err(|_| wanted)?;
        let possible = share.part.is_none_or(|part| part > 0.0 && part < 1.0);
        if possible { Ok(Rule::Share(share)) } else { Err(wanted.into()) }
    }
}

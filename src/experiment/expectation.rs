//! What the kernel's contract says a metric must be.
//!
//! Only the statement lives here; judging it is `analysis::verdict`.

use serde::{Deserialize, Serialize};
use toml::Value;

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
    Winners(Winners),
    /// The refused call's errno, by name.
    Error(String),
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
    /// A metric's name, or `winners`, or `error`.
    pub metric: String,
    pub rule: Rule,
    /// Man page, kernel function, version, commit.
    pub source: String,
    /// Probes without which the expectation is skipped.
    pub needs: Vec<String>,
}

impl Rule {
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
            _ => Self::parse_number(value),
        }
    }

    fn parse_number(value: &Value) -> Result<Rule, String> {
        let wanted = "a number, { per_worker, slack }, or bounds out of min, max, \
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
        let as_floats = table
            .iter()
            .map(|(k, v)| Some((k.clone(), Value::Float(as_number(v)?))))
            .collect::<Option<toml::Table>>()
            .ok_or(wanted)?;
        Value::Table(as_floats).try_into().map(Rule::Range).map_err(|_| wanted.into())
    }
}

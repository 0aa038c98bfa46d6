//! Where the true answer is found in what a run saw.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::results::{CellResult, Results, Verdict};

/// Where a figure stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The cell: its row, or where several have that row, more of it.
    #[serde(default)]
    pub row: String,
    #[serde(default)]
    pub experiment: String,
    /// Values of axes, by name.
    #[serde(default)]
    pub at: BTreeMap<String, String>,
    /// The release of a stored kernel, up to its second dot; the run here if empty.
    #[serde(default)]
    pub kernel: String,
    pub value: Value,
}

/// What is read there.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// A metric of the cell.
    Metric(String),
    /// The same, times 100.
    Percent(String),
    /// The metric as percent of another metric of the same cell.
    Share {
        metric: String,
        of: String,
    },
    /// How many times the metric of another row it is.
    Times {
        metric: String,
        of: String,
    },
    /// How many times the metric of the same row at other axes it is.
    TimesAt {
        metric: String,
        at: BTreeMap<String, String>,
    },
    /// How many cells have at least that much of a metric.
    Count {
        metric: String,
        at_least: f64,
    },
    /// The row that has most of a metric.
    Most(String),
    /// The row that has least of it.
    Least(String),
    /// What came of the first step of a script that is written so, or of the last.
    First(String),
    Last(String),
}

/// What was stored of a kernel.
pub struct Kernel {
    /// As `uname -r` says it.
    pub release: String,
    pub cells: Vec<CellResult>,
}

impl From<Results> for Kernel {
    fn from(results: Results) -> Kernel {
        Kernel { release: results.environment.kernel_release, cells: results.cells }
    }
}

/// What is true on this machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Truth {
    Number(f64),
    /// The name of a row, or what came of a step.
    Word(String),
    /// Why it is not known.
    Unknown(String),
}

/// Whether a cell has figures. One of which it is undecided if it is as expected has them.
pub fn is_known(cell: &CellResult) -> bool {
    match cell.verdict {
        Verdict::Pass | Verdict::Fail => true,
        Verdict::Skip => cell.metrics.values().any(Option::is_some) || cell.observation.is_some(),
        Verdict::Invalid => false,
    }
}

impl Figure {
    /// The metric that it is, where it is one, in words as a table's heading has it.
    pub fn metric(&self) -> Option<String> {
        match &self.value {
            Value::Metric(metric) => Some(metric.trim_end_matches("_per_event").replace('_', " ")),
            _ => None,
        }
    }

    /// Reads it from cells that ran, or from those of a stored kernel.
    pub fn read(&self, cells: &[CellResult], stored: &[Kernel]) -> Truth {
        let cells = match self.kernel.as_str() {
            "" => cells,
            wanted => match stored.iter().find(|kernel| kernel.release.starts_with(wanted)) {
                Some(kernel) => &kernel.cells,
                None => return Truth::Unknown(format!("no stored result of Linux {wanted}")),
            },
        };
        let number = |found: Result<f64, String>| found.map_or_else(Truth::Unknown, Truth::Number);
        match &self.value {
            Value::Metric(metric) => number(self.number(cells, &self.row, &self.at, metric)),
            Value::Percent(metric) => number(self.number(cells, &self.row, &self.at, metric).map(|part| part * 100.0)),
            Value::Share { metric, of } => number(self.share(cells, metric, of)),
            Value::Times { metric, of } => number(self.ratio(cells, metric, of, &self.at)),
            Value::TimesAt { metric, at } => number(self.ratio(cells, metric, &self.row, at)),
            Value::Count { metric, at_least } => number(self.count(cells, metric, *at_least)),
            Value::Most(metric) => self.extreme(cells, metric, |a, b| a > b),
            Value::Least(metric) => self.extreme(cells, metric, |a, b| a < b),
            Value::First(text) => self.step(cells, text, false),
            Value::Last(text) => self.step(cells, text, true),
        }
    }

    /// The one cell of that row at those axes.
    fn cell<'a>(
        &self,
        cells: &'a [CellResult],
        row: &str,
        at: &BTreeMap<String, String>,
    ) -> Result<&'a CellResult, String> {
        let fits = |cell: &&CellResult| cell.row == row && self.is_of(cell, at);
        let cell = cells.iter().find(fits).ok_or_else(|| format!("{row} did not run"))?;
        if is_known(cell) { Ok(cell) } else { Err(cell.reason.clone()) }
    }

    fn number(
        &self,
        cells: &[CellResult],
        row: &str,
        at: &BTreeMap<String, String>,
        metric: &str,
    ) -> Result<f64, String> {
        let cell = self.cell(cells, row, at)?;
        let known = cell.metrics.get(metric).copied().flatten();
        known.ok_or_else(|| format!("{row} has no {metric}"))
    }

    fn share(&self, cells: &[CellResult], metric: &str, of: &str) -> Result<f64, String> {
        let whole = self.number(cells, &self.row, &self.at, of)?;
        let part = self.number(cells, &self.row, &self.at, metric)?;
        if whole > 0.0 { Ok(part / whole * 100.0) } else { Err(format!("{} has no {of}", self.row)) }
    }

    fn ratio(
        &self,
        cells: &[CellResult],
        metric: &str,
        of: &str,
        of_at: &BTreeMap<String, String>,
    ) -> Result<f64, String> {
        let above = self.number(cells, &self.row, &self.at, metric)?;
        match self.number(cells, of, of_at, metric)? {
            0.0 => Err(format!("{of} has no {metric}")),
            below => Ok(above / below),
        }
    }

    /// Whether a cell is of the experiment, at those axes.
    fn is_of(&self, cell: &CellResult, at: &BTreeMap<String, String>) -> bool {
        (self.experiment.is_empty() || self.experiment == cell.experiment)
            && at.iter().all(|(key, value)| cell.axes.iter().any(|axis| (&axis.0, &axis.1) == (key, value)))
    }

    fn of_interest<'a>(&self, cells: &'a [CellResult]) -> impl Iterator<Item = &'a CellResult> {
        cells.iter().filter(|cell| self.is_of(cell, &self.at))
    }

    fn count(&self, cells: &[CellResult], metric: &str, at_least: f64) -> Result<f64, String> {
        let mut count = 0.0;
        for cell in self.of_interest(cells) {
            if !is_known(cell) {
                return Err(format!("{}: {}", cell.row, cell.reason));
            }
            if cell.metrics.get(metric).copied().flatten().is_some_and(|value| value >= at_least) {
                count += 1.0;
            }
        }
        Ok(count)
    }

    fn extreme(&self, cells: &[CellResult], metric: &str, better: fn(f64, f64) -> bool) -> Truth {
        let mut best: Option<(f64, &str)> = None;
        for cell in self.of_interest(cells) {
            let Some(value) = cell.metrics.get(metric).copied().flatten() else { continue };
            if best.is_none_or(|(known, _)| better(value, known)) {
                best = Some((value, &cell.row));
            }
        }
        let unknown = || Truth::Unknown(format!("no row has {metric}"));
        best.map_or_else(unknown, |(_, row)| Truth::Word(row.to_owned()))
    }

    fn step(&self, cells: &[CellResult], text: &str, last: bool) -> Truth {
        let cell = match self.cell(cells, &self.row, &self.at) {
            Ok(cell) => cell,
            Err(why) => return Truth::Unknown(why),
        };
        let is = |step: &usize| cell.settings.script[*step].split(" -> ").next() == Some(text);
        let seen = cell.observation.iter().flat_map(|seen| &seen.steps);
        let mut found = seen.filter(|seen| seen.step < cell.settings.script.len() && is(&seen.step));
        let step = if last { found.next_back() } else { found.next() };
        let Some(outcome) = step.and_then(|seen| seen.outcomes.keys().next()) else {
            return Truth::Unknown(format!("{} did not come to {text:?}", self.row));
        };
        outcome.parse().map_or_else(|_| Truth::Word(outcome.clone()), Truth::Number)
    }
}

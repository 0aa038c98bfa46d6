//! From an experiment to the cells that run: rows times axes, each checked.
//!
//! What cannot work anywhere is refused here; what this machine lacks is found
//! by a probe later and skipped.

pub use super::check::{check, is_timed};
use super::error::ExperimentError;
use super::expectation::Expectation;
use super::file::{Axis, Experiment, Row};
use super::kernel::KernelRange;
use super::keys;
use super::settings::Settings;
use serde::{Deserialize, Serialize};
use toml::Value;

/// More would take days to run and all of memory to list.
const MOST_CELLS: usize = 100_000;

/// The unit that runs, is judged and is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub experiment: String,
    /// Stable and unique: experiment, row and the value of each axis.
    pub id: String,
    /// The row's name as the experiment spells it.
    pub row: String,
    /// Axis and value, in the order of the file.
    pub axes: Vec<(String, String)>,
    pub settings: Settings,
    pub needs: Vec<String>,
    pub expectations: Vec<Expectation>,
    /// Of a script: where its steps come from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Kernels that a script speaks about.
    #[serde(default, skip_serializing_if = "KernelRange::is_open")]
    pub kernel: KernelRange,
}

/// `--set key=value`; the value is TOML, a bare word, or a comma list of either.
#[derive(Clone, Debug)]
pub struct Set {
    pub key: String,
    pub values: Vec<Value>,
}

impl std::str::FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Set, String> {
        let (key, value) = text.split_once('=').ok_or("expected key=value, such as workers=64")?;
        let single = |text: &str| -> Value {
            // Whatever TOML does not understand is a bare word.
            let parsed = format!("v = {text}").parse::<toml::Table>();
            parsed.ok().and_then(|mut table| table.remove("v")).unwrap_or_else(|| Value::String(text.into()))
        };
        let whole = single(value);
        let values = match (&whole, value.contains(',')) {
            (Value::String(_), true) => value.split(',').map(|part| single(part.trim())).collect(),
            _ => vec![whole],
        };
        let key = key.trim().to_owned();
        for value in &values {
            keys::set(&mut Settings::default(), &key, value).map_err(|e| e.to_string())?;
        }
        Ok(Set { key, values })
    }
}

/// A name as part of an id: lower case, words joined by dashes.
pub fn slug(name: &str) -> String {
    let spaced: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join("-")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Experiment {
    /// All cells, in the order of the file, with `sets` applied last.
    pub fn cells(&self, sets: &[Set]) -> Result<Vec<Cell>, ExperimentError> {
        let axes = self.axes_with(sets);
        let count = axes.iter().try_fold(self.rows.len(), |product, axis| product.checked_mul(axis.values.len()));
        if count.is_none_or(|count| count > MOST_CELLS) {
            let message = format!("the matrix has more than {MOST_CELLS} cells; leave out values or axes");
            return Err(ExperimentError::new(&self.path, 0, message));
        }
        let mut cells = Vec::new();
        for combination in combinations(&axes) {
            for row in &self.rows {
                cells.push(self.cell(row, &combination, sets)?);
            }
        }
        Ok(cells)
    }

    /// The matrix after `--set`: a set of an axis replaces its values, a list
    /// for any other setting is a new axis.
    fn axes_with(&self, sets: &[Set]) -> Vec<Axis> {
        let mut axes = self.axes.clone();
        for set in sets {
            match axes.iter_mut().find(|axis| axis.key == set.key) {
                Some(axis) => axis.values.clone_from(&set.values),
                None if set.values.len() > 1 => {
                    axes.push(Axis { key: set.key.clone(), line: 0, values: set.values.clone() })
                }
                None => {}
            }
        }
        axes
    }

    fn cell(&self, row: &Row, combination: &[(String, Value)], sets: &[Set]) -> Result<Cell, ExperimentError> {
        let mut settings = Settings::default();
        let refused = |message: String| ExperimentError::new(&self.path, row.line, message);
        for a in self.defaults.iter().chain(&row.settings) {
            keys::set(&mut settings, &a.key, &a.placed.value)
                .map_err(|e| ExperimentError::new(&self.path, a.placed.line, e.to_string()))?;
        }
        for (key, value) in combination {
            keys::set(&mut settings, key, value).map_err(|e| refused(e.to_string()))?;
        }
        let single = sets.iter().filter(|set| set.values.len() == 1);
        for set in single {
            keys::set(&mut settings, &set.key, &set.values[0])
                .map_err(|e| ExperimentError::new("--set", 0, e.to_string()))?;
        }
        let axes: Vec<(String, String)> = combination.iter().map(|(key, value)| (key.clone(), plain(value))).collect();
        let mut id = format!("{}/{}", self.name, slug(&row.name));
        for (key, value) in &axes {
            id.push_str(&format!("/{key}={value}"));
        }
        check(&settings).map_err(|reason| refused(format!("{:?}: {reason}", row.name)))?;
        if settings.script.is_empty() && !(row.source.is_empty() && row.kernel.is_open()) {
            let message = "source, since and before belong to a script; for rules write them in [[expect]]";
            return Err(refused(format!("{:?}: {message}", row.name)));
        }
        Ok(Cell {
            experiment: self.name.clone(),
            id,
            row: row.name.clone(),
            axes,
            needs: needs(self.needs.iter().chain(&row.needs), &settings),
            expectations: self.expectations_for(row, &settings),
            source: row.source.clone(),
            kernel: row.kernel.clone(),
            settings,
        })
    }

    fn expectations_for(&self, row: &Row, settings: &Settings) -> Vec<Expectation> {
        let selected = self.expects.iter().filter(|expect| {
            (expect.rows.is_empty() || expect.rows.contains(&row.name))
                && expect.when.iter().all(|(key, values)| values.iter().any(|value| has(settings, key, value)))
        });
        selected.flat_map(|expect| expect.rules.clone()).collect()
    }
}

/// The probes a cell cannot do without: those that the file names, and those of
/// its object and waits.
fn needs<'a>(named: impl Iterator<Item = &'a String>, settings: &Settings) -> Vec<String> {
    let mut needs: Vec<String> = named.cloned().collect();
    if let Some(script) = settings.script() {
        let more = script.needs().filter(|need| !needs.iter().any(|known| known == need)).map(String::from);
        needs.extend(more.collect::<Vec<_>>());
        return needs;
    }
    if settings.is_study() {
        return needs;
    }
    let workers = distinct_workers(settings).map(|index| settings.for_worker(index));
    let of_waits = workers.filter_map(|worker| crate::wait::find(&worker.wait)?.needs(&worker));
    let of_pressure = super::pressure::needs(settings);
    let of_object = crate::object::find(&settings.object).and_then(|object| object.needs(settings));
    let of_network = settings.traffic.own_network.then_some("netns");
    for need in
        of_network.into_iter().chain(of_object).chain(settings.steering.needs()).chain(of_pressure).chain(of_waits)
    {
        if !needs.iter().any(|known| known == need) {
            needs.push(need.into());
        }
    }
    needs
}

/// Workers that may differ from each other: all of them, or one for all.
pub(super) fn distinct_workers(settings: &Settings) -> std::ops::Range<u32> {
    0..if settings.overrides.is_empty() { 1 } else { settings.workers }
}

/// Whether `settings` already are what setting `key` to `value` would make them.
fn has(settings: &Settings, key: &str, value: &Value) -> bool {
    let mut changed = settings.clone();
    keys::set(&mut changed, key, value).is_ok() && changed == *settings
}

/// Every combination of axis values; the last axis varies fastest.
fn combinations(axes: &[Axis]) -> Vec<Vec<(String, Value)>> {
    axes.iter().fold(vec![Vec::new()], |done, axis| {
        done.iter()
            .flat_map(|prefix| {
                axis.values.iter().map(move |value| {
                    let mut next = prefix.clone();
                    next.push((axis.key.clone(), value.clone()));
                    next
                })
            })
            .collect()
    })
}

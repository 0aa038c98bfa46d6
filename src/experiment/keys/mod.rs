//! The one table of setting names: how each is spelled, what it means, how it
//! is set. Experiment files, `--set`, overrides and the documentation all go
//! through it, so a setting cannot exist in one of them only.

use toml::Value;

use super::network;
use super::script::Script;
use super::settings::*;

mod table;

pub use table::KEYS;

/// Why a setting was refused; the caller knows the file and line.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum KeyError {
    #[error("unknown setting {name:?}{}", did_you_mean(.name, KEYS.iter().map(|k| k.name)))]
    Unknown { name: String },
    #[error("{key} must be {wanted}, not {found}{near}")]
    Type { key: String, wanted: String, found: String, near: String },
    #[error("{0}")]
    Other(String),
}

/// Why a setter refused a value.
enum Mistake {
    /// What it wanted, and the hint at a name that is near.
    Wanted(String, String),
    /// A whole message.
    Other(String),
}

impl From<&str> for Mistake {
    fn from(wanted: &str) -> Self {
        Mistake::Wanted(wanted.into(), String::new())
    }
}

impl From<String> for Mistake {
    fn from(wanted: String) -> Self {
        Mistake::Wanted(wanted, String::new())
    }
}

/// One setting.
pub struct Key {
    pub name: &'static str,
    pub values: &'static str,
    pub about: &'static str,
    /// May differ from worker to worker.
    pub per_worker: bool,
    set: fn(&mut Settings, &Value) -> Result<(), Mistake>,
}

/// `; did you mean "x"?`, or nothing when no name is near.
pub fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 2.max(name.len() / 3))
        .map(|(_, candidate)| format!("; did you mean {candidate:?}?"))
        .unwrap_or_default()
}

/// Sets `name` to `value`.
pub fn set(settings: &mut Settings, name: &str, value: &Value) -> Result<(), KeyError> {
    let key = find(name).ok_or_else(|| KeyError::Unknown { name: name.into() })?;
    (key.set)(settings, value).map_err(|mistake| match mistake {
        Mistake::Wanted(wanted, near) => KeyError::Type { key: name.into(), wanted, found: shown(value), near },
        Mistake::Other(message) => KeyError::Other(message),
    })
}

/// The setting of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// A value as a person would write it in a message.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

fn text(value: &Value) -> Result<String, Mistake> {
    value.as_str().map(str::to_owned).ok_or("a string".into())
}

fn flag(value: &Value) -> Result<bool, Mistake> {
    value.as_bool().ok_or("true or false".into())
}

fn number(value: &Value, min: u64, max: u64) -> Result<u64, Mistake> {
    let wanted = || Mistake::from(format!("a whole number from {min} to {max}"));
    let number = value.as_integer().ok_or_else(wanted)?;
    u64::try_from(number).ok().filter(|n| (min..=max).contains(n)).ok_or_else(wanted)
}

fn real(value: &Value, min: f64, max: f64) -> Result<f64, Mistake> {
    let number = value.as_float().or(value.as_integer().map(|n| n as f64));
    number.filter(|n| (min..=max).contains(n)).ok_or_else(|| format!("a number from {min} to {max}").into())
}

/// Reads an enum by its serde name, and lists the names when it is none of them.
fn one_of<T: serde::de::DeserializeOwned>(value: &Value, names: &[&str]) -> Result<T, Mistake> {
    let known = value.as_str().filter(|text| names.contains(text));
    known.and_then(|_| value.clone().try_into().ok()).ok_or_else(|| {
        let near = value.as_str().map(|text| did_you_mean(text, names.iter().copied())).unwrap_or_default();
        Mistake::Wanted(format!("one of {}", names.join(", ")), near)
    })
}

fn named(value: &Value, what: &str, names: &[&str]) -> Result<String, Mistake> {
    let text = text(value)?;
    if names.contains(&text.as_str()) {
        return Ok(text);
    }
    let near = match did_you_mean(&text, names.iter().copied()) {
        near if near.is_empty() => format!("; known are {}", names.join(", ")),
        near => near,
    };
    Err(Mistake::Other(format!("unknown {what} {text:?}{near}")))
}

fn placement(value: &Value) -> Result<PlacementKind, Mistake> {
    value.as_str().unwrap_or_default().parse().map_err(|wanted: String| Mistake::from(wanted))
}

fn interest(value: &Value) -> Result<Vec<String>, Mistake> {
    let wanted = || Mistake::from("a list of out, rdhup, pri");
    let list = value.as_array().ok_or_else(wanted)?;
    list.iter()
        .map(|item| match item.as_str() {
            Some(bit @ ("out" | "rdhup" | "pri")) => Ok(bit.to_owned()),
            _ => Err(wanted()),
        })
        .collect()
}

/// Settings of a network, each with a value; no others can be changed in one cell alone.
fn sysctls(value: &Value) -> Result<Vec<String>, Mistake> {
    let wanted = || Mistake::from("a list such as [\"net.ipv4.tcp_migrate_req=1\"]");
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(wanted)?;
    let read = |item: &Value| {
        let text = item.as_str().ok_or_else(wanted)?;
        let (name, value) = text.split_once('=').ok_or_else(wanted)?;
        if !network::is_setting(name) || value.is_empty() {
            let why = if value.is_empty() { format!("{name} has no value") } else { network::no_setting(name) };
            return Err(Mistake::Other(format!("sysctls, {text:?}: {why}")));
        }
        Ok(text.to_owned())
    };
    list.iter().map(read).collect()
}

/// The number of workers is that of the script.
fn script(settings: &mut Settings, value: &Value) -> Result<(), Mistake> {
    let wanted = "a list of statements such as [\"epoll e0\", \"wait e0 -> 0\"]";
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or(wanted)?;
    let lines: Vec<String> =
        list.iter().map(|line| line.as_str().map(str::to_owned)).collect::<Option<_>>().ok_or(wanted)?;
    let script = Script::parse(&lines)
        .map_err(|mistake| Mistake::Other(format!("script, {:?}: {}", lines[mistake.at], mistake.message)))?;
    settings.workers = script.workers.len() as u32;
    settings.script = lines;
    Ok(())
}

fn overrides(value: &Value) -> Result<Vec<Override>, Mistake> {
    let wanted = "a list of tables such as { workers = [0, 1], exclusive = false }";
    let list = value.as_array().ok_or(wanted)?;
    list.iter()
        .map(|entry| {
            let table = entry.as_table().ok_or(wanted)?;
            let workers = table
                .get("workers")
                .and_then(Value::as_array)
                .ok_or("a table with workers = [numbers]")?
                .iter()
                .map(|n| number(n, 0, 99_999).map(|n| n as u32))
                .collect::<Result<Vec<_>, _>>()?;
            let mut set_values = std::collections::BTreeMap::new();
            let mut scratch = Settings::default();
            for (name, value) in table.iter().filter(|(name, _)| *name != "workers") {
                if find(name).is_some_and(|key| !key.per_worker) {
                    return Err(Mistake::Other(format!("override: {name} holds for the whole cell")));
                }
                set(&mut scratch, name, value).map_err(|e| Mistake::Other(format!("override: {e}")))?;
                set_values.insert(name.clone(), value.clone());
            }
            Ok(Override { workers, set: set_values })
        })
        .collect()
}

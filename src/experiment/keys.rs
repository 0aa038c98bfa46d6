//! The one table of setting names: how each is spelled, what it means, how it
//! is set. Experiment files, `--set`, overrides and the documentation all go
//! through it, so a setting cannot exist in one of them only.

use super::script::Script;
use super::settings::*;
use toml::Value;

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

macro_rules! key {
    ($name:literal, $values:literal, $about:literal, $set:expr) => {
        Key { name: $name, values: $values, about: $about, per_worker: false, set: $set }
    };
    ($name:literal, $values:literal, $about:literal, per worker, $set:expr) => {
        Key { name: $name, values: $values, about: $about, per_worker: true, set: $set }
    };
}

/// Every setting there is.
pub const KEYS: &[Key] = &[
    key!("object", "a name from `herd list --objects`", "what is waited on", |s, v| {
        named(v, "object", &crate::object::names()).map(|x| s.object = x)
    }),
    key!("mode", "a mode of the object, from `herd list --objects`", "which variant of the object", |s, v| {
        text(v).map(|x| s.mode = x)
    }),
    key!("objects", "1..1100", "how many objects every worker watches, with sharing = shared", |s, v| {
        number(v, 1, 1100).map(|x| s.objects = x as u32)
    }),
    key!("group", "bool", "the shared objects form one SO_REUSEPORT group", |s, v| { flag(v).map(|x| s.group = x) }),
    key!("sharing", "shared | own", "one object for all, or one per worker (SO_REUSEPORT)", |s, v| {
        one_of(v, &["shared", "own"]).map(|x| s.sharing = x)
    }),
    key!("opened_by", "worker | coordinator", "who opens the objects of sharing = own", |s, v| {
        one_of(v, &["worker", "coordinator"]).map(|x| s.opened_by = x)
    }),
    key!(
        "steering",
        "hash | cbpf-cpu | ebpf-cpu | ebpf-round-robin | incoming-cpu",
        "who chooses in a SO_REUSEPORT group",
        |s, v| {
            one_of(v, &["hash", "cbpf-cpu", "ebpf-cpu", "ebpf-round-robin", "incoming-cpu"]).map(|x| s.steering = x)
        }
    ),
    key!("injector_cpu", "last | 0..1023", "the CPU on which events are made", |s, v| {
        s.injector_cpu = match v.as_str() {
            Some("last") => None,
            _ => Some(number(v, 0, 1023).map_err(|_| "last, or the number of a CPU")? as u32),
        };
        Ok(())
    }),
    key!("port", "0..65535", "TCP port; 0 lets the kernel choose a free one", |s, v| {
        number(v, 0, 65_535).map(|x| s.port = x as u16)
    }),
    key!("backlog", "0..65535", "listen(2) backlog", |s, v| { number(v, 0, 65_535).map(|x| s.backlog = x as u32) }),
    key!("placement", "processes | threads | PxT", "where the workers live", |s, v| {
        placement(v).map(|x| {
            s.placement = x;
            if let PlacementKind::Exact(exact) = x {
                s.workers = exact.workers();
            }
        })
    }),
    key!("workers", "1..100000", "how many workers wait", |s, v| {
        number(v, 1, 100_000).map(|x| s.workers = x as u32)
    }),
    key!("affinity", "none | spread | one", "which CPUs the workers may use", |s, v| {
        one_of(v, &["none", "spread", "one"]).map(|x| s.affinity = x)
    }),
    key!("load", "sequential | burst", "how events arrive", |s, v| {
        named(v, "load", &crate::load::names()).map(|x| s.load = x)
    }),
    key!("burst", "1..10000", "events fired back to back before the next barrier", |s, v| {
        number(v, 1, 10_000).map(|x| {
            s.burst = x;
            s.load = if x == 1 { "sequential" } else { "burst" }.into();
        })
    }),
    key!("events", "1..100000000", "how many events are fired", |s, v| {
        number(v, 1, 100_000_000).map(|x| s.events = x)
    }),
    key!("stranded", "fail | count", "events left while everybody sleeps: a lost wakeup, or the point", |s, v| {
        one_of(v, &["fail", "count"]).map(|x| s.stranded = x)
    }),
    key!("limit_ms", "1..600000", "how long one barrier may take", |s, v| {
        number(v, 1, 600_000).map(|x| s.limit_ms = x)
    }),
    key!("force", "bool", "attempt what the kernel refuses, so that its errno shows", |s, v| {
        flag(v).map(|x| s.force = x)
    }),
    key!("trial", "0..100000", "events per trial, for figures about small samples", |s, v| {
        number(v, 0, 100_000).map(|x| s.trial = x)
    }),
    key!("script", "list of statements", "descriptors, waiters and steps instead of a row of workers", |s, v| {
        script(s, v)
    }),
    key!("null_wakeups", "0..100000", "wakeups per event that the null wait pretends", |s, v| {
        number(v, 0, 100_000).map(|x| s.null.wakeups = x)
    }),
    key!("null_returns", "0..100000", "returns per event that the null wait pretends", |s, v| {
        number(v, 0, 100_000).map(|x| s.null.returns = x)
    }),
    key!("null_lose", "an event number", "the event that the null wait loses", |s, v| {
        number(v, 0, 100_000_000).map(|x| s.null.lose = Some(x))
    }),
    key!("null_flaky", "list of numbers", "wakeups per event of each repetition in turn, for the null wait", |s, v| {
        let list = v.as_array().ok_or("a list of numbers such as [1, 1, 2]")?;
        s.null.flaky = list.iter().map(|item| number(item, 0, 100_000)).collect::<Result<_, _>>()?;
        Ok(())
    }),
    key!("null_invalid", "text", "why the null wait could not measure", |s, v| {
        text(v).map(|x| s.null.invalid = Some(x))
    }),
    key!("override", "list of tables", "settings of single workers", |s, v| { overrides(v).map(|x| s.overrides = x) }),
    key!("kind", "a name from `herd list --waits`", "how a worker sleeps", per worker, |s, v| {
        named(v, "wait", &crate::wait::names()).map(|x| s.worker.wait = x)
    }),
    key!("instance", "private | shared | nested", "whose epoll instance", per worker, |s, v| {
        one_of(v, &["private", "shared", "nested"]).map(|x| s.worker.instance = x)
    }),
    key!("trigger", "level | edge", "level- or edge-triggered (EPOLLET)", per worker, |s, v| {
        one_of(v, &["level", "edge"]).map(|x| s.worker.trigger = x)
    }),
    key!("oneshot", "bool", "EPOLLONESHOT", per worker, |s, v| {
        flag(v).map(|x| s.worker.oneshot = x)
    }),
    key!("rearm", "bool", "with oneshot: re-arm by EPOLL_CTL_MOD after each return", per worker, |s, v| {
        flag(v).map(|x| s.worker.rearm = x)
    }),
    key!("exclusive", "bool", "EPOLLEXCLUSIVE (epoll, uring-poll)", per worker, |s, v| {
        flag(v).map(|x| s.worker.exclusive = x)
    }),
    key!("interest", "list of out, rdhup, pri", "event bits besides EPOLLIN", per worker, |s, v| {
        interest(v).map(|x| s.worker.interest = x)
    }),
    key!("modify", "bool", "after EPOLL_CTL_ADD, EPOLL_CTL_MOD with the same flags", per worker, |s, v| {
        flag(v).map(|x| s.worker.modify = x)
    }),
    key!("maxevents", "1..1024", "maxevents of epoll_wait", per worker, |s, v| {
        number(v, 1, 1024).map(|x| s.worker.maxevents = x as u32)
    }),
    key!("readd_every", "0..1000000", "delete and add the registration again every K claims", per worker, |s, v| {
        number(v, 0, 1_000_000).map(|x| s.worker.readd_every = x)
    }),
    key!("lock", "futex | flock | fcntl | sem", "what accept-lock takes around the accept", per worker, |s, v| {
        one_of(v, &["futex", "flock", "fcntl", "sem"]).map(|x| s.worker.lock = x)
    }),
    key!("call", "plain | ppoll | pselect6 | epoll_pwait2", "the system call of poll, select, epoll", per worker, |s, v| {
        one_of(v, &["plain", "ppoll", "pselect6", "epoll_pwait2"]).map(|x| s.worker.call = x)
    }),
    key!("ring", "private | shared", "whose io_uring; shared is for threads", per worker, |s, v| {
        one_of(v, &["private", "shared"]).map(|x| s.worker.ring = x)
    }),
    key!("ring_setup", "plain | single-issuer | defer-taskrun", "flags of io_uring_setup", per worker, |s, v| {
        one_of(v, &["plain", "single-issuer", "defer-taskrun"]).map(|x| s.worker.ring_setup = x)
    }),
    key!("owner", "group | thread", "whom sigio signals: every process, or who registered last", per worker, |s, v| {
        one_of(v, &["group", "thread"]).map(|x| s.worker.owner = x)
    }),
    key!("accept", "one | drain", "one attempt per return, or until EAGAIN", per worker, |s, v| {
        one_of(v, &["one", "drain"]).map(|x| s.worker.accept = x)
    }),
    key!("before_claim_us", "0..10000000", "busy time between return and claim", per worker, |s, v| {
        number(v, 0, 10_000_000).map(|x| s.worker.before_claim_us = x)
    }),
    key!("after_claim_us", "0..10000000", "busy time after a claim", per worker, |s, v| {
        number(v, 0, 10_000_000).map(|x| s.worker.after_claim_us = x)
    }),
    key!("busy", "spin | sleep", "busy on the CPU, or asleep (that switch is subtracted)", per worker, |s, v| {
        one_of(v, &["spin", "sleep"]).map(|x| s.worker.busy = x)
    }),
];

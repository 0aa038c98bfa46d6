//! From an experiment to the cells that run: rows times axes, each checked.
//!
//! What cannot work anywhere is refused here; what this machine lacks is found
//! by a probe later and skipped.

use super::error::ExperimentError;
use super::expectation::Expectation;
use super::file::{Axis, Experiment, Row};
use super::kernel::KernelRange;
use super::keys;
use super::script::Script;
use super::settings::{Instance, PlacementKind, Settings, Sharing, Steering};
use crate::object::Object;
use crate::wait::{Demand, Wait};
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
    let workers = distinct_workers(settings).map(|index| settings.for_worker(index));
    let of_waits = workers.clone().filter_map(|worker| crate::wait::find(&worker.wait)?.needs(&worker));
    let of_scheduling = workers.filter_map(|worker| worker.scheduling.needs());
    let of_quota = settings.pressure.quota.map(|_| "cgroup_cpu_controller");
    let of_object = crate::object::find(&settings.object).and_then(|object| object.needs(settings));
    for need in
        of_object.into_iter().chain(settings.steering.needs()).chain(of_quota).chain(of_scheduling).chain(of_waits)
    {
        if !needs.iter().any(|known| known == need) {
            needs.push(need.into());
        }
    }
    needs
}

/// Workers that may differ from each other: all of them, or one for all.
fn distinct_workers(settings: &Settings) -> std::ops::Range<u32> {
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

/// Programs choose among the sockets of a group, so there must be one.
fn refuse_steering(object: &dyn crate::object::Object, settings: &Settings) -> Result<(), String> {
    if settings.steering == Steering::Hash {
        return Ok(());
    }
    if !object.steers() {
        return Err(format!("{} has no groups in which a program could choose; leave out steering", object.name()));
    }
    if settings.sharing != Sharing::Own {
        return Err("steering chooses among one socket per worker; add sharing = \"own\"".into());
    }
    Ok(())
}

/// Why `object` cannot give what `wait` asks of it, if so.
fn refuse_demand(wait: &dyn Wait, object: &dyn Object, settings: &Settings) -> Option<String> {
    let (kind, name) = (wait.name(), object.name());
    let reason = match wait.demand() {
        Demand::Request if !object.takes_requests(settings) => {
            format!("io_uring has no request that takes work from {name}; use kind = \"uring-poll\" or \"block\"")
        }
        Demand::Connections if !object.listens() => {
            format!("{kind} is for listeners, and {name} is none; use an object that listens, such as tcp or unix")
        }
        Demand::Signals if !object.sends_signals(settings) => {
            format!("{name} sends no signals (its file has no fasync operation); use kind = \"poll\" or \"epoll\"")
        }
        _ => return None,
    };
    Some(reason)
}

/// A script stands alone: what it does not say itself must not be said beside it.
fn check_script(settings: &Settings, script: &Script) -> Result<(), String> {
    if settings.workers as usize != script.workers.len() {
        return Err(format!("the script has {} workers, but workers = {}", script.workers.len(), settings.workers));
    }
    if script.kills() && settings.placement().threads > 1 {
        return Err("kill ends a process and all workers in it; write placement = \"processes\"".into());
    }
    let mut rest = Settings { script: Vec::new(), workers: Settings::default().workers, ..settings.clone() };
    let plain = Settings::default();
    (rest.placement, rest.affinity, rest.limit_ms) = (plain.placement, plain.affinity, plain.limit_ms);
    match rest == plain {
        true => Ok(()),
        false => Err("a script says itself what is opened, who waits and what happens; only placement, affinity and \
                      limit_ms go with it"
            .into()),
    }
}

/// Settings of clients and of time, against load, object and waits.
fn check_traffic(settings: &Settings) -> Result<(), String> {
    let traffic = &settings.traffic;
    let object = crate::object::find(&settings.object).expect("the key table knows only listed objects");
    let timed = crate::load::pace(settings).is_some();
    let refuse = |when: bool, why: String| if when { Err(why) } else { Ok(()) };
    let (load, name) = (settings.load.as_str(), object.name());
    refuse(
        load == "paced" && traffic.rate == 0.0,
        "a paced load needs a rate; add rate = 1000 (events a second)".into(),
    )?;
    refuse(load == "closed" && traffic.clients == 0, "a closed load needs clients; add clients = 8".into())?;
    let only = [
        ("rate", "paced", traffic.rate > 0.0 && load != "paced"),
        ("arrivals", "paced", traffic.arrivals != Default::default() && load != "paced"),
        ("clients", "closed", traffic.clients > 0 && load != "closed"),
        ("duration_ms", "paced", traffic.duration_ms > 0 && !timed),
        ("patience_ms", "paced", traffic.patience_ms > 0 && !timed),
        ("late_us", "paced", traffic.late_us > 0 && !timed),
    ];
    for (key, of, set) in only {
        refuse(
            set,
            format!("{key} is a setting of {of} loads, and load = {load:?}; leave it out, or choose load = {of:?}"),
        )?;
    }
    refuse(
        settings.worker.reply && !object.listens(),
        format!(
            "a worker answers on a connection, and {name} has none; leave out reply, or choose an object that listens"
        ),
    )?;
    let silent = (0..settings.workers).map(|i| settings.for_worker(i).wait).find(|wait| wait == "acceptor");
    refuse(
        settings.worker.reply && silent.is_some(),
        "acceptor passes connections on and answers none; leave out reply".into(),
    )?;
    refuse(
        load == "closed" && !settings.worker.reply,
        "the clients of a closed load go on when they are answered; add reply = true".into(),
    )?;
    refuse(traffic.hot > traffic.connections, format!("hot = {} of {} connections", traffic.hot, traffic.connections))?;
    refuse((traffic.hot > 0) != (traffic.hot_share > 0.0), "hot and hot_share go together".into())?;
    refuse(
        !traffic.warmup.is_multiple_of(settings.burst),
        format!("warmup = {} is not a multiple of burst = {}", traffic.warmup, settings.burst),
    )?;
    refuse(
        traffic.flows > 0
            && (!object.has_flows() || traffic.connections > 0 || object.listens() && load != "sequential"),
        "flows are for udp, and for tcp where one connection ends before the next begins (load = \"sequential\", \
         connections = 0)"
            .into(),
    )?;
    if traffic.connections == 0 {
        return Ok(());
    }
    refuse(!object.takes_connections(), format!("connections stay only with tcp and tcp6, not with {name}"))?;
    for worker in distinct_workers(settings).map(|index| settings.for_worker(index)) {
        let adopts = match worker.wait.as_str() {
            "epoll" => worker.instance == Instance::Private && worker.readd_every == 0,
            wait => matches!(wait, "poll" | "null"),
        };
        refuse(
            !adopts,
            "connections that stay are waited on beside the listener: that can be done by poll, and by epoll with \
             instance = \"private\" and without readd_every"
                .into(),
        )?;
    }
    Ok(())
}

/// Refuses what no kernel can do, with the kernel's own reason.
pub fn check(settings: &Settings) -> Result<(), String> {
    let placed = settings.placement().workers();
    if let PlacementKind::Exact(exact) = settings.placement
        && placed != settings.workers
    {
        return Err(format!(
            "placement {exact} has {placed} workers, but workers = {}; set only one of the two, or placement = \"processes\"",
            settings.workers
        ));
    }
    if let Some(script) = settings.script() {
        return check_script(settings, &script);
    }
    check_traffic(settings)?;
    super::pressure::refuse(settings)?;
    if !settings.events.is_multiple_of(settings.burst) {
        return Err(format!("events = {} is not a multiple of burst = {}", settings.events, settings.burst));
    }
    for entry in &settings.overrides {
        if let Some(worker) = entry.workers.iter().find(|w| **w >= settings.workers) {
            return Err(format!(
                "override names worker {worker}, but there are only {} (0 to {})",
                settings.workers,
                settings.workers - 1
            ));
        }
    }
    let kinds: std::collections::BTreeSet<String> =
        (0..settings.workers).map(|i| settings.for_worker(i).wait).collect();
    let waits = || kinds.iter().map(|kind| crate::wait::find(kind).expect("the key table knows only listed waits"));
    if let Some(blocking) = waits().find(|wait| wait.blocks())
        && waits().any(|wait| !wait.blocks())
    {
        return Err(format!(
            "{} and waits that poll cannot share an object: O_NONBLOCK belongs to the open file, so either \
             the blocking claim would see EAGAIN or the others would block in theirs",
            blocking.name()
        ));
    }
    let object = crate::object::find(&settings.object).expect("the key table knows only listed objects");
    crate::object::refuse_mode(object, &settings.mode).map_or(Ok(()), Err)?;
    if let Some(kind) = kinds.iter().find(|kind| !matches!(kind.as_str(), "block" | "null"))
        && !object.has_descriptor()
    {
        return Err(format!("{} has no descriptor for {kind} to watch; use kind = \"block\"", object.name()));
    }
    refuse_steering(object, settings)?;
    for wait in waits() {
        refuse_demand(wait, object, settings).map_or(Ok(()), Err)?;
    }
    object.refuse(settings).map_or(Ok(()), Err)?;
    for worker in distinct_workers(settings).map(|index| settings.for_worker(index)) {
        let wait = crate::wait::find(&worker.wait).expect("the key table knows only listed waits");
        match wait.refuse(&worker, settings) {
            Some(reason) if !(settings.force && reason.forcible) => return Err(reason.to_string()),
            _ => {}
        }
    }
    Ok(())
}

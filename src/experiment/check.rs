//! Which settings go together: refuses what no kernel can do, with its own reason.

use super::Settings;
use super::cells::distinct_workers;
use super::script::Script;
use super::settings::{Instance, PlacementKind, Protocol, Sharing, Steering, StudySettings};
use crate::object::Object;
use crate::study::Takes;
use crate::wait::{Demand, Wait};

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
    if let (Some(what), 2..) = (script.whole_process(), settings.placement().threads) {
        return Err(format!("{what} a process and all workers in it; write placement = \"processes\""));
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

/// A study takes what it says it takes, and nothing of what cells with events have.
fn check_study(settings: &Settings) -> Result<(), String> {
    let study = crate::study::find(&settings.study.name).expect("the key table knows only listed studies");
    let (name, plain) = (study.name(), Settings::default());
    let known = || study.modes().iter().map(|(mode, _)| *mode);
    if !settings.mode.is_empty() && !known().any(|mode| mode == settings.mode) {
        let near = super::keys::did_you_mean(&settings.mode, known());
        let listed = known().collect::<Vec<_>>().join(", ");
        return Err(match listed.is_empty() {
            true => format!("{name} has no modes; leave out mode"),
            false => format!("unknown mode {:?} of {name}{near}; it has {listed}", settings.mode),
        });
    }
    if let Some(tasks) = study.tasks()
        && settings.workers != tasks
    {
        return Err(format!("{name} has {tasks} tasks of its own; leave out workers"));
    }
    let mut rest =
        Settings { mode: String::new(), limit_ms: plain.limit_ms, workers: plain.workers, ..settings.clone() };
    (rest.study.name, rest.study.samples) = (String::new(), 0);
    for takes in study.takes() {
        match takes {
            Takes::Placement => rest.placement = plain.placement,
            Takes::Affinity => rest.affinity = plain.affinity,
            Takes::Touched => rest.study.touched_kib = 0,
        }
    }
    if rest == plain {
        return study.refuse(settings).map_or(Ok(()), Err);
    }
    let takes: Vec<&str> = study.takes().iter().map(|takes| takes.key()).collect();
    let workers = if study.tasks().is_none() { ", workers" } else { "" };
    let more = takes.iter().map(|key| format!(", {key}")).collect::<String>();
    Err(format!("the study {name} takes mode, samples, limit_ms{workers}{more} and nothing else; leave out the rest"))
}

/// Whether the load goes by the clock or by clients instead of by barriers.
pub fn is_timed(settings: &Settings) -> bool {
    crate::load::pace(settings).is_some()
}

/// Settings of clients and of time, against load, object and waits.
fn check_traffic(settings: &Settings) -> Result<(), String> {
    let traffic = &settings.traffic;
    let object = crate::object::find(&settings.object).expect("the key table knows only listed objects");
    let timed = is_timed(settings);
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
        timed && !object.queues(),
        format!(
            "{load} makes events while workers are awake, and {name} keeps none for them; use load = \"sequential\""
        ),
    )?;
    refuse(
        settings.worker.reply && !object.listens(),
        format!(
            "a worker answers on a connection, and {name} has none; leave out reply, or choose an object that listens"
        ),
    )?;
    refuse(
        traffic.protocol == Protocol::Http && (!settings.worker.reply || traffic.connections > 0),
        "protocol = \"http\" is one answer on each connection; add reply = true, and leave out connections".into(),
    )?;
    refuse(
        traffic.protocol == Protocol::Http && !object.takes_connections(),
        format!("protocol = \"http\" is spoken over tcp and tcp6, not over {name}"),
    )?;
    check_attached(settings, object)?;
    check_keep_alive(settings, timed)?;
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
    if traffic.connections + traffic.idle_connections == 0 {
        return Ok(());
    }
    refuse(
        traffic.connections > 0 && traffic.idle_connections > 0,
        "idle_connections are beside short ones; of connections that stay, hot and hot_share leave some idle".into(),
    )?;
    refuse(!object.takes_connections(), format!("connections stay only with tcp and tcp6, not with {name}"))?;
    for worker in distinct_workers(settings).map(|index| settings.for_worker(index)) {
        let adopts = match worker.wait.as_str() {
            "epoll" => worker.instance == Instance::Private && worker.readd_every == 0,
            "fork-per-client" | "thread-per-client" => traffic.connections == 0,
            wait => matches!(wait, "poll" | "null"),
        };
        refuse(
            !adopts,
            "connections that stay are waited on beside the listener: that can be done by poll, and by epoll with \
             instance = \"private\" and without readd_every; idle_connections also by fork-per-client and \
             thread-per-client"
                .into(),
        )?;
    }
    Ok(())
}

/// Several requests on one connection, and who can serve them.
fn check_keep_alive(settings: &Settings, timed: bool) -> Result<(), String> {
    let traffic = &settings.traffic;
    if traffic.keep_alive < 2 {
        return Ok(());
    }
    let refuse = |when: bool, why: String| if when { Err(why) } else { Ok(()) };
    refuse(
        traffic.protocol != Protocol::Http || !timed,
        "keep_alive is of HTTP requests under a load that goes by clients or by the clock; add protocol = \"http\" and \
         load = \"closed\", \"paced\" or \"attached\""
            .into(),
    )?;
    for worker in distinct_workers(settings).map(|index| settings.for_worker(index)) {
        let wait = worker.wait.as_str();
        let (can, why) = match wait {
            "epoll" => (
                worker.instance == Instance::Private && worker.readd_every == 0 && !worker.oneshot,
                "a loop waits on its clients beside the listener: use instance = \"private\", without oneshot and \
                 readd_every",
            ),
            "select" => (false, "a set of select(2) does not grow here; use kind = \"poll\""),
            "sigio" => (false, "a signal does not say which client asked; use kind = \"epoll\""),
            "uring" | "uring-multishot" | "uring-poll" => (
                false,
                "this ring takes connections and reads no requests, so it would serve one client at a time; use kind \
                 = \"epoll\", or \"block\" for that",
            ),
            _ => (true, ""),
        };
        refuse(!can, format!("keep_alive with {wait}: {why}"))?;
        refuse(
            worker.after_claim_us > 0 || worker.before_claim_us > 0,
            "the busy time of a worker is that of a connection, and keep_alive has several requests on one; leave out \
             after_claim_us and before_claim_us"
                .into(),
        )?;
    }
    Ok(())
}

/// Foreign clients must know where to come and when it is over.
fn check_attached(settings: &Settings, object: &dyn Object) -> Result<(), String> {
    let traffic = &settings.traffic;
    let refuse = |when: bool, why: &str| if when { Err(why.into()) } else { Ok(()) };
    if crate::load::pace(settings) != Some(crate::load::Pace::Attached) {
        return Ok(());
    }
    refuse(!object.takes_connections(), "foreign clients come to a TCP port; use object = \"tcp\" or \"tcp6\"")?;
    refuse(settings.port == 0, "foreign clients must know where to come; add port = 8080")?;
    refuse(traffic.duration_ms == 0, "nobody says how many foreign clients come; add duration_ms = 10000")?;
    refuse(
        traffic.warmup > 0 || traffic.connections > 0 || traffic.own_network,
        "warmup, connections and own_network need clients of our own; leave them out of an attached load",
    )
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
    if settings.is_study() {
        return check_study(settings);
    }
    if settings.study != StudySettings::default() {
        return Err("touched and samples are settings of a study; add study = \"..\", or leave them out".into());
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
        distinct_workers(settings).map(|i| settings.for_worker(i).wait).collect();
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

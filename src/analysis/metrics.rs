//! The one table of metrics: name, unit, meaning, and how it follows from an
//! observation. Tables, JSON, help and expectations take their names from here.
//!
//! Wakeups sort into three kinds: *needed* (the worker returned and took work),
//! *visible* spurious (it returned and found nothing) and *hidden* spurious (it
//! slept again inside the kernel and user space never knew).

use std::collections::BTreeMap;

pub use super::facts::Facts;
use super::facts::{ratio, us};
use super::figures::FIGURES;
use super::winners;
use crate::experiment::script::{Step, Wanted};

/// A named number.
pub struct Metric {
    pub name: &'static str,
    pub unit: &'static str,
    pub about: &'static str,
    /// Has a value in every event: an exact expectation holds for each of them.
    pub per_event: bool,
    /// `None`: a figure of a study, which has it under this name.
    pub(super) compute: Option<fn(&Facts<'_>) -> Option<f64>>,
}

/// A metric's value, with its extremes over the rounds where it has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

macro_rules! metric {
    ($name:literal, $unit:literal, $about:literal, $compute:expr) => {
        Metric { name: $name, unit: $unit, about: $about, per_event: false, compute: Some($compute) }
    };
    ($name:literal, $unit:literal, $about:literal, per event, $compute:expr) => {
        Metric { name: $name, unit: $unit, about: $about, per_event: true, compute: Some($compute) }
    };
}

/// Every metric, in the order of `herd list --metrics`.
pub const METRICS: &[Metric] = &[
    metric!("events", "events", "fired by the injector", |f| Some(f.seen.fired as f64)),
    metric!("claims", "events", "taken by a worker", |f| Some(f.claims() as f64)),
    metric!("stranded", "events", "left in the object while everybody sleeps", |f| Some(f.seen.stranded as f64)),
    metric!("wakeups", "wakeups", "sleeping workers made runnable by the kernel", |f| Some(f.wakeups() as f64)),
    metric!("wakeups_per_event", "wakeups per event", "the herd: 1 is perfect, N is everybody", per event, |f| {
        f.per_event(f.wakeups())
    }),
    metric!("wakeups_per_event_min", "wakeups per event", "fewest in any round", |f| {
        f.spread(&f.seen.wakeups_per_round).map(|s| s[0])
    }),
    metric!("wakeups_per_event_median", "wakeups per event", "median over the rounds", |f| {
        f.spread(&f.seen.wakeups_per_round).map(|s| s[1])
    }),
    metric!("wakeups_per_event_max", "wakeups per event", "most in any round", |f| {
        f.spread(&f.seen.wakeups_per_round).map(|s| s[2])
    }),
    metric!("wakeups_per_round", "wakeups per round", "between two barriers: one event, or one burst", |f| {
        let rounds: u64 = f.seen.wakeups_per_round.values().sum();
        ratio(f.wakeups() as f64, rounds)
    }),
    metric!("returns_per_event", "returns per event", "wait calls that came back to user space", per event, |f| {
        f.per_event(f.seen.total(|w| w.returns))
    }),
    metric!("needed_per_event", "wakeups per event", "returns that took work", |f| f.per_event(f.useful_returns())),
    metric!("spurious_per_event", "wakeups per event", "wakeups beyond the needed ones: hidden plus visible", |f| {
        f.per_event(f.spurious())
    }),
    metric!(
        "spurious_hidden_per_event",
        "wakeups per event",
        "woken and asleep again inside the kernel; no EAGAIN shows it",
        |f| { f.per_event(f.spurious() - f.visible()) }
    ),
    metric!("spurious_visible_per_event", "wakeups per event", "returned and found nothing: EAGAIN", |f| f
        .per_event(f.visible())),
    metric!("empty_returns_per_event", "returns per event", "returns that took nothing, slept before or not", |f| {
        f.per_event(f.seen.total(|w| w.empty_returns))
    }),
    metric!(
        "eagain_per_event",
        "errors per event",
        "claim attempts that found nothing, also those that end a drain",
        |f| { f.per_event(f.seen.total(|w| w.errors.get("EAGAIN").copied().unwrap_or(0))) }
    ),
    metric!("dsleeps", "sleeps", "uninterruptible sleeps among the wakeups, where the source can tell", |f| {
        f.seen.dsleeps.map(|n| n as f64)
    }),
    metric!("max_share", "part of the claims", "claims of the busiest worker", |f| {
        let largest = f.shares().into_iter().max()?;
        ratio(largest as f64, f.claims())
    }),
    metric!("max_mean", "ratio", "claims of the busiest worker over the mean", |f| {
        let shares = f.shares();
        ratio(*shares.iter().max()? as f64 * shares.len() as f64, f.claims())
    }),
    metric!("held_max_share", "part of the connections", "connections that stay with the worker that has most", |f| {
        let held = f.seen.workers.iter().map(|w| w.held);
        ratio(held.clone().max()? as f64, held.sum())
    }),
    metric!("held_idle_workers", "workers", "workers without a connection that stays", |f| {
        let held = f.seen.workers.iter().map(|w| w.held);
        (held.clone().sum::<u64>() > 0).then(|| held.filter(|count| *count == 0).count() as f64)
    }),
    metric!("idle_workers", "workers", "workers without a claim", |f| {
        Some(f.shares().iter().filter(|c| **c == 0).count() as f64)
    }),
    metric!("jain", "index", "Jain's fairness index of the claims: 1 is even, 1/N is all to one", |f| winners::jain(
        &f.shares()
    )),
    metric!("chi_square", "statistic", "of the claims against equal shares, N-1 degrees of freedom", |f| {
        (f.claims() > 0).then(|| winners::chi_square(&f.shares()))
    }),
    metric!("trial_max_mean", "events", "claims of the busiest worker in a trial, averaged (see trial)", |f| f
        .trial()
        .map(|t| t.0)),
    metric!("trial_idle_share", "part of the trials", "trials that left a worker idle (see trial)", |f| f
        .trial()
        .map(|t| t.1)),
    metric!("distinct_objects", "objects", "different objects watched by all workers together, by inode", |f| {
        let mut inodes: Vec<u64> = f.seen.workers.iter().flat_map(|w| w.objects.iter().copied()).collect();
        inodes.sort_unstable();
        inodes.dedup();
        (!inodes.is_empty()).then_some(inodes.len() as f64)
    }),
    metric!("involuntary_switches", "switches", "preemptions of workers", |f| {
        Some(f.seen.total(|w| w.involuntary_switches) as f64)
    }),
    metric!(
        "claim_latency_us_p50",
        "us",
        "from just before the event to the claim, median; shown, never judged",
        |f| { f.latency_us(f.seen.claim_latency.p50) }
    ),
    metric!("claim_latency_us_p99", "us", "the same, 99th percentile", |f| f.latency_us(f.seen.claim_latency.p99)),
    metric!("claim_latency_us_max", "us", "the same, largest", |f| f.latency_us(f.seen.claim_latency.max)),
    metric!("claim_latency_us_p999", "us", "the same, 99.9th percentile", |f| us(f.seen.claim_latency, |l| l.p999)),
    metric!("claim_latency_us_p9999", "us", "the same, 99.99th percentile", |f| us(f.seen.claim_latency, |l| l.p9999)),
    metric!(
        "wake_latency_us_p50",
        "us",
        "from just before a single event to the wake of the worker that took it (bpf)",
        |f| us(f.seen.wake_latency, |l| l.p50)
    ),
    metric!("wake_latency_us_p99", "us", "the same, 99th percentile", |f| us(f.seen.wake_latency, |l| l.p99)),
    metric!("return_latency_us_p50", "us", "from just before the event to the return that took it, median", |f| us(
        f.seen.return_latency,
        |l| l.p50
    )),
    metric!("return_latency_us_p99", "us", "the same, 99th percentile", |f| us(f.seen.return_latency, |l| l.p99)),
    metric!("reply_latency_us_p50", "us", "from the intended start of an event to its answer, median", |f| us(
        f.seen.traffic.as_ref()?.reply,
        |l| l.p50
    )),
    metric!("reply_latency_us_p99", "us", "the same, 99th percentile", |f| us(f.seen.traffic.as_ref()?.reply, |l| l
        .p99)),
    metric!("reply_latency_us_p999", "us", "the same, 99.9th percentile", |f| us(
        f.seen.traffic.as_ref()?.reply,
        |l| l.p999
    )),
    metric!("reply_latency_us_p9999", "us", "the same, 99.99th percentile", |f| us(
        f.seen.traffic.as_ref()?.reply,
        |l| l.p9999
    )),
    metric!("reply_latency_us_max", "us", "the same, largest", |f| us(f.seen.traffic.as_ref()?.reply, |l| l.max)),
    metric!("reply_latency_us_mean", "us", "from the intended start of an event to its answer, mean", |f| {
        f.seen.traffic.as_ref().filter(|t| t.reply_mean_ns > 0).map(|t| t.reply_mean_ns as f64 / 1000.0)
    }),
    metric!("mean_in_flight", "clients", "under way, on average over the time (timed loads)", |f| {
        f.traffic(|t| t.in_flight_ns as f64 / t.busy_ns.max(1) as f64)
    }),
    metric!(
        "littles_law",
        "ratio",
        "mean_in_flight over the rate of answers times their mean latency; 1 if all were answered",
        |f| {
            let traffic = f.seen.traffic.as_ref()?;
            // The mean is that of answers, of which keep_alive has several for each client.
            let inside = traffic.all_answers() * traffic.reply_mean_ns;
            ratio(traffic.in_flight_ns as f64, inside)
        }
    ),
    metric!("lag_us_p99", "us", "how late the generator made its events, 99th percentile", |f| us(
        f.seen.traffic.as_ref()?.lag,
        |l| l.p99
    )),
    metric!("served", "clients", "answered, or claimed where nobody answers (timed loads)", |f| f
        .traffic(|t| t.clients.served as f64)),
    metric!("late", "clients", "of the served ones, those later than late_us", |f| f
        .traffic(|t| t.clients.late as f64)),
    metric!("late_share", "part of the events", "clients served later than late_us", |f| {
        f.traffic(|t| t.clients.late as f64 / f.seen.fired.max(1) as f64)
    }),
    metric!("refused", "clients", "ECONNREFUSED, or a full queue of a unix socket", |f| f
        .traffic(|t| t.clients.refused as f64)),
    metric!("reset", "clients", "cut off before the answer", |f| f.traffic(|t| t.clients.reset as f64)),
    metric!("timed_out", "clients", "gave up after patience_ms", |f| f.traffic(|t| t.clients.timed_out as f64)),
    metric!("failed", "clients", "could not be made or ended otherwise", |f| f.traffic(|t| t.clients.failed as f64)),
    metric!("served_per_second", "clients per second", "from the first event to the last answer (timed loads)", |f| {
        f.traffic(|t| t.clients.served as f64 * 1e9 / t.busy_ns.max(1) as f64)
    }),
    metric!("answers", "requests", "answered; keep_alive has several for each client served", |f| {
        f.traffic(|t| t.all_answers() as f64)
    }),
    metric!("answers_per_second", "answers per second", "as served_per_second, of all requests (keep_alive)", |f| {
        f.traffic(|t| t.all_answers() as f64 * 1e9 / t.busy_ns.max(1) as f64)
    }),
    metric!("cpu_us_per_answer", "us per answer", "as cpu_us_per_event, of all requests (keep_alive)", |f| {
        f.seen.traffic.as_ref().and_then(|t| ratio(f.cpu_ns() as f64 / 1000.0, t.all_answers()))
    }),
    metric!("generator_cpu_us_per_event", "us per event", "CPU time of the process that makes the events", |f| {
        f.traffic(|t| t.generator_cpu_ns as f64 / 1000.0 / f.seen.fired.max(1) as f64)
    }),
    metric!("listen_overflows", "connections", "TcpExt ListenOverflows of this network rose by", |f| f
        .drops("ListenOverflows")),
    metric!("listen_drops", "connections", "TcpExt ListenDrops of this network rose by", |f| f.drops("ListenDrops")),
    metric!(
        "claim_latency_p99_drift",
        "ratio",
        "99th percentile in the last third of the events over that in the middle one; outside 0.5 to 2 the machine had not settled",
        |f| {
            let [middle, last] = f.seen.late_p99;
            (middle > 0 && last > 0).then(|| last as f64 / middle as f64)
        }
    ),
    metric!(
        "generator_cpu_share",
        "CPUs",
        "of the process that makes the events; near 1 it is the generator that limits the rate",
        |f| { f.traffic(|t| t.generator_cpu_ns as f64 / t.busy_ns.max(1) as f64) }
    ),
    metric!(
        "cpu_us_per_event",
        "us per event",
        "CPU time of all workers; of timed loads with all children and threads they made",
        |f| { ratio(f.cpu_ns() as f64 / 1000.0, f.seen.fired) }
    ),
    metric!(
        "voluntary_switches_per_event",
        "switches per event",
        "sleeps of workers and of children and threads they made (timed loads)",
        |f| {
            let of_helpers = f.server(|s| s.helper_voluntary)?;
            ratio(of_helpers + f.seen.total(|w| w.voluntary_switches) as f64, f.seen.fired)
        }
    ),
    metric!("involuntary_switches_per_event", "switches per event", "preemptions of the same (timed loads)", |f| {
        let of_helpers = f.server(|s| s.helper_involuntary)?;
        ratio(of_helpers + f.seen.total(|w| w.involuntary_switches) as f64, f.seen.fired)
    }),
    metric!("page_faults_per_event", "faults per event", "of the same, minor and major (timed loads)", |f| {
        ratio(f.server(|s| s.faults)?, f.seen.fired)
    }),
    metric!("helpers", "tasks", "children or threads made for single clients (timed loads)", |f| f
        .server(|s| s.helpers)),
    metric!("tasks", "tasks", "threads and processes of the server that live at the end (timed loads)", |f| f
        .server(|s| s.tasks)),
    metric!("memory_kib", "KiB", "memory of the same at the end: PSS without shared memory", |f| f
        .server(|s| s.memory_kib)
        .filter(|kib| *kib > 0.0)),
    metric!("cpu_max_mean", "ratio", "CPU time of the busiest worker over the mean", |f| {
        let busy = f.busy_ns();
        ratio(*busy.iter().max()? as f64 * busy.len() as f64, busy.iter().sum())
    }),
    metric!("cpu_jain", "index", "Jain's fairness index of the CPU time of the workers", |f| winners::jain(
        &f.busy_ns()
    )),
    metric!("throttled", "periods", "in which the workers had used up their quota of CPU time", |f| {
        f.seen.throttling.map(|t| t.throttled as f64)
    }),
    metric!("throttled_ms", "ms", "for which the quota held workers back, summed over the CPUs", |f| {
        f.seen.throttling.map(|t| t.held_ns as f64 / 1e6)
    }),
    metric!("steps", "steps", "of a script, those of which something is expected", |f| {
        f.settings.script().map(|script| script.checks().count() as f64)
    }),
    metric!("steps_held", "steps", "of these, those that came to what is expected in every round", |f| {
        let script = f.settings.script()?;
        let held = |(at, _, wanted): &(usize, &Step, &Wanted)| {
            let seen = f.seen.steps.iter().find(|seen| seen.step == *at);
            seen.is_some_and(|seen| seen.outcomes.keys().all(|outcome| wanted.allows(outcome)))
        };
        Some(script.checks().filter(held).count() as f64)
    }),
    metric!("events_per_second", "events per second", "barriers included", |f| {
        ratio(f.seen.fired as f64 * 1e9, f.seen.elapsed_ns)
    }),
    metric!("quiet_us_per_event", "us per event", "spent in the barrier after the last claim", |f| {
        ratio(f.seen.quiet_ns as f64 / 1000.0, f.seen.fired)
    }),
];

/// A column of tables that is no number: the claims of each worker.
pub const CLAIMS_BY_WORKER: &str = "claims_by_worker";

/// What a column of a table shows, with the unit.
pub fn column(name: &str) -> Option<(&'static str, &'static str)> {
    if name == CLAIMS_BY_WORKER {
        return Some(("claims of each worker, in registration order", "events"));
    }
    find(name).map(|metric| (metric.about, metric.unit))
}

/// All metrics: those of workers and events, then those of studies.
pub fn all_metrics() -> impl Iterator<Item = &'static Metric> {
    METRICS.iter().chain(FIGURES)
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    all_metrics().map(|metric| metric.name)
}

/// The metric of that name.
pub fn find(name: &str) -> Option<&'static Metric> {
    all_metrics().find(|metric| metric.name == name)
}

impl Metric {
    /// Its value with extremes; without rounds or samples of its own all three are equal.
    pub fn value(&self, facts: &Facts<'_>) -> Option<Value> {
        let Some(compute) = self.compute else {
            let figure = facts.seen.figures.get(self.name)?;
            return Some(Value { mean: figure.median, min: figure.min, max: figure.max });
        };
        let mean = compute(facts)?;
        let spread = match self.name {
            "wakeups_per_event" => facts.spread(&facts.seen.wakeups_per_round),
            "returns_per_event" => facts.spread(&facts.seen.returns_per_round),
            _ => None,
        };
        let [min, _, max] = spread.unwrap_or([mean; 3]);
        Some(Value { mean, min, max })
    }
}

/// All metrics of one cell. A study has its figures, those it had to leave out as
/// null, and no events to have others of.
pub fn all(facts: &Facts<'_>) -> BTreeMap<String, Option<f64>> {
    if facts.settings.is_study() {
        let seen = facts.seen;
        let omitted = seen.omitted.keys().map(|name| (name.clone(), None));
        return omitted.chain(seen.figures.iter().map(|(name, f)| (name.clone(), Some(f.median)))).collect();
    }
    let pairs = METRICS.iter().map(|metric| (metric.name.to_owned(), metric.value(facts).map(|value| value.mean)));
    pairs.collect()
}

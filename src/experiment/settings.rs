//! Everything one cell can be told, with its defaults.
//!
//! Split in two: what holds for the whole cell, and what may differ from worker
//! to worker (`override` in an experiment). Both are plain data: they travel to
//! the cell's process as JSON and come back inside the result.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use super::placement::{Placement, PlacementKind};
pub use super::pressure::{Affinity, Cpu, Policy, Pressure, Quota, Scheduling};
use super::script::Script;
use super::special::is_default;
pub use super::special::{RingOwner, RingSetup, SignalOwner, WaitCall};
pub use super::study::StudySettings;
pub use super::traffic::{Arrivals, Protocol, Traffic};

/// How workers get at the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// Every worker watches the same object or objects.
    #[default]
    Shared,
    /// One object per worker, all in one SO_REUSEPORT group.
    Own,
}

/// Who opens the objects of [`Sharing::Own`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenedBy {
    /// Each worker, when its turn to register comes.
    #[default]
    Worker,
    /// The coordinator opens all of them, in worker order, before it forks.
    Coordinator,
}

/// What to do when everybody sleeps and events are left in the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stranded {
    /// A lost wakeup: the cell fails.
    #[default]
    Fail,
    /// Part of the experiment: counted and shown.
    Count,
}

/// Whose epoll instance a worker waits on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Instance {
    /// Each worker has its own.
    #[default]
    Private,
    /// One for all, made before the workers exist.
    Shared,
    /// A shared inner instance watches the object, a private outer one watches it.
    Nested,
}

/// Which lock `accept-lock` takes around the accept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lock {
    /// A word in shared memory and futex(2).
    #[default]
    Futex,
    /// flock(2): belongs to the open file.
    Flock,
    /// fcntl(2), F_SETLKW: belongs to the process.
    Fcntl,
    /// sem_wait(3) in shared memory.
    Sem,
}

/// Who chooses the socket in a SO_REUSEPORT group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Steering {
    /// The kernel, by a hash of addresses and ports.
    #[default]
    Hash,
    /// A classic BPF program: the CPU modulo the number of sockets.
    CbpfCpu,
    /// The same in eBPF.
    EbpfCpu,
    /// An eBPF program that counts.
    EbpfRoundRobin,
    /// No program: the socket of worker i asks for CPU i, by SO_INCOMING_CPU.
    IncomingCpu,
}

impl Steering {
    /// The probe that tries it.
    pub fn needs(self) -> Option<&'static str> {
        match self {
            Steering::Hash => None,
            Steering::CbpfCpu => Some("reuseport_cbpf"),
            Steering::EbpfCpu | Steering::EbpfRoundRobin => Some("reuseport_ebpf"),
            // Not whether the group heeds it: that differs between kernels.
            Steering::IncomingCpu => Some("so_incoming_cpu"),
        }
    }
}

/// Level- or edge-triggered (EPOLLET).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    #[default]
    Level,
    Edge,
}

/// How much a worker takes after one return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accept {
    /// One attempt per ready object.
    #[default]
    One,
    /// Until the object says EAGAIN.
    Drain,
}

/// How long a worker is busy each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// Always the same.
    #[default]
    Constant,
    /// Exponentially distributed, with that mean.
    Exponential,
}

/// How a worker is kept busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Busy {
    /// On the CPU.
    #[default]
    Spin,
    /// Asleep; its own context switch is subtracted from the wakeups.
    Sleep,
}

/// What may differ from worker to worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerSettings {
    /// Name of the wait, from the list in `wait`.
    pub wait: String,
    pub instance: Instance,
    pub trigger: Trigger,
    pub oneshot: bool,
    /// With `oneshot`: re-arm by EPOLL_CTL_MOD after each claim.
    pub rearm: bool,
    pub exclusive: bool,
    /// Event bits besides `in`: any of `out`, `rdhup`, `pri`.
    pub interest: Vec<String>,
    /// After adding, modify the registration with the same flags.
    pub modify: bool,
    pub maxevents: u32,
    /// Delete and add the registration again every K claims; 0 is never.
    pub readd_every: u64,
    pub lock: Lock,
    #[serde(skip_serializing_if = "is_default")]
    pub call: WaitCall,
    #[serde(skip_serializing_if = "is_default")]
    pub ring: RingOwner,
    #[serde(skip_serializing_if = "is_default")]
    pub ring_setup: RingSetup,
    #[serde(skip_serializing_if = "is_default")]
    pub owner: SignalOwner,
    pub accept: Accept,
    pub before_claim_us: u64,
    pub after_claim_us: u64,
    pub busy: Busy,
    #[serde(skip_serializing_if = "is_default")]
    pub work: Work,
    /// Answer the client: after each claim, when the busy time is over.
    #[serde(skip_serializing_if = "is_default")]
    pub reply: bool,
    /// Busy once, for so long, at claim number `stall_at` (counted from 1).
    #[serde(skip_serializing_if = "is_default")]
    pub stall_us: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub stall_at: u64,
    #[serde(flatten)]
    pub scheduling: Scheduling,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        WorkerSettings {
            wait: "block".into(),
            instance: Instance::default(),
            trigger: Trigger::default(),
            oneshot: false,
            rearm: true,
            exclusive: false,
            interest: Vec::new(),
            modify: false,
            maxevents: 1,
            readd_every: 0,
            lock: Lock::default(),
            call: WaitCall::default(),
            ring: RingOwner::default(),
            ring_setup: RingSetup::default(),
            owner: SignalOwner::default(),
            accept: Accept::default(),
            before_claim_us: 0,
            after_claim_us: 0,
            busy: Busy::default(),
            work: Work::default(),
            reply: false,
            stall_us: 0,
            stall_at: 0,
            scheduling: Scheduling::default(),
        }
    }
}

/// Settings that some workers have and the others have not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Override {
    /// Worker numbers, in registration order, from 0.
    pub workers: Vec<u32>,
    pub set: BTreeMap<String, toml::Value>,
}

/// What the `null` wait pretends, so that reports can be tested without a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NullScript {
    pub wakeups: u64,
    pub returns: u64,
    /// Event number that nobody comes for.
    pub lose: Option<u64>,
    /// Wakeups per event of each repetition in turn, instead of `wakeups`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flaky: Vec<u64>,
    /// Why nothing could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid: Option<String>,
}

impl Default for NullScript {
    fn default() -> Self {
        NullScript { wakeups: 1, returns: 1, lose: None, flaky: Vec::new(), invalid: None }
    }
}

/// Everything one cell is told.
///
/// A stored result may come from a herd that knew fewer settings: it then had
/// the defaults of those.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Name of the object, from the list in `object`.
    pub object: String,
    /// Which variant of it; empty is the first one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// How many of them, with shared sharing; every worker watches all.
    pub objects: u32,
    /// The shared objects form one SO_REUSEPORT group.
    pub group: bool,
    pub sharing: Sharing,
    pub opened_by: OpenedBy,
    pub steering: Steering,
    /// Where events are made; `None` is the last CPU that herd may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injector_cpu: Option<u32>,
    /// 0: the kernel chooses a free one.
    pub port: u16,
    pub backlog: u32,
    pub placement: PlacementKind,
    pub workers: u32,
    pub affinity: Affinity,
    /// Name of the load, from the list in `load`.
    pub load: String,
    /// Events fired back to back by a burst.
    pub burst: u64,
    pub events: u64,
    pub stranded: Stranded,
    /// How long a barrier may take before the cell is invalid or the event lost.
    pub limit_ms: u64,
    /// Attempt what the kernel is known to refuse, so that its errno shows.
    pub force: bool,
    /// Events per trial, for figures about small samples; 0 is one trial.
    pub trial: u64,
    pub null: NullScript,
    /// Statements that are the whole cell; see `script`. Empty for rows of workers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub script: Vec<String>,
    #[serde(flatten)]
    pub study: StudySettings,
    /// Loads that go by the clock or by clients.
    #[serde(flatten)]
    pub traffic: Traffic,
    #[serde(flatten)]
    pub pressure: Pressure,
    #[serde(flatten)]
    pub worker: WorkerSettings,
    #[serde(rename = "override", default)]
    pub overrides: Vec<Override>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            object: "tcp".into(),
            mode: String::new(),
            objects: 1,
            group: false,
            sharing: Sharing::default(),
            opened_by: OpenedBy::default(),
            steering: Steering::default(),
            injector_cpu: None,
            port: 0,
            backlog: 512,
            placement: PlacementKind::Processes,
            workers: 8,
            affinity: Affinity::default(),
            load: "sequential".into(),
            burst: 1,
            events: 101,
            stranded: Stranded::default(),
            limit_ms: 2000,
            force: false,
            trial: 0,
            null: NullScript::default(),
            script: Vec::new(),
            study: StudySettings::default(),
            traffic: Traffic::default(),
            pressure: Pressure::default(),
            worker: WorkerSettings::default(),
            overrides: Vec::new(),
        }
    }
}

impl Settings {
    /// The script, for a cell that is one.
    ///
    /// # Panics
    /// When it is wrong; the planner has checked it.
    pub fn script(&self) -> Option<Script> {
        (!self.script.is_empty()).then(|| Script::parse(&self.script).expect("scripts are checked in the plan"))
    }

    /// The placement in figures.
    pub fn placement(&self) -> Placement {
        match self.placement {
            PlacementKind::Processes => Placement { processes: self.workers, threads: 1 },
            PlacementKind::Threads => Placement { processes: 1, threads: self.workers },
            PlacementKind::Exact(placement) => placement,
        }
    }

    /// How long a client waits for its answer, in milliseconds.
    pub fn patience_ms(&self) -> u64 {
        if self.traffic.patience_ms > 0 { self.traffic.patience_ms } else { self.limit_ms }
    }

    /// Whether that is true of some worker; without overrides one is as good as all.
    pub fn some_worker(&self, holds: impl Fn(&WorkerSettings) -> bool) -> bool {
        super::cells::distinct_workers(self).any(|index| holds(&self.for_worker(index)))
    }

    /// Whether some worker sleeps while it is busy, so that a timer wakes it.
    pub fn sleeps_in_holds(&self) -> bool {
        self.some_worker(|w| w.busy == Busy::Sleep && w.before_claim_us + w.after_claim_us + w.stall_us > 0)
    }

    /// The settings of worker `index`, with its overrides applied.
    ///
    /// # Panics
    /// When an override is wrong; the planner has checked each of them.
    pub fn for_worker(&self, index: u32) -> WorkerSettings {
        if self.overrides.is_empty() {
            return self.worker.clone();
        }
        let mut copy = self.clone();
        for entry in self.overrides.iter().filter(|o| o.workers.contains(&index)) {
            for (key, value) in &entry.set {
                super::keys::set(&mut copy, key, value).expect("overrides are checked in the plan");
            }
        }
        copy.worker
    }
}

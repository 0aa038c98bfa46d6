//! Raw facts of one cell, as its process reports them. No judgement in here:
//! words such as spurious and needed begin with the metrics.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the cell ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum End {
    /// All events were fired and everybody slept at the end.
    Complete,
    /// A call was refused while worker `worker` was set up.
    Refused { worker: Option<u32>, call: String, errno: String },
    /// Everybody slept and event `event` was still in the object.
    Lost {
        event: u64,
        /// One line per worker: state, wait channel, kernel stack where readable.
        /// Not `workers`: this is flattened into the observation, which has one.
        states: Vec<String>,
    },
    /// Something could not be measured.
    Invalid {
        reason: String,
        /// The machine was too slow this once; another try may do.
        #[serde(default)]
        again: bool,
    },
    /// Somebody asked us to stop.
    Interrupted,
    /// This machine has not what it takes, such as memory or a second CPU.
    Unable { reason: String },
}

/// Facts about one worker, in registration order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerFacts {
    /// Sleeps ended between the first and the last barrier, own sleeps subtracted.
    pub wakeups: u64,
    /// Of those, uninterruptible ones, where the source can tell.
    pub dsleeps: Option<u64>,
    pub returns: u64,
    pub claims: u64,
    /// Connections that stay with it; see the setting `connections`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: u64,
    /// Returns that took nothing.
    #[serde(rename = "empties")]
    pub empty_returns: u64,
    /// Claim attempts and waits that failed, by errno name.
    pub errors: BTreeMap<String, u64>,
    /// Sleeps the lab itself asked for (`busy = "sleep"`).
    pub own_sleeps: u64,
    /// By /proc: sleeps of either kind, and those that something prevented.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    pub cpu_ns: u64,
    /// Inode numbers of the objects this worker watches.
    pub objects: Vec<u64>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// One barrier to the next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub wakeups: u64,
    pub returns: u64,
    pub claims: u64,
}

/// What one worker did after one event; times in nanoseconds after it was fired.
/// `None` is "did not happen" or "this source cannot tell".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    pub worker: u32,
    /// The kernel made it runnable (sched_waking), on behalf of this thread, on this CPU.
    pub woken_ns: Option<u64>,
    pub waker: Option<u32>,
    pub waker_cpu: Option<u32>,
    /// It got a CPU.
    pub running_ns: Option<u64>,
    pub cpu: Option<u32>,
    pub returned_ns: Option<u64>,
    pub claimed_ns: Option<u64>,
    /// It left the CPU for the last time.
    pub asleep_ns: Option<u64>,
}

/// One event drawn out: from fire to quiet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Counted from 0.
    pub event: u64,
    /// When the call that made the event returned, and when everybody was seen asleep.
    pub fire_returned_ns: u64,
    pub quiet_ns: u64,
    pub lanes: Vec<Lane>,
}

/// A latency distribution in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub samples: u64,
    pub min: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    #[serde(default)]
    pub p999: u64,
    #[serde(default)]
    pub p9999: u64,
    pub max: u64,
}

/// What became of the clients of a timed load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// Answered, or claimed where nobody answers.
    pub served: u64,
    /// Of these, later than `late_us`.
    pub late: u64,
    /// ECONNREFUSED, or a full queue of a unix socket (EAGAIN).
    pub refused: u64,
    /// Cut off before the answer.
    pub reset: u64,
    /// Gave up after `patience_ms`.
    pub timed_out: u64,
    /// Failed in any other way.
    pub failed: u64,
}

impl Clients {
    /// Those that were not served.
    pub fn lost(&self) -> u64 {
        self.refused + self.reset + self.timed_out + self.failed
    }
}

/// What a load that goes by the clock or by clients came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    pub clients: Clients,
    /// Answers to requests; more than clients served where `keep_alive` has several on
    /// one connection. 0 in files from before there was that.
    pub answers: u64,
    /// From the intended start of an event to its answer.
    pub reply: Latency,
    /// From the intended start of an event to the moment it was made: large, and
    /// the generator could not keep up.
    pub lag: Latency,
    /// Mean of the same, in nanoseconds; 0 where nobody answers.
    pub reply_mean_ns: u64,
    /// Clients times nanoseconds that they were under way: from the intended start of
    /// each to its end.
    pub in_flight_ns: u64,
    /// From the first event to the last answer or claim.
    pub busy_ns: u64,
    /// CPU time of the process that makes the events.
    pub generator_cpu_ns: u64,
    /// What the kernel's counters of this network rose by, by name: TcpExt of
    /// /proc/net/netstat, Udp of /proc/net/snmp; others may have caused it, too.
    pub drops: BTreeMap<String, u64>,
}

impl Traffic {
    /// Answers; files from before they were counted have one for each client served.
    pub fn all_answers(&self) -> u64 {
        self.answers.max(self.clients.served)
    }
}

/// What the processes of the workers came to under a timed load, with the children and
/// threads that served single clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerFacts {
    /// CPU time of everybody.
    pub cpu_ns: u64,
    /// Page faults of everybody, minor and major.
    pub faults: u64,
    /// Children or threads made for single clients, and their context switches.
    pub helpers: u64,
    pub helper_voluntary: u64,
    pub helper_involuntary: u64,
    /// At the end: threads of all processes, zombies left out, and their memory (PSS
    /// without shared memory, in KiB; 0 where the kernel does not say).
    pub tasks: u64,
    pub memory_kib: u64,
}

/// What the group of the workers went through, whose CPU time is limited (cpu.stat).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttling {
    /// In which a worker wanted to run.
    pub periods: u64,
    /// Of these, those in which the quota was used up.
    pub throttled: u64,
    /// How long workers were held back, summed over the CPUs.
    pub held_ns: u64,
}

impl Throttling {
    /// What was added since `before`.
    pub fn since(self, before: Throttling) -> Throttling {
        Throttling {
            periods: self.periods - before.periods,
            throttled: self.throttled - before.throttled,
            held_ns: self.held_ns - before.held_ns,
        }
    }
}

/// How often a step of a script came to the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    pub rounds: u64,
    /// The first of these rounds, counted from 1.
    pub first: u64,
}

/// What came of a step of a script of which something is expected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSeen {
    /// Its place among the statements, counted from 0.
    pub step: usize,
    /// A number, an errno, workers by name, `none` or `asleep`.
    pub outcomes: BTreeMap<String, Times>,
}

/// One figure of a study, over its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub samples: u64,
    pub min: f64,
    /// The lower one of the two in the middle of an even number.
    pub median: f64,
    pub max: f64,
}

impl Figure {
    /// `None` without samples, and with one that is no number.
    pub fn of(mut samples: Vec<f64>) -> Option<Figure> {
        if samples.is_empty() || !samples.iter().all(|sample| sample.is_finite()) {
            return None;
        }
        samples.sort_unstable_by(f64::total_cmp);
        let (min, median, max) = (samples[0], samples[(samples.len() - 1) / 2], samples[samples.len() - 1]);
        Some(Figure { samples: samples.len() as u64, min, median, max })
    }
}

/// Figures of every study: tasks it made, and those it saw end and reaped.
pub const TASKS_MADE: &str = "tasks_made";
pub const TASKS_REAPED: &str = "tasks_reaped";

/// Everything one cell saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    #[serde(flatten)]
    pub end: End,
    /// Where the wakeups come from.
    pub count_source: String,
    /// In registration order. A stored cell has them beside the observation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<WorkerFacts>,
    /// Events fired by the injector, its own count.
    pub fired: u64,
    /// Events left in the object after the last barrier.
    pub stranded: u64,
    /// Events per round.
    pub batch: u64,
    /// How many rounds had how many wakeups.
    pub wakeups_per_round: BTreeMap<u64, u64>,
    /// How many rounds had how many returns.
    pub returns_per_round: BTreeMap<u64, u64>,
    /// Worker number of each claim, in the order of the claims; cut at a limit.
    pub winners: Vec<u32>,
    /// With --trace: every round.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<Round>,
    /// From just before the event is made until the worker has it.
    pub claim_latency: Latency,
    /// From the event to the moment the worker that took it was made runnable; of
    /// single events, where the source knows it.
    #[serde(default)]
    pub wake_latency: Latency,
    /// From the event to the return that took it.
    #[serde(default)]
    pub return_latency: Latency,
    /// Under a quota of CPU time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttling: Option<Throttling>,
    /// Of a timed load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// Of a timed load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerFacts>,
    /// 99th percentile of the claim latency in the middle third of the events and in the
    /// last one: far apart, the machine had not settled. Zero without samples.
    #[serde(default)]
    pub late_p99: [u64; 2],
    /// From the first event to the last barrier.
    pub elapsed_ns: u64,
    /// Time spent in barriers after the last claim was seen.
    pub quiet_ns: u64,
    /// Uninterruptible sleeps of all workers that are not among the wakeups of
    /// the rounds, where the source can tell.
    #[serde(default)]
    pub dsleeps: Option<u64>,
    /// Why better sources of counts could not be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources_refused: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<Timeline>,
    /// Things worth knowing that do not spoil the counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Of a script: what came of each step that was reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepSeen>,
    /// Of a study: its figures by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, Figure>,
    /// Of a study: why a figure cannot be had here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub omitted: BTreeMap<String, String>,
    /// Of a study: what it saw that is no number, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

impl Observation {
    /// An observation in which nothing happened yet.
    pub fn empty(end: End) -> Observation {
        Observation {
            end,
            count_source: String::new(),
            workers: Vec::new(),
            fired: 0,
            stranded: 0,
            batch: 1,
            wakeups_per_round: BTreeMap::new(),
            returns_per_round: BTreeMap::new(),
            winners: Vec::new(),
            rounds: Vec::new(),
            claim_latency: Latency::default(),
            wake_latency: Latency::default(),
            return_latency: Latency::default(),
            throttling: None,
            traffic: None,
            server: None,
            late_p99: [0; 2],
            elapsed_ns: 0,
            quiet_ns: 0,
            dsleeps: None,
            sources_refused: Vec::new(),
            timeline: None,
            warnings: Vec::new(),
            steps: Vec::new(),
            figures: BTreeMap::new(),
            omitted: BTreeMap::new(),
            said: String::new(),
        }
    }

    /// How many rounds went from barrier to barrier.
    pub fn rounds(&self) -> u64 {
        self.wakeups_per_round.values().sum()
    }

    /// Sum of one fact over the workers.
    pub fn total(&self, fact: impl Fn(&WorkerFacts) -> u64) -> u64 {
        self.workers.iter().map(fact).sum()
    }
}

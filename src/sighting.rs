//! What `herd attach` saw of a server that is not ours: plain data.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::results::Environment;

/// How a thread sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Waits {
    /// In accept(2) itself.
    Accept,
    Poll,
    Select,
    Epoll,
    /// In io_uring_enter(2); for which descriptor it asked cannot be seen from outside.
    IoUring,
    /// For a lock: futex, flock, fcntl, semop.
    Lock,
    /// Anywhere else, or awake.
    Elsewhere,
}

/// What a ring is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RingRequest {
    Accept,
    /// Readiness, be it of one descriptor or of an epoll instance.
    Poll,
}

impl fmt::Display for RingRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RingRequest::Accept => "accept",
            RingRequest::Poll => "poll",
        })
    }
}

/// Where a thread was seen asleep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    pub waits: Waits,
    /// In words: `epoll_wait on 8`.
    pub call: String,
    /// Inodes of the listeners it waits at there.
    pub listeners: Vec<u64>,
    /// Whether the wait is exclusive; `None` where that cannot be seen.
    pub exclusive: Option<bool>,
    /// Equal for those who sleep in the same epoll instance.
    pub instance: Option<u32>,
    /// What its ring is asked for, where the kernel shows it.
    pub request: Option<RingRequest>,
}

/// A thread's sleeps, by what it had done since the sleep before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Turns {
    /// It had got a connection.
    pub took: u64,
    /// It had asked for one, and was told EAGAIN.
    pub refused: u64,
    /// No call had ended: woken, and slept on inside a call that waits for connections.
    pub hidden: u64,
    /// Something else: data, room to send, a timer, the end of a connection.
    pub other: u64,
}

impl Turns {
    /// Those that may be a herd's: all but the last kind.
    pub fn for_connections(self) -> u64 {
        self.took + self.refused + self.hidden
    }
}

/// One thread that serves the listeners.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worker {
    pub pid: u32,
    pub tid: u32,
    pub name: String,
    pub place: Place,
    /// In how many looks it was seen at a listener, in how many at a lock, and in how
    /// many in an epoll instance without the listener that its process holds.
    pub looks_at_listener: u64,
    pub looks_at_lock: u64,
    pub looks_without: u64,
    /// Began after we did, or ended before.
    pub came: bool,
    pub went: bool,
    /// Interruptible sleeps; with the source `proc` all sleeps.
    pub wakeups: u64,
    /// `None` where the source cannot tell.
    pub turns: Option<Turns>,
    /// What accept gave it, and how often it said EAGAIN.
    pub connections: Option<u64>,
    pub empties: Option<u64>,
    pub cpu_ns: u64,
}

/// A socket that the server listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listener {
    pub inode: u64,
    pub address: String,
    /// So many of the processes have it.
    pub processes: usize,
}

/// How the counting ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    Done,
    /// By this signal.
    Interrupted(i32),
    /// The parent ended while we counted.
    ParentEnded,
    /// We could not go on, for this reason.
    Broken(String),
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sighting {
    pub herd: &'static str,
    pub environment: Environment,
    pub parent: u32,
    pub name: String,
    /// Where the counts come from, and why no better source could be had.
    pub source: &'static str,
    pub sources_refused: Vec<String>,
    /// Whether the connections were made by herd, each from quiet to quiet.
    pub own_connections: bool,
    pub elapsed_ns: u64,
    pub ending: Ending,
    pub listeners: Vec<Listener>,
    pub workers: Vec<Worker>,
    /// Threads of the server that have nothing to do with its listeners.
    pub other_threads: usize,
    pub other_wakeups: u64,
    /// How often all were looked at, and the most that were at a listener in one look.
    pub looks: u64,
    pub most_at_listener: u64,
    /// Connections that came, and how that is known.
    pub connections: Option<u64>,
    pub connections_from: &'static str,
    /// Own connections alone: so many connections cost so many wakeups.
    pub wakeups_of_connections: BTreeMap<u64, u64>,
    /// Own connections alone: so many in a row went to the same worker, at most.
    pub longest_run: Option<u64>,
    /// Own connections alone: wakeups between two of them.
    pub wakeups_between: u64,
    pub warnings: Vec<String>,
}

impl Sighting {
    /// Wakeups of all workers that may be for connections: without those that are known
    /// to be for something else.
    pub fn for_connections(&self) -> u64 {
        let of = |worker: &Worker| worker.turns.map_or(worker.wakeups, Turns::for_connections);
        self.workers.iter().map(of).sum()
    }

    /// The same per connection; `None` without one.
    pub fn per_connection(&self) -> Option<f64> {
        let connections = self.connections.filter(|n| *n > 0)?;
        Some(self.for_connections() as f64 / connections as f64)
    }

    /// Whether data and timers are kept out of [`Sighting::for_connections`].
    pub fn separated(&self) -> bool {
        self.own_connections || self.workers.iter().all(|worker| worker.turns.is_some())
    }
}

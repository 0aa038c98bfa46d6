//! What `herd load` saw: plain data, and the names that its JSON has.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::observation::Latency;
use crate::results::Environment;

/// Raised when a name of the document changes its meaning.
pub const SCHEMA: u32 = 1;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Wish {
    pub url: String,
    /// The address, or the socket, that it came to.
    pub address: String,
    /// Connections at a time, at most.
    pub clients: u64,
    /// Requests a second of an open loop; none is a closed loop.
    pub rate: Option<f64>,
    /// At random times instead of equal distances.
    pub poisson: bool,
    pub keep_alive: bool,
    /// 0 is without end.
    pub duration_ms: u64,
    /// 0 is without end.
    pub requests: u64,
    pub warmup_ms: u64,
    /// How long a client waits for its answer.
    pub timeout_ms: u64,
}

/// Requests without a good answer, by kind; each is in one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Errors {
    /// ECONNREFUSED, or a full queue of a unix socket (EAGAIN).
    pub refused: u64,
    /// Cut off before the end of the answer.
    pub reset: u64,
    pub timed_out: u64,
    /// What came is no HTTP answer.
    pub bad_answer: u64,
    /// Failed in any other way.
    pub failed: u64,
    /// Whole answers with a status of 400 or more, by status.
    pub status: BTreeMap<u16, u64>,
}

impl Errors {
    /// Requests that have no whole answer.
    pub fn lost(&self) -> u64 {
        self.refused + self.reset + self.timed_out + self.bad_answer + self.failed
    }

    pub fn all(&self) -> u64 {
        self.lost() + self.status.values().sum::<u64>()
    }
}

/// All of it; the figures are those of requests that began after the warm-up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Loaded {
    pub schema: u32,
    pub herd: &'static str,
    pub environment: Environment,
    pub wish: Wish,
    /// `complete`, `interrupted` by a signal, `gone`: the server, or `machine`: ours is at an end.
    pub end: &'static str,
    /// Requests made.
    pub requests: u64,
    /// Whole answers, whatever their status.
    pub answered: u64,
    pub errors: Errors,
    /// Under way when it was interrupted: neither answered nor an error.
    pub under_way: u64,
    /// Connections used; with a warm-up some were opened in it.
    pub connections: u64,
    /// Requests that were sent once more, since the server had just closed the
    /// connection that stayed (RFC 9112, section 9.3.1).
    pub again: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Whole answers a second.
    pub per_second: f64,
    /// From the intended start of a request, which in a closed loop is when its client was
    /// free, to the end of its answer; in nanoseconds. A new connection is part of it.
    pub latency_ns: Latency,
    /// The same from the moment it was really made: what a careless client says.
    pub from_making_ns: Latency,
    /// CPU time of herd, as a part of one CPU.
    pub own_cpu_share: f64,
    /// The same for each answer, in microseconds.
    pub own_cpu_us: f64,
    /// Why the latencies are those of an overload, if they are.
    pub saturated: Option<String>,
    /// What else a reader must know.
    pub notes: Vec<String>,
}

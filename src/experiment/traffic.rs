//! Settings of loads that go by the clock or by clients, and of what clients do.

use serde::{Deserialize, Serialize};

use super::special::is_default;

/// How the events of a paced load follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Constant,
    /// Independently of each other: exponential distances.
    Poisson,
}

/// What clients and workers say to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A worker that answers sends four bytes: which event it was.
    #[default]
    Tag,
    /// The client sends an HTTP/1.0 request, the worker a short answer, and closes.
    Http,
}

/// What is left out is 0, and means what the line says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Of a paced load, events a second.
    #[serde(skip_serializing_if = "is_default")]
    pub rate: f64,
    #[serde(skip_serializing_if = "is_default")]
    pub arrivals: Arrivals,
    #[serde(skip_serializing_if = "is_default")]
    pub protocol: Protocol,
    /// HTTP requests on one connection, one after the other; 0 and 1 are one.
    #[serde(skip_serializing_if = "is_default")]
    pub keep_alive: u64,
    /// Of a closed load.
    #[serde(skip_serializing_if = "is_default")]
    pub clients: u64,
    /// A timed load ends after so long instead of after `events`; 0 is never.
    #[serde(skip_serializing_if = "is_default")]
    pub duration_ms: u64,
    /// Events before the measured ones; all sleep in between.
    #[serde(skip_serializing_if = "is_default")]
    pub warmup: u64,
    /// Connections that are opened first and stay; events are messages on them.
    #[serde(skip_serializing_if = "is_default")]
    pub connections: u64,
    /// Connections that are opened first, say nothing and stay; events are other ones.
    #[serde(skip_serializing_if = "is_default")]
    pub idle_connections: u64,
    /// The first so many of `connections` get `hot_share` of the messages.
    #[serde(skip_serializing_if = "is_default")]
    pub hot: u64,
    #[serde(skip_serializing_if = "is_default")]
    pub hot_share: f64,
    /// The cell has a network of its own, so that its queues and counters are nobody
    /// else's and its settings may change.
    #[serde(skip_serializing_if = "is_default")]
    pub own_network: bool,
    /// Settings of that network, `net.name=value`.
    #[serde(skip_serializing_if = "is_default")]
    pub sysctls: Vec<String>,
    /// So many client addresses in turn, each a flow for the hash of a group; 0 is
    /// another one for every event.
    #[serde(skip_serializing_if = "is_default")]
    pub flows: u64,
    /// How long a client waits for its answer; 0 is `limit_ms`.
    #[serde(skip_serializing_if = "is_default")]
    pub patience_ms: u64,
    /// A client that is served later than this is counted as late; 0 is none.
    #[serde(skip_serializing_if = "is_default")]
    pub late_us: u64,
    /// Changes nothing: as an axis it runs cells again, in turn with the others.
    #[serde(skip_serializing_if = "is_default")]
    pub sample: u64,
}

//! Looks at a server that is not ours, and counts its wakeups, without touching it: no
//! signal, no ptrace, nothing written. It reads /proc, and counters of the kernel.
//!
//! Judges nothing; `analysis::pattern` does.

mod clients;
pub mod counter;
mod describe;
mod place;
mod processes;
mod quiet;
mod server;
mod sockets;
mod stop;
mod target;

use std::time::{Duration, Instant};

use crate::environment;
use crate::sighting::Sighting;
use crate::sys::descriptors;

use clients::Rounds;
use server::Server;
use stop::Stop;

/// What to look at, and for how long.
#[derive(Clone, Debug)]
pub struct Request {
    /// The process whose descendants are the server.
    pub parent: u32,
    /// Only listeners at this port.
    pub port: Option<u16>,
    /// Count for so long ..
    pub time: Duration,
    /// .. or until so many connections were accepted.
    pub events: Option<u64>,
    /// Make so many connections ourselves instead, one at a time.
    pub connect: Option<u64>,
    /// Count with this source instead of the best there is.
    pub count_with: Option<String>,
}

/// Why we cannot even begin: one message for the user.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Looks and counts. `started` is told once the counting has begun.
pub fn observe(request: &Request, started: &mut dyn FnMut(&str)) -> Result<Sighting, Refusal> {
    // First: it looks at the machine before we load it ourselves.
    let environment = environment::read();
    let mut stop = Stop::new(request.parent).map_err(Refusal)?;
    // A thread costs up to seven descriptors.
    descriptors::raise_limit();
    let mut server = Server::open(request)?;
    let target = request.connect.map(|_| server.target()).transpose().map_err(Refusal)?;
    server.look();
    started(&format!("counting with {} in {} threads", server.source(), server.threads()));
    let begun = Instant::now();
    let (ending, rounds) = match (request.connect, target) {
        (Some(count), Some((target, others))) => {
            let mut rounds = Rounds::new(target, others);
            let ending = rounds.run(&mut server, &mut stop, count);
            (ending, Some(rounds))
        }
        _ => (server.count(&mut stop, request.time, request.events), None),
    };
    let elapsed_ns = begun.elapsed().as_nanos() as u64;
    let mut seen = server.describe(environment, ending, elapsed_ns);
    if let Some(rounds) = rounds {
        rounds.tell(&server, &mut seen);
    }
    Ok(seen)
}

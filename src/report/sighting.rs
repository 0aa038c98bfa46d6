//! What `herd attach` saw, for a terminal or a program. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::Serialize;
use tabled::builder::Builder;

use super::table::{ruled, wrapped};
use crate::analysis::judge::decimals;
use crate::analysis::pattern::{Finding, wakeups};
use crate::sighting::{Ending, Place, Sighting, Turns, Waits, Worker};

/// The schema of the document; see ARCHITECTURE.md.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    #[serde(flatten)]
    seen: &'a Sighting,
    wakeups_per_connection: Option<f64>,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// The whole document.
pub fn json(seen: &Sighting, finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let document = Document { schema: SCHEMA, seen, wakeups_per_connection: seen.per_connection(), finding };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

/// What was looked at, a line for each worker, the sums, and the pattern last.
pub fn table(seen: &Sighting, finding: &Finding, width: usize, out: &mut dyn Write) -> io::Result<()> {
    let environment = &seen.environment;
    let head = format!(
        "{} (pid {}), {}, counted with {} for {:.1} s; Linux {}, {} CPUs, herd {}.",
        seen.name,
        seen.parent,
        some(seen.workers.len(), "worker", "workers"),
        seen.source,
        seen.elapsed_ns as f64 / 1e9,
        environment.kernel_release,
        environment.cpus_online,
        seen.herd
    );
    lines(out, width, "", &head)?;
    for (address, sockets) in by_address(seen) {
        let text = match sockets.as_slice() {
            [one] => format!("one socket, in {}", some(*one, "process", "processes")),
            many => format!("{} sockets of one group (SO_REUSEPORT)", many.len()),
        };
        lines(out, width, "  ", &format!("Listens at {address}: {text}."))?;
    }
    for (place, threads) in places(seen) {
        let who = match threads.as_slice() {
            all if all.len() == seen.workers.len() && all.len() > 1 => format!("All {} workers", all.len()),
            some => some.join(", "),
        };
        let verb = if threads.len() == 1 { "sleeps" } else { "sleep" };
        lines(out, width, "  ", &format!("{who} {verb} in {place}."))?;
    }
    if !seen.workers.is_empty() {
        writeln!(out, "\n{}\n", drawn(seen))?;
    }
    for text in sums(seen) {
        lines(out, width, "", &text)?;
    }
    for warning in refused(seen).iter().chain(&seen.warnings).chain(&ended(seen)) {
        lines(out, width, "", &format!("note: {warning}"))?;
    }
    writeln!(out)?;
    lines(out, width, "", &format!("Pattern: {} - {}.", finding.pattern, finding.why))?;
    lines(out, width, "", &format!("Next: {}", finding.next.join("; ")))
}

/// For each address, how many processes have each of its sockets.
fn by_address(seen: &Sighting) -> BTreeMap<&str, Vec<usize>> {
    let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for listener in &seen.listeners {
        found.entry(&listener.address).or_default().push(listener.processes);
    }
    found
}

fn drawn(seen: &Sighting) -> String {
    let processes: BTreeSet<u32> = seen.workers.iter().map(|worker| worker.pid).collect();
    let threads = processes.len() < seen.workers.len();
    let sorted = seen.workers.iter().any(|worker| worker.turns.is_some());
    let mut header = vec![if threads { "thread" } else { "pid" }, "wakeups"];
    if sorted {
        header.extend(["took", "EAGAIN", "hidden", "other"]);
    }
    header.extend(["conns", "/conn", "CPU ms"]);
    let mut builder = Builder::default();
    builder.push_record(header);
    let total: u64 = seen.workers.iter().filter_map(|worker| worker.connections).sum();
    for worker in &seen.workers {
        let mut row = vec![number(worker), worker.wakeups.to_string()];
        if let Some(turns) = worker.turns.filter(|_| sorted) {
            row.extend([turns.took, turns.refused, turns.hidden, turns.other].map(|count| count.to_string()));
        }
        row.push(match worker.connections {
            Some(count) if total > 0 => format!("{count} ({:.0} %)", count as f64 * 100.0 / total as f64),
            Some(count) => count.to_string(),
            None => "-".into(),
        });
        row.push(per_connection(worker, seen));
        row.push(format!("{:.1}", worker.cpu_ns as f64 / 1e6));
        builder.push_record(row);
    }
    ruled(builder)
}

/// How often it woke for each connection that came to the server.
fn per_connection(worker: &Worker, seen: &Sighting) -> String {
    let count = worker.turns.map_or(worker.wakeups, Turns::for_connections);
    match seen.connections {
        Some(connections) if connections > 0 => decimals(count as f64 / connections as f64, 2),
        _ => "-".into(),
    }
}

/// With a mark for those who were not there all the time.
fn number(worker: &Worker) -> String {
    let mark = match (worker.came, worker.went) {
        (false, false) => "",
        (true, false) => " +",
        (false, true) => " -",
        (true, true) => " +-",
    };
    format!("{}{mark}", worker.tid)
}

/// Where they sleep, and who sleeps there.
fn places(seen: &Sighting) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for worker in &seen.workers {
        let sharers = seen.workers.iter().filter(|other| other.place.instance == worker.place.instance).count();
        let mut at = place(&worker.place, sharers > 1);
        if worker.looks_at_listener > 0 && worker.looks_at_lock > 0 {
            at += ", and at other times at a lock";
        }
        found.entry(at).or_default().push(worker.tid.to_string());
    }
    found
}

fn place(place: &Place, shared: bool) -> String {
    let whose = if shared { "one instance for all" } else { "own instance" };
    match (place.waits, place.exclusive) {
        (Waits::Accept, _) => "accept".into(),
        (Waits::Poll, _) => "poll".into(),
        (Waits::Select, _) => "select".into(),
        (Waits::Epoll, Some(true)) => format!("epoll ({whose}) with EPOLLEXCLUSIVE"),
        (Waits::Epoll, _) => format!("epoll ({whose})"),
        (Waits::IoUring, _) => place.request.map_or("io_uring".into(), |request| format!("io_uring, for {request}")),
        (Waits::Lock, _) => format!("{}, a lock", place.call),
        (Waits::Elsewhere, _) if place.instance.is_some() => "epoll (own instance, without the listener)".into(),
        (Waits::Elsewhere, _) => place.call.clone(),
    }
}

fn sums(seen: &Sighting) -> Vec<String> {
    let connections = match seen.connections {
        Some(count) => format!("{count} connections ({}).", seen.connections_from),
        None => "It is not known how many connections came.".into(),
    };
    let mut found = vec![connections];
    if let Some(mean) = seen.per_connection() {
        let mut text = format!("{} per connection", wakeups(mean));
        let least_most = seen.wakeups_of_connections.keys().next().zip(seen.wakeups_of_connections.keys().last());
        if let Some((least, most)) = least_most {
            text += &match least == most {
                true => ", the same for each".to_owned(),
                false => format!(", {least} to {most} for one"),
            };
        }
        text += match (seen.own_connections, seen.separated()) {
            (true, _) => ": what happened from the connect until all slept again.",
            (_, true) => {
                ": those that got one (took), were told EAGAIN, or slept on inside the call (hidden). A wait for data \
                 that slept on counts as hidden, too."
            }
            _ => ": with data, timers and whatever else woke them.",
        };
        found.push(text);
    }
    let other: u64 = seen.workers.iter().filter_map(|worker| worker.turns).map(|turns| turns.other).sum();
    if other > 0 {
        found.push(format!("{other} other wakeups of the workers: data, timers, ends of connections, locks."));
    }
    if seen.own_connections {
        found.push(format!("{} wakeups between the connections, at their ends.", seen.wakeups_between));
    }
    if seen.other_threads > 0 {
        let (threads, wakeups) = (seen.other_threads, seen.other_wakeups);
        found.push(format!("{threads} more, not seen at a listener (helpers, the parent), woke {wakeups} times."));
    }
    found
}

/// Why there was no better source.
fn refused(seen: &Sighting) -> Vec<String> {
    seen.sources_refused.iter().map(|why| format!("not counted with {why}")).collect()
}

/// Why the counting ended early, if it did.
fn ended(seen: &Sighting) -> Option<String> {
    match &seen.ending {
        Ending::Done => None,
        Ending::Interrupted(signal) => Some(format!("ended early, by signal {signal}")),
        Ending::ParentEnded => Some(format!("process {} ended while herd counted", seen.parent)),
        Ending::Broken(why) => Some(why.clone()),
    }
}

/// A number with its noun.
fn some(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A text in lines, indented.
fn lines(out: &mut dyn Write, width: usize, indent: &str, text: &str) -> io::Result<()> {
    for line in wrapped(text, width.saturating_sub(indent.len())) {
        writeln!(out, "{indent}{line}")?;
    }
    Ok(())
}

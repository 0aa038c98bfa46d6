//! Half of what the machine can do, for long: is anything lost, does anything grow?

use std::time::Duration;

use super::Bench;
use super::cells::{observe, settings, watched};

/// The server: what a small one looks like.
const SERVER: &[&str] = &["kind=epoll", "exclusive=true", "reply=true", "backlog=4096"];
const WORKERS: u32 = 4;
/// Memory may differ by so much between the first third and the last, in KiB.
const SLACK_KIB: u64 = 1024;
/// And descriptors by so many clients that are open at once.
const SLACK_FDS: u64 = 64;

/// Memory and descriptors of the process that makes the clients.
#[derive(Clone, Copy, Default)]
pub struct Size {
    pub kib: u64,
    pub descriptors: u64,
}

pub fn soak(bench: &mut Bench) {
    let seconds: u64 = if bench.named { bench.choose(30, 600) } else { bench.choose(3, 20) };
    let found = |sets: &[&str], events| settings(&[SERVER, sets].concat(), WORKERS, events);
    let best = observe(&found(&["load=closed", "clients=50", "duration_ms=2000"], 1_000_000));
    let best = best.traffic.expect("a timed load");
    let rate = best.clients.served * 1_000_000_000 / best.busy_ns.max(1) / 2;
    println!("Soak: {rate} connections a second, half of what 50 clients reach, for {seconds} s, {WORKERS} workers");
    let (rate_set, events) = (format!("rate={rate}"), rate * seconds);
    let duration = format!("duration_ms={}", seconds * 1000);
    let cell = found(&["load=paced", &rate_set, &duration], events);
    let (seen, sizes) = watched(&cell, Duration::from_millis(500));
    let clients = seen.traffic.as_ref().expect("a timed load").clients;
    let third = sizes.len() / 3;
    let most = |sizes: &[Size]| {
        let largest = |of: fn(&Size) -> u64| sizes.iter().map(of).max().unwrap_or(0);
        Size { kib: largest(|size| size.kib), descriptors: largest(|size| size.descriptors) }
    };
    // Not the very first: memory is taken when it is first needed.
    let (first, last) = (most(&sizes[third.min(1)..third.max(1)]), most(&sizes[sizes.len() - third.max(1)..]));
    println!("  {} made, {} served, {} late, {} lost", seen.fired, clients.served, clients.late, clients.lost());
    println!("  memory at most {} KiB in the first third, {} in the last", first.kib, last.kib);
    println!("  descriptors at most {} in the first third, {} in the last", first.descriptors, last.descriptors);
    let claims: u64 = seen.workers.iter().map(|worker| worker.claims).sum();
    bench
        .hold(seen.fired == clients.served && seen.fired == claims, "every connection made, claimed and served".into());
    bench.hold(last.kib <= first.kib + SLACK_KIB, format!("memory grows by less than {SLACK_KIB} KiB"));
    bench.hold(last.descriptors <= first.descriptors + SLACK_FDS, "descriptors do not grow".into());
}

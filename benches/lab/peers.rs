//! Our clients against load generators that others wrote: wrk and ab, where they are
//! installed. Both come to the same workers, in turns; what they say of themselves is
//! believed.

use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::cells::{Attached, observe, settings};
use super::{Bench, median, spread};

/// Connections at a time.
const CLIENTS: u32 = 16;
/// Our rate is at least this part of a peer's.
const AS_FAST: f64 = 0.9;
/// Percentiles of the same service times, ours against wrk's.
const SAME: std::ops::RangeInclusive<f64> = 0.8..=1.25;

const WORKERS: &[&str] =
    &["kind=epoll", "exclusive=true", "accept=drain", "reply=true", "protocol=http", "backlog=4096"];
/// Service times spread widely enough to have percentiles of their own.
const SERVICE: &[&str] = &["after_claim_us=500", "work=exponential"];

/// What one generator did.
struct Figures {
    rate: f64,
    cpu_us: f64,
    /// 50 %, 90 % and 99 % of the latencies in us, where it says them exactly.
    latency: Option<[f64; 3]>,
}

/// Requests, requests a second, and where it prints them p50, p90, p99 in us.
type PeerFigures = (f64, f64, Option<[f64; 3]>);

struct Peer {
    name: &'static str,
    arguments: fn(port: u16, clients: u32, seconds: u64) -> Vec<String>,
    /// Out of what it printed.
    read: fn(&str) -> Option<PeerFigures>,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "wrk",
        arguments: |port, clients, seconds| {
            let url = format!("http://127.0.0.1:{port}/");
            let (clients, seconds) = (format!("-c{clients}"), format!("-d{seconds}s"));
            ["-t1", &clients, &seconds, "--latency", "-H", "Connection: close", &url].map(str::to_owned).to_vec()
        },
        read: |text| {
            let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "))?.0;
            let at = |part: &str| in_us(after(text, part)?);
            let latency = [at("50%"), at("90%"), at("99%")];
            let latency = latency.iter().all(Option::is_some).then(|| latency.map(Option::unwrap));
            Some((requests.parse().ok()?, after(text, "Requests/sec:")?.parse().ok()?, latency))
        },
    },
    Peer {
        name: "ab",
        arguments: |port, clients, seconds| {
            let url = format!("http://127.0.0.1:{port}/");
            ["-q", "-t", &seconds.to_string(), "-n", "100000000", "-c", &clients.to_string(), &url]
                .map(str::to_owned)
                .to_vec()
        },
        read: |text| {
            let requests = after(text, "Complete requests:")?.parse().ok()?;
            Some((requests, after(text, "Requests per second:")?.parse().ok()?, None))
        },
    },
];

/// The first word behind `name` at the beginning of a line.
pub fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(name))?.split_whitespace().next()
}

/// `1.23ms` and the like.
pub fn in_us(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = match &text[digits.len()..] {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * unit)
}

/// CPU time of children that were waited for, in us.
pub fn children_cpu_us() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it cannot fail");
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64
}

fn theirs(peer: &Peer, sets: &[&str], clients: u32, seconds: u64) -> Result<Figures, String> {
    let cell = Attached::start(sets, 1);
    let before = children_cpu_us();
    let ran = Command::new(peer.name).args((peer.arguments)(cell.port, clients, seconds)).output();
    let cpu_us = children_cpu_us() - before;
    let claims = cell.end().total(|worker| worker.claims) as f64;
    let ran = ran.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&ran.stdout);
    let (requests, rate, latency) = (peer.read)(&text)
        .ok_or_else(|| format!("cannot read what it says: {text} {}", String::from_utf8_lossy(&ran.stderr)))?;
    // Those under way when it ends are claimed, and not in its count.
    if claims < requests {
        return Err(format!("it says {requests} requests and {claims} were claimed"));
    }
    Ok(Figures { rate, cpu_us: cpu_us / requests, latency })
}

fn ours(sets: &[&str], clients: u32, seconds: u64) -> Figures {
    let mut plan = settings(sets, 1, 1);
    plan.load = "closed".into();
    plan.traffic.clients = u64::from(clients);
    plan.traffic.duration_ms = seconds * 1000;
    let seen = observe(&plan).traffic.expect("a timed load");
    let served = seen.clients.served as f64;
    let latency = [seen.reply.p50, seen.reply.p90, seen.reply.p99].map(|ns| ns as f64 / 1e3);
    Figures {
        rate: served * 1e9 / seen.busy_ns as f64,
        cpu_us: seen.generator_cpu_ns as f64 / 1e3 / served,
        latency: Some(latency),
    }
}

/// Rate and cost of short connections, and whether latencies agree.
pub fn peers(bench: &mut Bench) {
    let (turns, seconds) = bench.choose((3, 1), (9, 3));
    println!("Peers: short HTTP/1.0 connections to one worker (epoll, EXCLUSIVE), {CLIENTS} at a time");
    println!("  {turns} turns of {seconds} s, one after the other; CPU time is the generator's own");
    println!("                                  min    median       max");
    for peer in PEERS {
        let (mut us, mut them) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            match theirs(peer, WORKERS, CLIENTS, seconds) {
                Ok(figures) => them.push(figures),
                Err(why) => {
                    println!("  skipped: {}: {why}", peer.name);
                    break;
                }
            }
            us.push(ours(WORKERS, CLIENTS, seconds));
        }
        if them.len() < turns {
            continue;
        }
        let pick = |all: &[Figures], figure: fn(&Figures) -> f64| all.iter().map(figure).collect::<Vec<f64>>();
        let rates = (pick(&us, |f| f.rate), pick(&them, |f| f.rate));
        let costs = (pick(&us, |f| f.cpu_us), pick(&them, |f| f.cpu_us));
        println!("  {:26} {}", "herd, a second", spread(&rates.0, 0));
        println!("  {:26} {}", format!("{}, a second", peer.name), spread(&rates.1, 0));
        println!("  {:26} {}", "herd, CPU us each", spread(&costs.0, 1));
        println!("  {:26} {}", format!("{}, CPU us each", peer.name), spread(&costs.1, 1));
        let ratio =
            |ours: &[f64], theirs: &[f64]| median(&ours.iter().zip(theirs).map(|(o, t)| o / t).collect::<Vec<_>>());
        let (rate, cost) = (ratio(&rates.0, &rates.1), ratio(&costs.0, &costs.1));
        bench.hold(rate >= AS_FAST, format!("herd / {}, rate: {rate:.2} is at least {AS_FAST}", peer.name));
        bench.hold(cost < 1.0, format!("herd / {}, CPU time of a connection: {cost:.2} is under 1", peer.name));
    }
    agree(bench, turns, seconds);
}

/// Latencies of one client whose service times are exponential with a mean of 500 us.
/// wrk begins to count when it is connected, herd before that.
fn agree(bench: &mut Bench, turns: usize, seconds: u64) {
    let sets: Vec<&str> = WORKERS.iter().chain(SERVICE).copied().collect();
    let (mut us, mut them) = (Vec::new(), Vec::new());
    println!("  latency in us of one client, service times exponential, mean 500 us");
    for _ in 0..turns {
        match theirs(&PEERS[0], &sets, 1, seconds).map(|figures| figures.latency) {
            Ok(Some(latency)) => them.push(latency),
            Ok(None) => return println!("  skipped: wrk says no latencies"),
            Err(why) => return println!("  skipped: wrk: {why}"),
        }
        us.extend(ours(&sets, 1, seconds).latency);
    }
    for (at, name) in ["p50", "p90", "p99"].into_iter().enumerate() {
        let pick = |all: &[[f64; 3]]| all.iter().map(|figures| figures[at]).collect::<Vec<f64>>();
        let (ours, theirs) = (pick(&us), pick(&them));
        println!("  {:26} {}", format!("herd, {name}"), spread(&ours, 0));
        println!("  {:26} {}", format!("wrk, {name}"), spread(&theirs, 0));
        let ratio = median(&ours) / median(&theirs);
        // The 99th of a second's thousand is ten samples: shown, not judged.
        if name != "p99" {
            bench.hold(
                SAME.contains(&ratio),
                format!("{name}, herd / wrk: {ratio:.2} is from {} to {}", SAME.start(), SAME.end()),
            );
        }
    }
}

//! The lab measured: is it exact, fast, small and cheap enough to be believed?
//!
//! `make bench` prints the figures with their spread and holds each against its
//! bound; the exit code says whether all held. What is compared runs in turns
//! (A B A B), so other load on the machine hits both sides, and the ratio is
//! judged. No test outside this file looks at a clock.

mod beside;
mod cells;
mod load;
mod peers;
mod soak;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use herd::cell::contract::Claim;
use herd::cell::ledger::Ledger;
use herd::cell::worker::now_ns;
use herd::environment;
use herd::observation::Observation;

use beside::{SPIN, Spinners, alone_rate, bare_rate, spin};
use cells::{observe, observe_with, settings, weigh};

/// Processes that burn CPU time beside the lab.
const SPINNERS: usize = 2;
/// Herd's rate must be at least this part of the bare one.
const FAST_ENOUGH: f64 = 0.5;
/// EXCLUSIVE against one thread that connects, accepts and closes: the kernel's
/// own work for a connection, with nobody to wake.
const NEAR_THE_FLOOR: f64 = 0.6;
/// The barrier of 512 workers against that of 8: as N, and half of it for what
/// falls out of the caches and for other load during milliseconds on the CPU.
const BARRIER_GROWTH: f64 = 96.0;
/// What each worker of 512 may cost in any case: one cache line of the ledger.
const NOTHING_US: f64 = 0.1;
const LARGE_LIMIT: Duration = Duration::from_secs(60);
const LEDGER_NS: f64 = 100.0;

/// A part of the benchmark: its name on the command line, and what runs it.
type Part = (&'static str, fn(&mut Bench));

const PARTS: &[Part] = &[
    ("exact", exact),
    ("fast", fast),
    ("floor", floor),
    ("barrier", barrier),
    ("large", large),
    ("overhead", overhead),
    ("peers", peers::peers),
    ("load", load::load),
    ("soak", soak::soak),
];

/// How much to run, and what did not hold.
struct Bench {
    quick: bool,
    /// Parts were asked for by name: ten minutes for one of them are no surprise.
    named: bool,
    broken: Vec<String>,
}

impl Bench {
    fn choose<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    fn hold(&mut self, holds: bool, bound: String) {
        println!("  {} {bound}", if holds { "holds:" } else { "BROKEN:" });
        if !holds {
            self.broken.push(bound);
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| args.iter().any(|arg| arg == name);
    if has(SPIN) {
        spin();
    }
    if !has("--bench") {
        println!("measures nothing unless started by `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let named: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    if let Some(unknown) = named.iter().find(|name| !PARTS.iter().any(|(part, _)| part == *name)) {
        let known: Vec<&str> = PARTS.iter().map(|(part, _)| *part).collect();
        eprintln!("unknown part {unknown:?}; the parts are {}", known.join(", "));
        return ExitCode::from(2);
    }
    let mut bench = Bench { quick: has("--quick"), named: !named.is_empty(), broken: Vec::new() };
    let here = environment::read();
    println!(
        "Linux {}, {} CPUs ({}), herd {}, load {}{}",
        here.kernel_release,
        here.cpus_online,
        here.cpu_model,
        env!("CARGO_PKG_VERSION"),
        here.load_average,
        if bench.quick { "; quick mode" } else { "" }
    );
    for (_, run) in PARTS.iter().filter(|(part, _)| named.is_empty() || named.iter().any(|name| name == part)) {
        println!();
        run(&mut bench);
    }
    println!();
    if bench.broken.is_empty() {
        println!("all bounds hold");
        return ExitCode::SUCCESS;
    }
    for bound in &bench.broken {
        println!("does not hold: {bound}");
    }
    ExitCode::FAILURE
}

/// One wakeup per event to the digit, whatever else the machine does.
fn exact(bench: &mut Bench) {
    const ONE: &[(&str, &[&str])] = &[
        ("block", &["kind=block"]),
        ("epoll + EXCLUSIVE", &["kind=epoll", "exclusive=true"]),
        ("shared epoll edge", &["kind=epoll", "instance=shared", "trigger=edge"]),
    ];
    let events = bench.choose(2_000, 100_000);
    println!("Exact: wakeups of 8 workers, one connection after the other");
    println!("  wait               beside        events   wakeups   per event  events/s  counted by");
    for (busy, source) in [(false, None), (true, None), (true, Some("proc"))] {
        let beside = if busy { format!("{SPINNERS} spinners") } else { "nothing".into() };
        let _spinners = Spinners::start(if busy { SPINNERS } else { 0 });
        for (name, sets) in ONE {
            let seen = observe_with(&settings(sets, 8, events), source);
            line(name, &beside, &seen);
            let wakeups = seen.total(|w| w.wakeups);
            bench.hold(
                wakeups == events && seen.wakeups_per_round.keys().all(|n| *n == 1),
                format!("{name}, {beside} beside, {}: {wakeups} wakeups are exactly {events}", seen.count_source),
            );
        }
    }
    let events = bench.choose(1_000, 10_000);
    let seen = observe(&settings(&["kind=epoll"], 8, events));
    line("epoll", "nothing", &seen);
    let least = seen.wakeups_per_round.keys().next().copied().unwrap_or(0);
    bench.hold(least >= 8, format!("epoll: the fewest wakeups of an event, {least}, are at least the 8 workers"));

    fn line(name: &str, beside: &str, seen: &Observation) {
        let rounds = &seen.wakeups_per_round;
        let least = rounds.keys().next().copied().unwrap_or(0);
        let most = rounds.keys().next_back().copied().unwrap_or(0);
        println!(
            "  {name:18} {beside:11} {:8}  {:8}  {:>10}  {:8.0}  {}",
            seen.fired,
            seen.total(|w| w.wakeups),
            format!("{least} to {most}"),
            rate(seen),
            seen.count_source
        );
    }
}

/// What the counting costs: the lab against two bare threads doing the same.
fn fast(bench: &mut Bench) {
    let (turns, events) = bench.choose((7, 500), (41, 1_000));
    println!("Fast: connections per second, {turns} turns of {events}, one after the other");
    println!("  bare: a thread connects, one sleeps in accept; next when it has accepted; same CPU");
    println!("  herd: 8 processes sleep in accept; next when all are seen asleep again");
    let plan = settings(&["kind=block"], 8, events);
    let (mut bare, mut best, mut proc) = (Vec::new(), Vec::new(), Vec::new());
    let mut source = String::new();
    for _ in 0..turns {
        bare.push(bare_rate(events));
        let seen = observe(&plan);
        best.push(rate(&seen));
        source = seen.count_source;
        proc.push(rate(&observe_with(&plan, Some("proc"))));
    }
    let ratios = |ours: &[f64]| -> Vec<f64> { ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect() };
    println!("                            min    median       max");
    println!("  {:20} {}", "bare", spread(&bare, 0));
    println!("  {:20} {}", format!("herd, {source}"), spread(&best, 0));
    println!("  {:20} {}", "herd, proc", spread(&proc, 0));
    println!("  {:20} {}", format!("herd, {source} / bare"), spread(&ratios(&best), 2));
    println!("  {:20} {}", "herd, proc / bare", spread(&ratios(&proc), 2));
    let ratio = median(&ratios(&best));
    bench.hold(ratio >= FAST_ENOUGH, format!("herd / bare, median of turns: {ratio:.2} is at least {FAST_ENOUGH}"));
}

/// What is left of the kernel's own rate when one of many is woken and seen asleep.
fn floor(bench: &mut Bench) {
    let (turns, events) = bench.choose((7, 500), (41, 1_000));
    println!("Floor: connections per second, {turns} turns of {events}, one after the other");
    println!("  alone: one thread connects, accepts, closes; nobody sleeps");
    println!("  EXCLUSIVE: N processes, an epoll each; next when all are seen asleep again");
    println!("                            min    median       max");
    for workers in [8, 512] {
        let plan = settings(&["kind=epoll", "exclusive=true"], workers, events);
        let (mut alone, mut ours) = (Vec::new(), Vec::new());
        let mut source = String::new();
        for _ in 0..turns {
            alone.push(alone_rate(events));
            let seen = observe(&plan);
            ours.push(rate(&seen));
            source = seen.count_source;
        }
        let ratios: Vec<f64> = ours.iter().zip(&alone).map(|(ours, alone)| ours / alone).collect();
        println!("  {:20} {}", "alone", spread(&alone, 0));
        println!("  {:20} {}", format!("N = {workers}, {source}"), spread(&ours, 0));
        println!("  {:20} {}", "ratio", spread(&ratios, 2));
        if source == "bpf" {
            let ratio = median(&ratios);
            bench.hold(
                ratio >= NEAR_THE_FLOOR,
                format!("N = {workers}: median of the ratios, {ratio:.2}, is at least {NEAR_THE_FLOOR}"),
            );
        }
    }
}

/// Whether the barrier's cost grows no faster than the number of workers.
fn barrier(bench: &mut Bench) {
    const SIZES: [u32; 3] = [8, 64, 512];
    // Short turns of the same length for all sizes: the shorter, the likelier is
    // one in which nobody else took the CPU. A scan of 512 takes milliseconds.
    const LOOKS: u32 = 512 * 5;
    let turns = bench.choose(5, 31);
    println!("Barrier: us per event until all workers are seen asleep, {turns} turns of {LOOKS} workers, block");
    println!("  source  workers       min    median       max   per worker: min    median");
    for wanted in [None, Some("proc")] {
        let mut figures = SIZES.map(|_| Vec::new());
        let mut source = String::new();
        for _ in 0..turns {
            for (size, figures) in SIZES.iter().zip(&mut figures) {
                let seen = observe_with(&settings(&["kind=block"], *size, u64::from(LOOKS / size)), wanted);
                figures.push(seen.quiet_ns as f64 / 1000.0 / seen.fired as f64);
                source = seen.count_source;
            }
        }
        for (size, figures) in SIZES.iter().zip(&figures) {
            let each = f64::from(*size);
            let (least, median) = (least(figures) / each, median(figures) / each);
            println!("  {source:6} {size:8} {}         {least:9.3} {median:9.3}", spread(figures, 1));
        }
        let growth = least(&figures[2]) / least(&figures[0]);
        let each = least(&figures[2]) / f64::from(SIZES[2]);
        bench.hold(
            growth <= BARRIER_GROWTH || each < NOTHING_US,
            format!(
                "{source}: 64 times the workers, {growth:.0} times the barrier (minima): at most {BARRIER_GROWTH}, \
                 or under {NOTHING_US} us per worker ({each:.3})"
            ),
        );
    }
}

/// Many workers: how long the whole cell takes, and what one worker weighs.
fn large(bench: &mut Bench) {
    const EVENTS: u64 = 20;
    let cells: &[(&str, u32, &[&str])] = &[
        ("1,000 processes", 1_000, &["kind=block", "placement=processes"]),
        ("4,000 threads", 4_000, &["kind=block", "placement=threads"]),
    ];
    println!("Large: {EVENTS} events, from the start of the cell's process to its end");
    println!("                     wall s  of it events s  wakeups");
    for (name, workers, sets) in cells {
        let plan = settings(sets, *workers, EVENTS);
        let start = Instant::now();
        let seen = observe(&plan);
        let wall = start.elapsed();
        let in_events = seen.elapsed_ns as f64 / 1e9;
        println!("  {name:17} {:7.2}  {in_events:14.2}  {:7}", wall.as_secs_f64(), seen.total(|w| w.wakeups));
        let total = wall.as_secs_f64();
        bench.hold(
            wall < LARGE_LIMIT,
            format!("{name}: {total:.1} s from start to end are under {} s", LARGE_LIMIT.as_secs()),
        );
    }
    match weigh(1_000, LARGE_LIMIT) {
        Ok(weights) => {
            println!("  memory of one worker process of 1,000, KiB (a sample of {}):", weights.len());
            println!("                      min    median       max");
            for (name, pick) in [("PSS", 0), ("private", 1)] {
                let figures: Vec<f64> = weights.iter().map(|w| w[pick]).collect();
                println!("  {name:14} {}", spread(&figures, 0));
            }
        }
        Err(why) => println!("  memory of a worker process: not to be had ({why})"),
    }
}

/// What the ledger adds to each return of the wait under test.
fn overhead(bench: &mut Bench) {
    let (turns, returns) = bench.choose((3, 100_000), (11, 5_000_000));
    println!("Overhead: ns per return, {turns} turns of {returns}");
    let ledger = Ledger::new(1, 1).expect("a small mapping");
    let slot = ledger.slot(0);
    let (mut writes, mut clocks) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        writes.push(per_pass(returns, |i| {
            let slot = black_box(slot);
            slot.waiting();
            slot.returned(i);
            slot.claimed(Claim { tag: i as u32 }, i, i);
        }));
        clocks.push(per_pass(returns, |_| {
            black_box(now_ns());
            black_box(now_ns());
        }));
    }
    println!("                      min    median       max");
    println!("  ledger writes  {}", spread(&writes, 1));
    println!("  two clock reads{}", spread(&clocks, 1));
    let cost = median(&writes);
    bench.hold(cost < LEDGER_NS, format!("the ledger writes of one return take {cost:.1} ns: under {LEDGER_NS}"));
}

fn per_pass(passes: u64, mut body: impl FnMut(u64)) -> f64 {
    let start = Instant::now();
    for i in 0..passes {
        body(i);
    }
    start.elapsed().as_nanos() as f64 / passes as f64
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn least(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Minimum, median and maximum in columns.
fn spread(figures: &[f64], digits: usize) -> String {
    let most = figures.iter().copied().fold(0.0, f64::max);
    format!("{:9.digits$} {:9.digits$} {most:9.digits$}", least(figures), median(figures))
}

/// Events per second, barriers included.
fn rate(seen: &Observation) -> f64 {
    seen.fired as f64 * 1e9 / seen.elapsed_ns as f64
}

//! `herd advise`: the accept strategies side by side, on this machine, under the
//! load that is asked about.

use super::measure::{self, How, Planned, Purpose};
use super::{Failure, print};
use crate::analysis::advice::{LOAD, RELOAD, SLOW, advise};
use crate::cli::AdviseArgs;
use crate::exit::Exit;
use crate::experiment::Experiment;
use crate::experiment::cells::Set;
use crate::report::{Style, advice};
use crate::runner::Wish;

const STRATEGIES: &str = include_str!("load.toml");
const RELOADING: &str = include_str!("reload.toml");

/// How long the first worker is stuck, and what counts as a client that noticed.
const STUCK_US: u64 = 200_000;
const NOTICED_US: u64 = 50_000;
/// Where no rate is asked for, clients come at this one to the stuck worker.
const STUCK_RATE: f64 = 500.0;

pub fn run(args: &AdviseArgs) -> Result<Exit, Failure> {
    let load = Experiment::parse(&format!("{LOAD}.toml"), STRATEGIES)?;
    let slow = Experiment::parse(&format!("{SLOW}.toml"), STRATEGIES)?;
    let reload = Experiment::parse(&format!("{RELOAD}.toml"), RELOADING)?;
    let mut cells: Vec<Planned> = measure::planned(std::slice::from_ref(&load), &sets(loaded(args))?, Purpose::Show)?;
    cells.extend(measure::planned(std::slice::from_ref(&slow), &sets(stuck(args))?, Purpose::Show)?);
    cells.extend(measure::planned(std::slice::from_ref(&reload), &[], Purpose::Show)?);
    let wish = Wish::default();
    let how = How { repeat: args.repeat, wish: &wish, quiet: args.quiet, purpose: Purpose::Show };
    let (results, stopped) = measure::measure(&[load, slow, reload], &cells, &how)?;
    let found = advise(&results);
    print(|out| match args.format.as_str() {
        "json" => advice::json(&found, &results, out),
        _ => advice::table(&found, &results, &asked(args), Style::default().width, out),
    })?;
    Ok(stopped.map_or(results.exit(), Exit::Signal))
}

fn common(args: &AdviseArgs) -> Vec<String> {
    vec![
        format!("workers={}", workers(args)),
        format!("placement={}", args.placement),
        format!("after_claim_us={}", args.service_time.as_micros()),
        format!("busy={}", if args.sleeping { "sleep" } else { "spin" }),
    ]
}

/// The load as it is asked for.
fn loaded(args: &AdviseArgs) -> Vec<String> {
    let mut sets = common(args);
    match args.rate {
        Some(rate) => sets.extend(at_random(rate)),
        None => sets.push(format!("clients={}", clients(args))),
    }
    sets.push(format!("events={}", args.events));
    sets.push(format!("warmup={}", args.events / 10));
    sets
}

fn at_random(rate: f64) -> [String; 2] {
    [format!("rate={rate}"), "arrivals=poisson".into()]
}

/// One second of it, with the first worker stuck at its first client.
fn stuck(args: &AdviseArgs) -> Vec<String> {
    let rate = args.rate.unwrap_or(STUCK_RATE);
    let mut sets = common(args);
    sets.extend(at_random(rate));
    sets.push(format!("events={}", rate.ceil().max(1.0)));
    sets.push(format!("late_us={}", NOTICED_US + args.service_time.as_micros() as u64));
    sets.push(format!("override=[{{workers=[0], stall_us={STUCK_US}}}]"));
    sets
}

fn sets(texts: Vec<String>) -> Result<Vec<Set>, Failure> {
    texts.iter().map(|text| text.parse().map_err(|e| Failure::usage(format!("{text}: {e}")))).collect()
}

/// One for each CPU, if nothing else is asked for.
fn workers(args: &AdviseArgs) -> u32 {
    args.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u32))
}

fn clients(args: &AdviseArgs) -> u64 {
    args.clients.unwrap_or(u64::from(workers(args)) * 2)
}

/// The load in words.
fn asked(args: &AdviseArgs) -> String {
    let load = match args.rate {
        Some(rate) => format!("{rate} connections a second at random times"),
        None => format!("{} clients, each with one connection at a time", clients(args)),
    };
    let place = if args.sleeping { "asleep" } else { "of CPU time" };
    format!(
        "{} workers ({}), {load}, {} us {place} for each, {} connections, {} times",
        workers(args),
        args.placement,
        args.service_time.as_micros(),
        args.events,
        args.repeat
    )
}

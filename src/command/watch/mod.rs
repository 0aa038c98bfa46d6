//! `herd watch`: the events of an experiment one by one, each measured just now and
//! then shown slowly. On a terminal with keys; elsewhere each event once, as text.

mod act;
mod live;
pub mod player;
pub mod screen;
mod text;

use std::io::IsTerminal;

use super::measure::chosen;
use super::{Failure, locale};
use crate::cli::WatchArgs;
use crate::environment;
use crate::exit::Exit;
use crate::experiment::expectation::Rule;
use crate::experiment::{Cell, Experiment};
use crate::load;
use crate::report::watch::too_small;
use crate::results::Verdict;
use crate::runner::{Probes, limits::Limits};
use act::{Act, Row};
use screen::Screen;

/// What both ways of showing need.
struct Show<'a> {
    args: &'a WatchArgs,
    rows: Vec<Row>,
    /// As `uname -r` says it.
    release: String,
    /// Linux and the number of CPUs, for the picture.
    machine: String,
    utf8: bool,
}

pub fn run(args: &WatchArgs) -> Result<Exit, Failure> {
    let experiments = chosen(std::slice::from_ref(&args.experiment))?;
    let experiment = experiments.first().expect("one was asked for");
    let environment = environment::read();
    let release = environment.stable_release().to_owned();
    let mut probes = Probes::new(&release);
    let cells = watchable(experiment, args)?;
    let row = |cell: Cell| Row {
        title: format!("{}: {}", experiment.name, cell.row),
        event: event_of(&cell),
        lacking: cell.needs.iter().find_map(|need| probes.lacking(need)),
        cell,
    };
    let rows = cells.into_iter().map(row).collect();
    let machine = format!("Linux {}, {} CPUs", environment.kernel_release, environment.cpus_online);
    let show = Show { args, rows, release, machine, utf8: locale::utf8() };
    if !is_screen() {
        return text::run(&show);
    }
    let size = Screen::size().map_err(|e| Failure::machine(format!("cannot ask the terminal for its size: {e}")))?;
    if let Some(why) = too_small(size.0, size.1) {
        return Err(Failure::usage(format!("{why} (make it larger, or `| cat` for each event as text)")));
    }
    live::run(&show)
}

/// Keys come from one end of a terminal, pictures go to the other.
fn is_screen() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !dumb
}

/// The rows, at the first value of every axis, whose events are made one by one.
fn watchable(experiment: &Experiment, args: &WatchArgs) -> Result<Vec<Cell>, Failure> {
    let mut cells = experiment.cells(&args.sets)?;
    let first = cells.first().map(|cell| cell.axes.clone()).unwrap_or_default();
    cells.retain(|cell| cell.axes == first);
    let refused =
        cells.first().and_then(|cell| Some(format!("{}: {:?} {}", experiment.name, cell.row, unwatchable(cell)?)));
    cells.retain(|cell| unwatchable(cell).is_none());
    if let (Some(why), true) = (refused, cells.is_empty()) {
        return Err(Failure::usage(why));
    }
    let limits = Limits::read();
    for cell in &mut cells {
        let settings = &mut cell.settings;
        let batch = load::find(&settings.load).expect("checked in the cell").batch(settings).max(1);
        settings.events = args.events.saturating_mul(batch);
        // A few events prove nothing, but a call that is to be refused is.
        cell.expectations.retain(|expected| matches!(expected.rule, Rule::Error(_)));
        if let Some(why) = limits.refuse(settings) {
            return Err(Failure::usage(format!("{}: {}: {why}", experiment.path, cell.id)));
        }
    }
    Ok(cells)
}

/// Why there is nothing to show of that cell.
fn unwatchable(cell: &Cell) -> Option<&'static str> {
    let settings = &cell.settings;
    if !settings.script.is_empty() {
        return Some("is a script, which has steps and no events to watch (try `herd run`)");
    }
    if settings.is_study() {
        return Some("is a study, which has figures and no events to watch (try `herd run`)");
    }
    if settings.worker.wait == "null" {
        return Some("does not touch the kernel, so there is nothing to watch");
    }
    load::pace(settings).map(|_| "has events by the clock, not one by one (try `herd run`)")
}

/// What a reader calls one event.
fn event_of(cell: &Cell) -> &'static str {
    match cell.settings.object.as_str() {
        _ if cell.settings.traffic.connections > 0 => "message",
        "tcp" | "unix" => "connection",
        "udp" => "datagram",
        _ => "event",
    }
}

/// The worst of the rows that were shown.
fn exit(acts: &[Act<'_>]) -> Exit {
    let all = |verdict| acts.iter().any(|act| act.outcome.as_ref().is_some_and(|outcome| outcome.verdict == verdict));
    match () {
        () if all(Verdict::Fail) => Exit::Fail,
        () if all(Verdict::Invalid) => Exit::Invalid,
        () if acts.iter().all(|act| act.row.lacking.is_some()) && !acts.is_empty() => Exit::AllSkipped,
        () => Exit::Pass,
    }
}

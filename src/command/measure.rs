//! Runs the cells of experiments and collects the results, for every command
//! that needs them: choosing, limits, progress, repetitions.
//!
//! It judges nothing itself and shows nothing on stdout.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::store::Store;
use super::{Failure, load};
use crate::analysis::sources::{self, Run};
use crate::analysis::{judge, relation};
use crate::cli::MeasureArgs;
use crate::environment;
use crate::experiment::cells::Set;
use crate::experiment::shard::{self, Shard};
use crate::experiment::{Cell, Experiment, embedded, keys};
use crate::observation::Observation;
use crate::results::{CellResult, Results, ShardFacts, Verdict};
use crate::runner::{self, Probes, Wish, limits::Limits, local::Local};

/// How often /proc counts again when it has more wakeups than the others: an
/// uninterruptible sleep of that one run explains it.
const PROC_TRIES: usize = 3;

/// What the results are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be looked at. A cell beyond a limit of this machine is a wrong request, but for
    /// silent connections: how many a model can hold is what is asked there, so it is
    /// skipped with the limit as its reason. What did not run is left out.
    Show,
    /// To be relied on. A cell beyond a limit is skipped, and what did not run
    /// after a signal is invalid.
    Check {
        /// Count with every source and compare.
        cross_check: bool,
    },
}

/// What to run and how.
pub struct Asked<'a> {
    pub names: &'a [String],
    pub args: &'a MeasureArgs,
    pub quiet: bool,
    pub purpose: Purpose,
}

/// A cell, and the limit it would hit.
pub struct Planned {
    pub cell: Cell,
    pub refused: Option<String>,
}

/// How cells are run.
pub struct How<'a> {
    pub repeat: u32,
    pub wish: &'a Wish,
    pub quiet: bool,
    pub purpose: Purpose,
}

/// Runs all cells of the named experiments, and keeps the result if asked to.
/// The second value is the signal that cut the run short.
pub fn experiments(asked: &Asked<'_>) -> Result<(Results, Option<i32>), Failure> {
    let args = asked.args;
    let experiments = chosen(asked.names)?;
    let mut cells = planned(&experiments, &args.sets, asked.purpose)?;
    let part = args.shard.map(|shard| take(shard, &mut cells, args.repeat));
    let mut store = args.output.as_deref().map(|dir| Store::open(dir, &experiments, args.shard)).transpose()?;
    let wish = wish(args);
    let how = How { repeat: args.repeat, wish: &wish, quiet: asked.quiet, purpose: asked.purpose };
    let (mut results, stopped) = measure(&experiments, &cells, &how)?;
    mark(&mut results, part.as_ref());
    if let Some(store) = &mut store {
        store.write(&results, asked.quiet)?;
    }
    Ok((results, stopped))
}

/// Runs cells of `experiments`; what was measured until a signal came, which is
/// returned, is in the results.
pub fn measure(
    experiments: &[Experiment],
    cells: &[Planned],
    how: &How<'_>,
) -> Result<(Results, Option<i32>), Failure> {
    let local = super::local()?;
    let mut results = Results::new(environment::read(), experiments);
    let probes = Probes::new(results.environment.stable_release());
    let stopped = Runs { how, local, probes }.all(cells, &mut results.cells);
    relation::settle_among(&mut results.cells, experiments);
    results.interrupted = stopped.is_some();
    Ok((results, stopped))
}

/// Experiments by name or file, each whole or, as `NAME:ROW`, only the rows named.
pub fn chosen(names: &[String]) -> Result<Vec<Experiment>, Failure> {
    let mut found: Vec<Experiment> = Vec::new();
    for asked in names {
        let (name, row) = with_row(asked);
        let mut experiment = load(name)?;
        if let Some(row) = row {
            only(&mut experiment, row)?;
        }
        match found.iter_mut().find(|other| other.name == experiment.name) {
            Some(known) if row.is_some() && known.rows.iter().all(|known| known.name != experiment.rows[0].name) => {
                known.rows.append(&mut experiment.rows);
            }
            Some(_) => return Err(Failure::usage(format!("experiment {asked:?} is named twice"))),
            None => found.push(experiment),
        }
    }
    Ok(found)
}

/// The row behind an experiment's name or file, if one is named. A path may have a
/// colon of its own.
fn with_row(asked: &str) -> (&str, Option<&str>) {
    let is_experiment = |name: &str| name.ends_with(".toml") || embedded::text(name).is_some();
    match asked.match_indices(':').find(|(at, _)| is_experiment(&asked[..*at])) {
        Some((at, _)) => (&asked[..at], Some(&asked[at + 1..])),
        None => (asked, None),
    }
}

/// Leaves one row.
fn only(experiment: &mut Experiment, row: &str) -> Result<(), Failure> {
    let rows: Vec<String> = experiment.rows.iter().map(|row| row.name.clone()).collect();
    experiment.rows.retain(|known| known.name == row);
    if experiment.rows.is_empty() {
        let near = keys::did_you_mean(row, rows.iter().map(String::as_str));
        let message = format!("{} has no row {row:?}{near}; it has: {}", experiment.name, rows.join(", "));
        return Err(Failure::usage(message));
    }
    Ok(())
}

/// Every cell of every experiment.
pub fn planned(experiments: &[Experiment], sets: &[Set], purpose: Purpose) -> Result<Vec<Planned>, Failure> {
    let limits = Limits::read();
    let mut cells = Vec::new();
    for experiment in experiments {
        for cell in experiment.cells(sets)? {
            let why = limits.refuse(&cell.settings);
            let asks_for_limits = cell.settings.traffic.idle_connections > 0;
            if let (Some(why), Purpose::Show, false) = (&why, purpose, asks_for_limits) {
                return Err(Failure::usage(format!("{}: {}: {why}", experiment.path, cell.id)));
            }
            cells.push(Planned { cell, refused: why });
        }
    }
    Ok(cells)
}

/// How the cells are to be observed.
pub fn wish(args: &MeasureArgs) -> Wish {
    Wish { trace: args.trace, count_with: args.count_with.clone(), ..Wish::default() }
}

/// Says in the results which part they are, if they are one.
pub fn mark(results: &mut Results, part: Option<&ShardFacts>) {
    if part.is_some() {
        // No heading without a cell; merging finds them all again.
        results.experiments.retain(|e| results.cells.iter().any(|cell| cell.experiment == e.name));
        results.shard = part.cloned();
    }
}

/// Leaves only the cells of that part, and says which they are.
pub fn take(shard: Shard, cells: &mut Vec<Planned>, repeat: u32) -> ShardFacts {
    let all: Vec<&Cell> = cells.iter().map(|planned| &planned.cell).collect();
    let (places, plan) = (shard.places(&all), shard::digest(&all, repeat));
    let mut place = 0..;
    cells.retain(|_| places.binary_search(&place.next().expect("has no end")).is_ok());
    ShardFacts { number: shard.number, of: shard.of, plan, places }
}

/// Everything that running cells needs.
struct Runs<'a> {
    how: &'a How<'a>,
    local: Local,
    probes: Probes,
}

impl Runs<'_> {
    /// Every cell, every repetition, until a signal comes.
    fn all(&mut self, cells: &[Planned], done: &mut Vec<CellResult>) -> Option<i32> {
        let bar = progress(cells.len() as u64 * u64::from(self.how.repeat), self.how.quiet);
        for repetition in 1..=self.how.repeat {
            for planned in cells {
                bar.set_message(planned.cell.id.clone());
                let result = match (self.local.stopped(), self.how.purpose) {
                    (None, _) => self.one(planned, repetition),
                    (Some(signal), Purpose::Show) => {
                        bar.finish_and_clear();
                        return Some(signal);
                    }
                    (Some(_), Purpose::Check { .. }) => judge::not_run(&planned.cell, "interrupted before it ran"),
                };
                done.push(result.repeated(repetition));
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        self.local.stopped()
    }

    fn one(&mut self, planned: &Planned, repetition: u32) -> CellResult {
        let cell = &planned.cell;
        if let Some(why) = &planned.refused {
            return judge::skip(cell, why.clone());
        }
        let wish = Wish { repetition, ..self.how.wish.clone() };
        let mut result = runner::run_cell(cell, &mut self.local, &mut self.probes, &wish);
        if self.how.purpose == (Purpose::Check { cross_check: true }) {
            self.cross_check(cell, &mut result, &wish);
        }
        result
    }

    /// Runs the cell with the other sources as well, and adds whether they agree.
    fn cross_check(&mut self, cell: &Cell, result: &mut CellResult, wish: &Wish) {
        // A script may come out in several right ways, each with counts of its own, and
        // a study has figures of its own.
        if !cell.settings.has_events() {
            return;
        }
        let mut seen: Vec<(&str, Observation)> = Vec::new();
        if let Some(first) = &result.observation {
            let known = sources::COMPARABLE.into_iter().find(|source| *source == first.count_source);
            seen.extend(known.map(|source| (source, first.clone())));
        }
        let judged = |seen: &[(&str, Observation)]| {
            let runs: Vec<Run<'_>> = seen.iter().map(|(source, seen)| Run { source, seen }).collect();
            sources::agree(result, &runs)
        };
        let ran = result.observation.is_some();
        // A cell that was skipped has nothing to compare; it is skipped here too.
        for source in sources::COMPARABLE.into_iter().filter(|_| ran) {
            if seen.iter().any(|(known, _)| *known == source) {
                continue;
            }
            let wish = Wish { count_with: Some(source.into()), trace: false, ..wish.clone() };
            seen.push((source, runner::observe(cell, &mut self.local, &wish)));
            let mut tries = 1;
            while source == "proc" && tries < PROC_TRIES && judged(&seen).verdict == Verdict::Fail {
                seen.push((source, runner::observe(cell, &mut self.local, &wish)));
                tries += 1;
            }
        }
        let verdict = judged(&seen);
        result.expectations.push(verdict);
        judge::conclude(result);
    }
}

/// A bar on a terminal, nothing elsewhere. It is drawn between cells only: its
/// CPU time must not fall into a measurement.
fn progress(total: u64, quiet: bool) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() && !quiet {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    bar.with_style(bar_style(super::locale::utf8()))
}

/// How a bar is drawn; its own block letters are not in every locale's alphabet.
fn bar_style(utf8: bool) -> ProgressStyle {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").expect("a constant template");
    if utf8 { style } else { style.progress_chars("#>-") }
}

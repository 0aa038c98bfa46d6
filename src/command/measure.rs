//! Runs the cells of experiments and collects the results, for every command
//! that needs them: choosing, limits, progress, repetitions, the kept file.
//!
//! It judges nothing itself and shows nothing on stdout.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failure, load};
use crate::analysis::sources::{self, Run};
use crate::analysis::{judge, relation};
use crate::cli::MeasureArgs;
use crate::environment;
use crate::experiment::cells::Set;
use crate::experiment::{Cell, Experiment};
use crate::observation::Observation;
use crate::report::{self, Style};
use crate::results::{CellResult, ExperimentFacts, Results, SCHEMA, Verdict};
use crate::runner::{self, Probes, Wish, limits::Limits, local::Local};

/// How often /proc counts again when it has more wakeups than the others: an
/// uninterruptible sleep of that one run explains it.
const PROC_TRIES: usize = 3;

/// What the results are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be looked at. A cell beyond a limit of this machine is a wrong request,
    /// and what did not run is left out.
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
struct Planned {
    cell: Cell,
    refused: Option<String>,
}

/// Runs all cells, or as many as it can until a signal, which is returned.
pub fn measure(asked: &Asked<'_>) -> Result<(Results, Option<i32>), Failure> {
    let experiments = chosen(asked.names)?;
    let cells = planned(&experiments, &asked.args.sets, asked.purpose)?;
    // Opened before the run: a result that cannot be kept is found now.
    let mut store = asked.args.output.as_deref().map(|dir| Store::open(dir, &experiments)).transpose()?;
    let local = Local::new().map_err(|e| Failure::machine(format!("cannot take over signals: {e}")))?;
    let mut results = Results {
        schema: SCHEMA,
        herd: env!("CARGO_PKG_VERSION").into(),
        environment: environment::read(),
        experiments: experiments.iter().map(ExperimentFacts::from).collect(),
        cells: Vec::new(),
        interrupted: false,
    };
    let probes = Probes::new(&results.environment.kernel_release);
    let stopped = Runs { asked, local, probes }.all(&cells, &mut results.cells);
    relation::settle(&mut results.cells);
    results.interrupted = stopped.is_some();
    if let Some(store) = &mut store {
        store.write(&results, asked.quiet)?;
    }
    Ok((results, stopped))
}

fn chosen(names: &[String]) -> Result<Vec<Experiment>, Failure> {
    let mut found: Vec<Experiment> = Vec::new();
    for name in names {
        let experiment = load(name)?;
        if found.iter().any(|other| other.name == experiment.name) {
            return Err(Failure::usage(format!("experiment {:?} is named twice", experiment.name)));
        }
        found.push(experiment);
    }
    Ok(found)
}

/// Every cell of every experiment.
fn planned(experiments: &[Experiment], sets: &[Set], purpose: Purpose) -> Result<Vec<Planned>, Failure> {
    let limits = Limits::read();
    let mut cells = Vec::new();
    for experiment in experiments {
        for cell in experiment.cells(sets)? {
            let why = limits.refuse(&cell.settings);
            if let (Some(why), Purpose::Show) = (&why, purpose) {
                return Err(Failure::usage(format!("{}: {}: {why}", experiment.path, cell.id)));
            }
            cells.push(Planned { cell, refused: why });
        }
    }
    Ok(cells)
}

/// Everything that running cells needs.
struct Runs<'a> {
    asked: &'a Asked<'a>,
    local: Local,
    probes: Probes,
}

impl Runs<'_> {
    /// Every cell, every repetition, until a signal comes.
    fn all(&mut self, cells: &[Planned], done: &mut Vec<CellResult>) -> Option<i32> {
        let args = self.asked.args;
        let bar = progress(cells.len() as u64 * u64::from(args.repeat), self.asked.quiet);
        for repetition in 1..=args.repeat {
            for planned in cells {
                bar.set_message(planned.cell.id.clone());
                let mut result = match (self.local.stopped(), self.asked.purpose) {
                    (None, _) => self.one(planned, repetition),
                    (Some(signal), Purpose::Show) => {
                        bar.finish_and_clear();
                        return Some(signal);
                    }
                    (Some(_), Purpose::Check { .. }) => judge::not_run(&planned.cell, "interrupted before it ran"),
                };
                result.repetition = repetition;
                if repetition > 1 {
                    result.id = format!("{}#{repetition}", result.id);
                }
                done.push(result);
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
        let args = self.asked.args;
        let wish = Wish { trace: args.trace, count_with: args.count_with.clone(), timeline: None, repetition };
        let mut result = runner::run_cell(cell, &mut self.local, &mut self.probes, &wish);
        if self.asked.purpose == (Purpose::Check { cross_check: true }) {
            self.cross_check(cell, &mut result, &wish);
        }
        result
    }

    /// Runs the cell with the other sources as well, and adds whether they agree.
    fn cross_check(&mut self, cell: &Cell, result: &mut CellResult, wish: &Wish) {
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
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").expect("a constant template");
    bar.with_style(style)
}

/// The file a result is kept in.
struct Store {
    file: File,
    path: PathBuf,
}

impl Store {
    fn open(directory: &Path, experiments: &[Experiment]) -> Result<Store, Failure> {
        let refused = |e: std::io::Error| {
            Failure::usage(format!("cannot write results to {}: {e} (choose another --output)", directory.display()))
        };
        std::fs::create_dir_all(directory).map_err(refused)?;
        let names: Vec<&str> = experiments.iter().map(|e| e.name.as_str()).collect();
        let stem = if names.len() > 3 { format!("{}-experiments", names.len()) } else { names.join("+") };
        let started = environment::read().started;
        // A name of its own for every run: nothing is ever overwritten.
        for number in 0..1000 {
            let suffix = if number == 0 { String::new() } else { format!("-{number}") };
            let path = directory.join(format!("{stem}-{started}{suffix}.json"));
            match File::create_new(&path) {
                Ok(file) => return Ok(Store { file, path }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(refused(e)),
            }
        }
        Err(Failure::usage(format!("{} holds a thousand results of this second", directory.display())))
    }

    fn write(&mut self, results: &Results, quiet: bool) -> Result<(), Failure> {
        let json = report::find("json").expect("json is listed");
        let mut out = std::io::BufWriter::new(&self.file);
        let written = json.write(results, Style::default(), &mut out).and_then(|()| out.flush());
        written.map_err(|e| Failure::machine(format!("cannot write {}: {e}", self.path.display())))?;
        if !quiet {
            eprintln!("kept as {}", self.path.display());
        }
        Ok(())
    }
}

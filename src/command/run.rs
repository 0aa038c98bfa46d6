//! `herd run`: experiments in, results out.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Failure, load, print};
use crate::cli::{FormatArgs, RunArgs};
use crate::exit::Exit;
use crate::experiment::{Cell, Experiment};
use crate::report::{self, Style};
use crate::results::{CellResult, ExperimentFacts, Results, SCHEMA};
use crate::runner::{self, Probes, Wish, limits::Limits, local::Local};
use crate::{environment, experiment};

/// What `herd` alone runs.
const HEADLINE: &str = "herd";

pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let experiments = chosen(&args.experiments)?;
    let cells = planned(&experiments, &args.sets)?;
    // Opened before the run: a result that cannot be kept is found now.
    let mut store = args.output.as_deref().map(|dir| Store::open(dir, &experiments)).transpose()?;
    let mut local = Local::new().map_err(|e| Failure::machine(format!("cannot take over signals: {e}")))?;
    let mut results = Results {
        schema: SCHEMA,
        herd: env!("CARGO_PKG_VERSION").into(),
        environment: environment::read(),
        experiments: experiments.iter().map(ExperimentFacts::from).collect(),
        cells: Vec::new(),
        interrupted: false,
    };
    let stopped = run_cells(&cells, args, &mut local, &mut results.cells);
    results.interrupted = stopped.is_some();
    if let Some(store) = &mut store {
        store.write(&results, args.format.quiet)?;
    }
    show(&results, &args.format)?;
    Ok(stopped.map_or(results.exit(), Exit::Signal))
}

/// Shows results on stdout as asked.
pub fn show(results: &Results, format: &FormatArgs) -> Result<(), Failure> {
    let report = report::find(&format.format).expect("clap knows the formats");
    let style = Style { verbose: format.verbose, quiet: format.quiet, ..Style::default() };
    print(|out| report.write(results, style, out))
}

fn chosen(names: &[String]) -> Result<Vec<Experiment>, Failure> {
    let names = match names {
        [] => vec![HEADLINE.to_owned()],
        given => given.to_vec(),
    };
    let mut found: Vec<Experiment> = Vec::new();
    for name in &names {
        let experiment = load(name)?;
        if found.iter().any(|other| other.name == experiment.name) {
            return Err(Failure::usage(format!("experiment {:?} is named twice", experiment.name)));
        }
        found.push(experiment);
    }
    Ok(found)
}

/// Every cell of every experiment, none of which would hit a limit.
fn planned(experiments: &[Experiment], sets: &[experiment::cells::Set]) -> Result<Vec<Cell>, Failure> {
    let limits = Limits::read();
    let mut cells = Vec::new();
    for experiment in experiments {
        for cell in experiment.cells(sets)? {
            if let Some(why) = limits.refuse(&cell.settings) {
                return Err(Failure::usage(format!("{}: {}: {why}", experiment.path, cell.id)));
            }
            cells.push(cell);
        }
    }
    Ok(cells)
}

/// Runs until the end or a signal, which is returned.
fn run_cells(cells: &[Cell], args: &RunArgs, local: &mut Local, done: &mut Vec<CellResult>) -> Option<i32> {
    let bar = progress(cells.len() as u64 * u64::from(args.repeat), args.format.quiet);
    let mut probes = Probes::default();
    let wish = Wish { trace: args.trace, count_with: args.count_with.clone(), timeline: None };
    for repetition in 1..=args.repeat {
        for cell in cells {
            if let Some(signal) = local.stopped() {
                bar.finish_and_clear();
                return Some(signal);
            }
            bar.set_message(cell.id.clone());
            let mut result = runner::run_cell(cell, local, &mut probes, &wish);
            result.repetition = repetition;
            if repetition > 1 {
                result.id = format!("{}#{repetition}", result.id);
            }
            done.push(result);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    local.stopped()
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

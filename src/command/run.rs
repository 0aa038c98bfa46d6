//! `herd run`: experiments in, results out.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::measure::measure;
use super::{Failure, load, print};
use crate::cli::{FormatArgs, RunArgs};
use crate::exit::Exit;
use crate::experiment::{Cell, Experiment};
use crate::report::{self, Style};
use crate::results::Results;
use crate::runner::{Wish, limits::Limits};
use crate::{environment, experiment};

/// What `herd` alone runs.
const HEADLINE: &str = "herd";

pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let experiments = chosen(&args.experiments)?;
    let cells = planned(&experiments, &args.sets)?;
    // Opened before the run: a result that cannot be kept is found now.
    let mut store = args.output.as_deref().map(|dir| Store::open(dir, &experiments)).transpose()?;
    let wish = Wish { trace: args.trace, count_with: args.count_with.clone(), timeline: None };
    let (results, stopped) = measure(&experiments, &cells, args.repeat, &wish, args.format.quiet)?;
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

pub fn chosen(names: &[String]) -> Result<Vec<Experiment>, Failure> {
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
pub fn planned(experiments: &[Experiment], sets: &[experiment::cells::Set]) -> Result<Vec<Cell>, Failure> {
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

//! `herd check`: every expectation of every experiment as a test point.

use super::measure::{self, Asked, Purpose};
use super::{Failure, print};
use crate::analysis::points;
use crate::cli::CheckArgs;
use crate::exit::Exit;
use crate::experiment::embedded;
use crate::report::{self, Style};

pub fn run(args: &CheckArgs) -> Result<Exit, Failure> {
    let names = match args.experiments.as_slice() {
        [] => {
            let (all, names) = (embedded::names(), embedded::unasked());
            let long: Vec<&str> = all.iter().filter(|name| !names.contains(name)).map(String::as_str).collect();
            if !args.quiet && !long.is_empty() {
                eprintln!("herd: left out, since they take minutes: {} (name them to check them)", long.join(", "));
            }
            names
        }
        given => given.to_vec(),
    };
    let asked = Asked {
        names: &names,
        args: &args.measure,
        quiet: args.quiet,
        purpose: Purpose::Check { cross_check: args.cross_check },
    };
    let (results, stopped) = measure::experiments(&asked)?;
    let report = report::find(&args.format).expect("clap knows the formats");
    let style = Style { quiet: args.quiet, ..Style::default() };
    print(|out| report.write(&results, style, out))?;
    let exit = points::exit(&points::suites(&results));
    Ok(stopped.map_or(exit, Exit::Signal))
}

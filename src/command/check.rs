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
        [] => embedded::unasked(),
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

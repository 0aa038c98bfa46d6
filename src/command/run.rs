//! `herd run`: experiments in, results out.

use super::measure::{self, Asked, Purpose};
use super::{Failure, print};
use crate::cli::{FormatArgs, RunArgs};
use crate::exit::Exit;
use crate::report::{self, Style};
use crate::results::Results;

/// What `herd` alone runs.
const HEADLINE: &str = "herd";

pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let names = match args.experiments.as_slice() {
        [] => vec![HEADLINE.to_owned()],
        given => given.to_vec(),
    };
    check(&args.format)?;
    let asked = Asked { names: &names, args: &args.measure, quiet: args.format.quiet, purpose: Purpose::Show };
    let (results, stopped) = measure::experiments(&asked)?;
    show(&results, &args.format)?;
    Ok(stopped.map_or(results.exit(), Exit::Signal))
}

/// Shows results on stdout as asked.
pub fn show(results: &Results, format: &FormatArgs) -> Result<(), Failure> {
    let report = report::find(&format.format).expect("clap knows the formats");
    let style = Style { verbose: format.verbose, quiet: format.quiet, ..Style::default() };
    check(format)?;
    print(|out| {
        if !format.plot {
            return report.write(results, style, out);
        }
        // The verdict stays the last line.
        let mut table = Vec::new();
        report.write(results, style, &mut table)?;
        let verdict = report::verdict(results);
        out.write_all(table.strip_suffix(verdict.as_bytes()).unwrap_or(&table))?;
        report::plot::write(results, super::locale::utf8(), style.width, out)?;
        write!(out, "\n{verdict}")
    })
}

/// Pictures stand below a table; other programs read the other formats.
fn check(format: &FormatArgs) -> Result<(), Failure> {
    if format.plot && format.format != "table" {
        return Err(Failure::usage(format!("--plot draws below a table; leave out --format {}", format.format)));
    }
    Ok(())
}

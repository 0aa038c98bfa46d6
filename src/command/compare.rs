//! `herd compare`: two stored results, what changed.

use std::io::ErrorKind;
use std::path::Path;

use super::{Failure, print};
use crate::analysis::compare::{Outcome, compare};
use crate::cli::CompareArgs;
use crate::exit::Exit;
use crate::report::{Style, comparison};
use crate::results::Results;

pub fn run(args: &CompareArgs) -> Result<Exit, Failure> {
    let (old, new) = (stored(&args.old)?, stored(&args.new)?);
    let (from, to) = (args.old.display().to_string(), args.new.display().to_string());
    let found = compare((&from, &old), (&to, &new)).map_err(|e| Failure::usage(e.to_string()))?;
    let format = comparison::find(&args.format).expect("clap knows the formats");
    print(|out| format.write(&found, Style::default().width, out))?;
    Ok(match found.outcome {
        Outcome::Worse => Exit::Fail,
        Outcome::Unknown => Exit::Invalid,
        Outcome::Same | Outcome::Better | Outcome::Changed => Exit::Pass,
    })
}

/// Reads a stored result.
fn stored(path: &Path) -> Result<Results, Failure> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::usage(match e.kind() {
            ErrorKind::InvalidData => format!("{file} is not a herd result: not a text file"),
            ErrorKind::IsADirectory => format!("{file} is a directory; name a file that --output wrote there"),
            _ => format!("cannot read {file}: {e}"),
        })
    })?;
    Results::parse(&file, &text).map_err(|e| Failure::usage(e.to_string()))
}

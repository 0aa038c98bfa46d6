//! `herd compare`: two stored results, what changed.

use super::{Failure, print, stored};
use crate::analysis::compare::{Outcome, compare};
use crate::cli::CompareArgs;
use crate::exit::Exit;
use crate::report::{Style, comparison};

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

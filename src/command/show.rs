//! `herd show`: a stored result, in any format.

use super::Failure;
use crate::cli::ShowArgs;
use crate::exit::Exit;
use crate::results::Results;

pub fn run(args: &ShowArgs) -> Result<Exit, Failure> {
    let file = args.file.display().to_string();
    let text = std::fs::read_to_string(&args.file).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Failure::usage(format!("{file} is not a herd result: not a text file")),
        _ => Failure::usage(format!("cannot read {file}: {e}")),
    })?;
    let results = Results::parse(&file, &text).map_err(|e| Failure::usage(e.to_string()))?;
    super::run::show(&results, &args.format)?;
    Ok(results.exit())
}

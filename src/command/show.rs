//! `herd show`: a stored result, in any format.

use super::{Failure, stored};
use crate::cli::ShowArgs;
use crate::exit::Exit;

pub fn run(args: &ShowArgs) -> Result<Exit, Failure> {
    let results = stored(&args.file)?;
    super::run::show(&results, &args.format)?;
    Ok(results.exit())
}

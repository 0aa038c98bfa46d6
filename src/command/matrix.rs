//! `herd matrix`: stored results of several kernels in one table.

use super::{Failure, print};
use crate::analysis::matrix::matrix;
use crate::cli::MatrixArgs;
use crate::exit::Exit;
use crate::report::{self, Style};
use crate::results::Results;

pub fn run(args: &MatrixArgs) -> Result<Exit, Failure> {
    let (names, read) = super::all_stored(&args.files)?;
    let files: Vec<(&str, &Results)> = names.iter().map(String::as_str).zip(&read).collect();
    let found = matrix(&files).map_err(|e| Failure::usage(e.to_string()))?;
    let format = report::matrix::find(&args.format).expect("clap knows the formats");
    print(|out| format.write(&found, Style::default().width, out))?;
    Ok(found.exit())
}

//! `herd merge`: the parts of a run, as one result.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use super::{Failure, print, store};
use crate::analysis::merge::merge;
use crate::cli::MergeArgs;
use crate::exit::Exit;
use crate::report::{self, Style};
use crate::results::Results;

pub fn run(args: &MergeArgs) -> Result<Exit, Failure> {
    let (names, read) = super::all_stored(&args.files)?;
    let files: Vec<(&str, &Results)> = names.iter().map(String::as_str).zip(&read).collect();
    let whole = merge(&files).map_err(|e| Failure::usage(e.to_string()))?;
    let json = report::find("json").expect("json is listed");
    match &args.output {
        None => print(|out| json.write(&whole, Style::default(), out))?,
        Some(path) => {
            store::keep(&whole, &new(path)?, path)?;
            let verdict = Style { quiet: true, ..Style::default() };
            print(|out| report::find("table").expect("table is listed").write(&whole, verdict, out))?;
        }
    }
    Ok(whole.exit())
}

/// A new file; nothing is ever overwritten.
fn new(path: &Path) -> Result<File, Failure> {
    File::create_new(path).map_err(|e| {
        let why = match e.kind() {
            ErrorKind::AlreadyExists => "it exists already; name another file".to_owned(),
            _ => e.to_string(),
        };
        Failure::usage(format!("cannot write {}: {why}", path.display()))
    })
}

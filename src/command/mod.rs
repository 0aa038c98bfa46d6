//! The commands. Each parses nothing and judges nothing: it ties the parts.

pub mod advise;
pub mod attach;
pub mod bisect;
pub mod check;
mod claim;
pub mod compare;
pub mod doctor;
pub mod explain;
pub mod install;
pub mod learn;
pub mod list;
pub mod load;
mod locale;
pub mod matrix;
mod measure;
pub mod merge;
pub mod pairs;
pub mod report;
pub mod run;
pub mod show;
mod store;
pub mod timeline;
pub mod vm;
pub mod watch;
mod word;

use std::io::{self, Write};

use crate::exit::Exit;
use crate::experiment::{Experiment, ExperimentError, embedded};
use crate::results::Results;
use crate::runner::local::Local;

/// A command that could not do its work: one message and an exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub message: String,
    pub exit: Exit,
}

impl Failure {
    /// The user can mend it.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), exit: Exit::Usage }
    }

    /// The machine or we ourselves are at fault.
    pub fn machine(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), exit: Exit::Invalid }
    }
}

impl From<ExperimentError> for Failure {
    fn from(e: ExperimentError) -> Self {
        Failure::usage(e.to_string())
    }
}

/// An embedded experiment by name, or any file by path.
pub fn load(name: &str) -> Result<Experiment, Failure> {
    if let Some(found) = embedded::find(name) {
        return Ok(found?);
    }
    let text = text_of(name)?;
    // Else the first brace is a mistake in TOML, which helps nobody.
    if text.trim_start().starts_with('{') && text.contains("\"schema\"") {
        let message = format!("{name} is a stored result and no experiment file (see it with `herd show {name}`)");
        return Err(Failure::usage(message));
    }
    Ok(Experiment::parse(name, &text)?)
}

/// The text that [`load()`] would parse.
pub fn text_of(name: &str) -> Result<String, Failure> {
    let looks_like_a_file = name.contains('/') || name.ends_with(".toml") || name.ends_with(".json");
    if !looks_like_a_file {
        if let Some(text) = embedded::text(name) {
            return Ok(text.to_owned());
        }
        let names = embedded::names();
        let near = crate::experiment::keys::did_you_mean(name, names.iter().map(String::as_str));
        return Err(Failure::usage(format!(
            "unknown experiment {name:?}{near} (see `herd list`; a file needs a / or .toml)"
        )));
    }
    std::fs::read_to_string(name).map_err(|e| {
        let hint = match e.kind() {
            io::ErrorKind::InvalidData => "not a text file".to_owned(),
            _ => e.to_string(),
        };
        Failure::usage(format!("cannot read {name}: {hint}"))
    })
}

/// A stored result.
pub fn stored(path: &std::path::Path) -> Result<Results, Failure> {
    parsed(path, &stored_text(path)?)
}

/// The text of a file that is to be a stored result.
pub fn stored_text(path: &std::path::Path) -> Result<String, Failure> {
    let file = path.display();
    std::fs::read_to_string(path).map_err(|e| {
        Failure::usage(match e.kind() {
            io::ErrorKind::InvalidData => format!("{file} is not a herd result: not a text file"),
            io::ErrorKind::IsADirectory => format!("{file} is a directory; name a file that --output wrote there"),
            _ => format!("cannot read {file}: {e}"),
        })
    })
}

/// What that text says.
pub fn parsed(path: &std::path::Path, text: &str) -> Result<Results, Failure> {
    Results::parse(&path.display().to_string(), text).map_err(|e| Failure::usage(e.to_string()))
}

/// Stored results with their names.
pub fn all_stored(paths: &[std::path::PathBuf]) -> Result<(Vec<String>, Vec<Results>), Failure> {
    let read = paths.iter().map(|path| stored(path)).collect::<Result<Vec<Results>, Failure>>()?;
    Ok((paths.iter().map(|path| path.display().to_string()).collect(), read))
}

/// What runs cells here. It takes over the signals of this process.
fn local() -> Result<Local, Failure> {
    Local::new().map_err(|e| Failure::machine(format!("cannot take over signals: {e}")))
}

/// Writes to stdout; a reader that has had enough is no failure.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::machine(format!("cannot write to stdout: {e}")))
        }
        _ => Ok(()),
    }
}

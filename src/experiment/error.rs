//! One message per mistake in an experiment: file, line, what is wrong, the way out.

/// A mistake of the person who wrote the experiment or the command line.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}{message}", place(.file, *.line))]
pub struct ExperimentError {
    /// The file as it was named, or `--set`.
    pub file: String,
    /// Counted from 1; 0 when the whole file is meant.
    pub line: usize,
    pub message: String,
}

fn place(file: &str, line: usize) -> String {
    match (file.is_empty(), line) {
        (true, _) => String::new(),
        (false, 0) => format!("{file}: "),
        (false, line) => format!("{file}:{line}: "),
    }
}

impl ExperimentError {
    pub fn new(file: &str, line: usize, message: impl Into<String>) -> Self {
        ExperimentError { file: file.into(), line, message: message.into() }
    }
}

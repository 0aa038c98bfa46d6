//! The lessons of `herd learn`. They are data: `lessons.toml` has what is run, where
//! the true answers are read and what to read; `en.toml` and `zh.toml` have the texts.
//! No answer stands in a text: it is always read from the run. Pure: no file, no clock.

mod answer;
mod figure;
#[cfg(test)]
mod tests;
mod texts;

use std::sync::OnceLock;

use serde::Deserialize;

pub use answer::{Answer, Near, Question, Wrong, letter};
pub use figure::{Figure, Kernel, Truth, Value, is_known};
pub use texts::{Ask, Catalogue, Text, catalogue, paragraphs};

use crate::results::{Results, ResultsError};

/// A lesson, without its texts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lesson {
    /// `L06-herd`; the key of its texts and of its progress.
    pub id: String,
    /// What is run, one after the other.
    #[serde(default)]
    pub run: Vec<Run>,
    /// The stored results of other kernels are shown beside this one.
    #[serde(default)]
    pub kernels: bool,
    /// What is predicted, in this order.
    pub ask: Vec<Question>,
    /// Functions of the kernel, with their files.
    pub read: Vec<String>,
    pub man: Vec<String>,
    /// Claims of the article that it is about, for `herd explain`.
    #[serde(default)]
    pub claims: Vec<String>,
    /// A command to try, without the `$`.
    pub next: String,
    /// Another one.
    #[serde(default)]
    pub also: String,
}

/// A part of what a lesson runs, as `herd run` would.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// `NAME` or `NAME:ROW`.
    pub names: Vec<String>,
    /// `key=value`, as for `--set`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Columns of the table; those of the experiment if none is named.
    #[serde(default)]
    pub show: Vec<String>,
    /// Draw one event of each row as lanes.
    #[serde(default)]
    pub lanes: bool,
}

impl Run {
    /// Whether it runs that experiment.
    pub fn has(&self, experiment: &str) -> bool {
        self.names.iter().any(|name| name.split(':').next() == Some(experiment))
    }
}

/// Every lesson, in order.
pub fn all() -> &'static [Lesson] {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        lesson: Vec<Lesson>,
    }
    static LESSONS: OnceLock<Vec<Lesson>> = OnceLock::new();
    let parse = || toml::from_str::<File>(include_str!("lessons.toml")).expect("a test reads the lessons").lesson;
    LESSONS.get_or_init(parse)
}

/// The lesson of that number, counted from 1, or of that id: `6`, `L06`, `L06-herd`, `herd`.
pub fn find(name: &str) -> Option<usize> {
    let by_number = || name.parse::<usize>().ok().filter(|number| (1..=all().len()).contains(number)).map(|n| n - 1);
    let wanted = name.to_lowercase();
    let by_name = all().iter().position(|lesson| {
        let id = lesson.id.to_lowercase();
        id == wanted || id.split_once('-').is_some_and(|(number, word)| number == wanted || word == wanted)
    });
    by_name.or_else(by_number)
}

/// What other kernels did: results of `herd vm`, made for these lessons, without the
/// facts of single workers. `herd matrix` reads the same files.
pub fn stored() -> Result<Vec<Results>, ResultsError> {
    const FILES: [(&str, &str); 4] = [
        ("5.10.json", include_str!("kernels/5.10.json")),
        ("6.1.json", include_str!("kernels/6.1.json")),
        ("6.12.json", include_str!("kernels/6.12.json")),
        ("7.3.json", include_str!("kernels/7.3.json")),
    ];
    FILES.iter().map(|(name, text)| Results::parse(name, text)).collect()
}

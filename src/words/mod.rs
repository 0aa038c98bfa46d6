//! The glossary: every word that a table, a verdict or a lesson uses, in English and
//! in Chinese. The texts are data, embedded: `terms.toml` has the names and where each
//! comes from, `en.toml` and `zh.toml` what they mean. Pure: no file, no environment.

pub mod claims;
mod fill;
mod language;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

pub use fill::{columns, fill};
pub use language::{Bilingual, Language, speaks_utf8};

/// The groups, in the order of `herd list --words`.
pub const GROUPS: [&str; 8] = ["how", "word", "kernel", "row", "source", "pattern", "verdict", "metric"];

/// A word, without its text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// As messages spell it; the key of its text.
    pub name: String,
    /// One of [`GROUPS`].
    pub group: String,
    /// Other spellings; of a metric, the rest of its family.
    #[serde(default)]
    pub also: Vec<String>,
    /// Man page, kernel function or version; empty for a word of ours.
    #[serde(default)]
    pub source: String,
    /// What to read next, by name.
    #[serde(default)]
    pub see: Vec<String>,
}

/// What a word means in one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    pub about: String,
    /// What is good; every metric has it.
    #[serde(default)]
    pub good: String,
    /// What it may mean when it is not so; every metric has it.
    #[serde(default)]
    pub bad: String,
}

/// All texts of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    pub headings: BTreeMap<String, String>,
    pub messages: BTreeMap<String, String>,
    pub groups: BTreeMap<String, String>,
    /// By the unit's name in [`crate::analysis::metrics`].
    pub units: BTreeMap<String, String>,
    pub terms: BTreeMap<String, Text>,
}

impl Catalogue {
    /// A message with `{name}` filled in.
    pub fn message(&self, key: &str, name: &str) -> String {
        self.messages[key].replace("{name}", name)
    }
}

/// Every word, in the order of its file.
pub fn terms() -> &'static [Term] {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        term: Vec<Term>,
    }
    static TERMS: OnceLock<Vec<Term>> = OnceLock::new();
    let parse = || toml::from_str::<File>(include_str!("terms.toml")).expect("a test reads the embedded terms").term;
    TERMS.get_or_init(parse)
}

/// The texts of a language.
pub fn catalogue(language: Language) -> &'static Catalogue {
    static TEXTS: Bilingual<Catalogue> = Bilingual::new(include_str!("en.toml"), include_str!("zh.toml"));
    TEXTS.get(language)
}

/// Letters and digits alone: `wake-up`, `EPOLL + EXCLUSIVE` and `work to` as typed.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The word of that name: exactly so, or but for case, spaces and signs.
pub fn find(name: &str) -> Option<&'static Term> {
    let all = |term: &'static Term| std::iter::once(&term.name).chain(&term.also).map(move |name| (name, term));
    let mut names = terms().iter().flat_map(all);
    let wanted = plain(name);
    let exact = names.clone().find(|(known, _)| *known == name);
    exact.or_else(|| names.find(|(known, _)| !wanted.is_empty() && plain(known) == wanted)).map(|(_, term)| term)
}

/// Every name that [`find`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    terms().iter().flat_map(|term| std::iter::once(&term.name).chain(&term.also)).map(String::as_str)
}

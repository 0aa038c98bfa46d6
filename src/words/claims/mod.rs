//! The claims of the article that the lab grew from: what it says, whether that is so,
//! and which experiment shows it. Data like the glossary: `claims.toml` has the verdicts,
//! sources and experiments, `en.toml` and `zh.toml` the texts. Pure.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::{Bilingual, Language};

/// A claim, without its texts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// `S01` to `S62`, in the order of the article.
    pub id: String,
    /// One of [`VERDICTS`].
    pub verdict: String,
    /// Which show it, by name; none where the text says why.
    pub experiments: Vec<String>,
    /// Man page, kernel function or version, or the document meant.
    pub source: String,
}

/// What can be said of a claim.
pub const VERDICTS: [&str; 6] = ["true", "partly", "false", "outdated", "untestable", "opinion"];

/// A claim in one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// In one sentence.
    pub says: String,
    pub holds: String,
}

/// All texts of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    pub headings: BTreeMap<String, String>,
    /// Verdicts as a reader sees them.
    pub verdicts: BTreeMap<String, String>,
    pub claims: BTreeMap<String, Text>,
}

/// Every claim, in the order of the article.
pub fn all() -> &'static [Claim] {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        claim: Vec<Claim>,
    }
    static CLAIMS: OnceLock<Vec<Claim>> = OnceLock::new();
    let parse = || toml::from_str::<File>(include_str!("claims.toml")).expect("a test reads the embedded claims").claim;
    CLAIMS.get_or_init(parse)
}

/// The texts of a language.
pub fn texts(language: Language) -> &'static Texts {
    static TEXTS: Bilingual<Texts> = Bilingual::new(include_str!("en.toml"), include_str!("zh.toml"));
    TEXTS.get(language)
}

/// The claim of that id, in either case.
pub fn find(id: &str) -> Option<&'static Claim> {
    all().iter().find(|claim| claim.id.eq_ignore_ascii_case(id.trim()))
}

/// The claims that an experiment shows.
pub fn of_experiment(name: &str) -> impl Iterator<Item = &'static Claim> {
    all().iter().filter(move |claim| claim.experiments.iter().any(|known| known == name))
}

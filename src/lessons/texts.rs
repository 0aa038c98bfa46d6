//! The texts of the lessons, in each language, and how they are cut into lines.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::words::{Bilingual, Language, columns, fill};

/// All texts of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// What `herd learn` itself says.
    pub says: BTreeMap<String, String>,
    /// By the id of the lesson.
    pub lesson: BTreeMap<String, Text>,
}

/// The texts of one lesson.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    pub title: String,
    /// Since when it is so: versions and commits.
    #[serde(default)]
    pub since: String,
    /// What one has to know before.
    pub before: String,
    pub question: String,
    /// As it is, in ASCII where the language is.
    pub drawing: String,
    /// By the id of the question.
    pub ask: BTreeMap<String, Ask>,
    pub happened: String,
    /// The common wrong answer, and why it is wrong.
    pub wrong: String,
    /// What the article says, and what of it is true.
    #[serde(default)]
    pub article: String,
    /// What to look for in the command to try.
    pub next: String,
}

/// The texts of one question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    pub text: String,
    /// A few words that stand before the figures.
    pub label: String,
    /// By the id of the choice.
    #[serde(default)]
    pub choice: BTreeMap<String, String>,
}

impl Catalogue {
    /// What herd says, with each `{key}` filled in.
    pub fn say(&self, key: &str, with: &[(&str, &str)]) -> String {
        let text = self.says.get(key).unwrap_or_else(|| panic!("a test holds the keys: {key}"));
        with.iter().fold(text.clone(), |text, (key, value)| text.replace(&format!("{{{key}}}"), value))
    }
}

/// The texts of a language.
pub fn catalogue(language: Language) -> &'static Catalogue {
    static TEXTS: Bilingual<Catalogue> = Bilingual::new(include_str!("en.toml"), include_str!("zh.toml"));
    TEXTS.get(language)
}

/// Cuts a text into lines of at most `width` columns. Empty lines part paragraphs; a
/// line that begins with a space is a picture or a list and stays as it is.
pub fn paragraphs(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = String::new();
    for line in text.trim_matches('\n').lines() {
        if line.trim().is_empty() || line.starts_with(' ') {
            close(&mut open, width, &mut lines);
            lines.push(line.trim_end().to_owned());
        } else {
            // Letters of two columns are written without a space between them, and their
            // marks without one beside anything.
            let wide = |c: &char| columns(&c.to_string()) > 1;
            let (last, first) = (open.chars().last().filter(wide), line.chars().next().filter(wide));
            let mark = |c: Option<char>| c.is_some_and(|c| !c.is_alphanumeric());
            let together = (last.is_some() && first.is_some()) || mark(last) || mark(first);
            if !open.is_empty() && !together {
                open.push(' ');
            }
            open.push_str(line.trim_end());
        }
    }
    close(&mut open, width, &mut lines);
    lines
}

fn close(open: &mut String, width: usize, lines: &mut Vec<String>) {
    if !open.is_empty() {
        lines.extend(fill(open, width));
        open.clear();
    }
}

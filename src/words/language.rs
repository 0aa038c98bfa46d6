//! Which language a reader wants, from what the locale variables say, and texts in both.

use std::sync::OnceLock;

use serde::de::DeserializeOwned;

/// A language of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    #[value(name = "en")]
    English,
    #[value(name = "zh")]
    Chinese,
}

impl Language {
    /// Chinese where the locale of messages is Chinese and can be shown; else English.
    /// The values are those of LC_ALL, LC_MESSAGES and LANG; the first that is set
    /// counts (locale(7)).
    pub fn of_locale(values: [Option<String>; 3]) -> Language {
        match values.into_iter().flatten().find(|value| !value.is_empty()) {
            Some(value) if value.starts_with("zh") && is_utf8(&value) => Language::Chinese,
            _ => Language::English,
        }
    }
}

/// Texts in both languages, each parsed when it is first asked for.
pub struct Bilingual<T> {
    /// English, Chinese.
    texts: [&'static str; 2],
    parsed: [OnceLock<T>; 2],
}

impl<T: DeserializeOwned> Bilingual<T> {
    /// Of two TOML documents that are part of the program.
    pub const fn new(english: &'static str, chinese: &'static str) -> Bilingual<T> {
        Bilingual { texts: [english, chinese], parsed: [OnceLock::new(), OnceLock::new()] }
    }

    /// # Panics
    /// Where the text is none of that type, which each catalogue has a test against.
    pub fn get(&self, language: Language) -> &T {
        let at = match language {
            Language::English => 0,
            Language::Chinese => 1,
        };
        self.parsed[at].get_or_init(|| toml::from_str(self.texts[at]).expect("a test reads the embedded texts"))
    }
}

/// Whether a terminal of this locale shows more than ASCII. The values are those of
/// LC_ALL, LC_CTYPE and LANG; the first that is set counts (locale(7)).
pub fn speaks_utf8(values: [Option<String>; 3]) -> bool {
    values.into_iter().flatten().find(|value| !value.is_empty()).is_some_and(|value| is_utf8(&value))
}

fn is_utf8(locale: &str) -> bool {
    let name = locale.to_ascii_lowercase();
    name.contains("utf-8") || name.contains("utf8")
}

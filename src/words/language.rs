//! Which language a reader wants, from what the locale variables say.

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

/// Whether a terminal of this locale shows more than ASCII. The values are those of
/// LC_ALL, LC_CTYPE and LANG; the first that is set counts (locale(7)).
pub fn speaks_utf8(values: [Option<String>; 3]) -> bool {
    values.into_iter().flatten().find(|value| !value.is_empty()).is_some_and(|value| is_utf8(&value))
}

fn is_utf8(locale: &str) -> bool {
    let name = locale.to_ascii_lowercase();
    name.contains("utf-8") || name.contains("utf8")
}

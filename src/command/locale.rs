//! What the locale variables of this process say (locale(7)).

use crate::words::{self, Language};

fn values(category: &str) -> [Option<String>; 3] {
    ["LC_ALL", category, "LANG"].map(|name| std::env::var(name).ok())
}

/// The language asked for, else that of the locale.
pub fn language(asked: Option<Language>) -> Language {
    asked.unwrap_or_else(|| Language::of_locale(values("LC_MESSAGES")))
}

/// Whether more than ASCII can be shown.
pub fn utf8() -> bool {
    words::speaks_utf8(values("LC_CTYPE"))
}

//! Kernel releases as numbers, and the range an expectation speaks about.
//!
//! Pure: which kernel this is comes in as text. A range explains history, such as
//! a wakeup that one commit removed and another brought back; whether a feature
//! is there is found by a probe, since stable kernels carry later changes.

use serde::{Deserialize, Serialize};

/// `6.18.44-fc` is 6, 18, 44.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u32, u32, u32);

impl Release {
    /// Reads the leading numbers; at least two are needed.
    pub fn parse(text: &str) -> Option<Release> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut numbers = text[..end].trim_end_matches('.').split('.').map(|n| n.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        Some(Release(major, minor, numbers.next().unwrap_or(Some(0))?))
    }
}

/// The stable release that a kernel is. Debian's names are frozen at the first one
/// (`5.10.0-43-cloud-amd64`); its version says which it is by now (`#1 SMP Debian
/// 5.10.251-5 (2026-05-15)`).
pub fn stable_release<'a>(release: &'a str, version: &'a str) -> &'a str {
    let debian = version.split_once("Debian ").map(|(_, rest)| rest);
    let base = debian.and_then(|rest| rest.split(['-', '~', ' ']).next()).unwrap_or_default();
    match (Release::parse(base), Release::parse(release)) {
        (Some(Release(a, b, _)), Some(Release(c, d, _))) if (a, b) == (c, d) => base,
        _ => release,
    }
}

/// From `since` on and up to, but without, `before`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelRange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

impl KernelRange {
    /// Speaks about every kernel.
    pub fn is_open(&self) -> bool {
        self.since.is_none() && self.before.is_none()
    }

    /// Whether there is no kernel in it.
    pub fn is_empty(&self) -> bool {
        let bounds =
            self.since.as_deref().and_then(Release::parse).zip(self.before.as_deref().and_then(Release::parse));
        bounds.is_some_and(|(since, before)| since >= before)
    }

    /// Why kernel `release` is not in it; `None` when it is.
    pub fn excludes(&self, release: &str) -> Option<String> {
        if self.is_open() {
            return None;
        }
        let Some(here) = Release::parse(release) else {
            return Some(format!("{self} only, and {release:?} does not say which this is"));
        };
        let bound = |text: &Option<String>| text.as_deref().and_then(Release::parse);
        let early = bound(&self.since).is_some_and(|since| here < since);
        let late = bound(&self.before).is_some_and(|before| here >= before);
        (early || late).then(|| format!("{self} only, this is {release}"))
    }
}

impl std::fmt::Display for KernelRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.since, &self.before) {
            (Some(since), Some(before)) => write!(f, "Linux {since} up to but without {before}"),
            (Some(since), None) => write!(f, "Linux {since} and newer"),
            (None, Some(before)) => write!(f, "Linux before {before}"),
            (None, None) => write!(f, "every Linux"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(since: Option<&str>, before: Option<&str>, release: &str, want: Option<&str>) {
        let range = KernelRange { since: since.map(String::from), before: before.map(String::from) };
        assert_eq!(range.excludes(release).as_deref(), want);
    }

    #[test]
    fn a_frozen_name_is_looked_up_in_the_version() {
        let version = "#1 SMP Debian 5.10.251-5 (2026-05-15)";
        assert_eq!(stable_release("5.10.0-43-cloud-amd64", version), "5.10.251");
        assert_eq!(stable_release("7.3-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 7.3~rc7-1~exp1 (2026)"), "7.3");
        assert_eq!(stable_release("6.18.44-fc", "#1 SMP PREEMPT_DYNAMIC @0"), "6.18.44-fc");
        // Built from another series, whatever it says.
        assert_eq!(stable_release("6.1.0-1-x", version), "6.1.0-1-x");
    }

    #[test]
    fn a_release_is_in_a_range_by_its_numbers_not_its_text() {
        check(None, None, "whatever", None);
        check(Some("5.9"), None, "5.10.0-rc1", None);
        check(Some("5.14"), Some("6.1"), "6.0.19", None);
        check(Some("5.14"), None, "5.14.0-503.el9.x86_64", None);
        check(Some("5.14.3"), None, "5.14", Some("Linux 5.14.3 and newer only, this is 5.14"));
        check(None, Some("6.1"), "6.1.0", Some("Linux before 6.1 only, this is 6.1.0"));
        let both = "Linux 5.14 up to but without 6.1 only, this is 6.18.44-fc";
        check(Some("5.14"), Some("6.1"), "6.18.44-fc", Some(both));
        check(Some("5.14"), None, "", Some("Linux 5.14 and newer only, and \"\" does not say which this is"));
    }

    #[test]
    fn what_is_no_release_is_refused() {
        for text in ["", "6", "6.", "six", "6.x", "v6.1", "6..1"] {
            assert_eq!(Release::parse(text), None, "{text:?}");
        }
        assert!(Release::parse("6.1") < Release::parse("6.1.1"));
    }
}

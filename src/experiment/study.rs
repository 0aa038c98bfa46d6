//! Settings of a cell that is a study: a small measuring program instead of workers
//! on an object.

use serde::{Deserialize, Serialize};

use super::Settings;
use super::special::is_default;

/// What is left out is the default. How many tasks take part is `workers`, which kind
/// of them `placement`, on which CPUs `affinity`, and which variant `mode`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StudySettings {
    /// Name of the study, from the list in `study`; empty in all other cells.
    #[serde(rename = "study", skip_serializing_if = "is_default")]
    pub name: String,
    /// Memory that is written to before the measurement, in KiB.
    #[serde(rename = "touched", skip_serializing_if = "is_default")]
    pub touched_kib: u64,
    /// How often each figure is measured; 0 is as often as the study likes.
    #[serde(skip_serializing_if = "is_default")]
    pub samples: u32,
}

impl StudySettings {
    /// How often to measure: as asked, or as often as the study likes.
    pub fn samples_or(&self, own: u32) -> u32 {
        if self.samples > 0 { self.samples } else { own }
    }
}

/// What [`size`] takes, for messages.
pub const SIZE: &str = "a size such as \"64KiB\" or \"16MiB\", up to 1024MiB, or 0";

/// Reads a size in whole KiB.
pub fn size(text: &str) -> Option<u64> {
    let (digits, factor) = match text.trim() {
        "0" => return Some(0),
        text => (text.strip_suffix("KiB").map(|digits| (digits, 1)))
            .or_else(|| text.strip_suffix("MiB").map(|digits| (digits, 1024)))?,
    };
    let number: u64 = digits.trim().parse().ok()?;
    number.checked_mul(factor).filter(|kib| *kib <= 1024 * 1024)
}

impl Settings {
    /// Whether this is a study.
    pub fn is_study(&self) -> bool {
        !self.study.name.is_empty()
    }

    /// Whether this is a row of workers that events are made for: no script, no study.
    pub fn has_events(&self) -> bool {
        self.script.is_empty() && !self.is_study()
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        assert_eq!(["0", "64KiB", "16 MiB", "1024MiB"].map(size), [0, 64, 16_384, 1 << 20].map(Some));
        for wrong in ["", "64", "KiB", "-1KiB", "1GiB", "1025MiB", "99999999999999999999MiB", "1.5MiB"] {
            assert_eq!(size(wrong), None, "{wrong:?}");
        }
    }
}

//! How events arrive. One file each, one line each in [`LIST`].

use crate::experiment::Settings;

mod burst;
mod sequential;

/// A load.
pub trait Load: Sync {
    /// As an experiment spells it.
    fn name(&self) -> &'static str;

    /// One line for `herd list`.
    fn about(&self) -> &'static str;

    /// Events to fire back to back before the next barrier.
    fn batch(&self, settings: &Settings) -> u64;
}

/// Every load, in the order of `herd list`.
pub const LIST: &[&dyn Load] = &[&sequential::Sequential, &burst::Burst];

/// The load of that name.
pub fn find(name: &str) -> Option<&'static dyn Load> {
    LIST.iter().copied().find(|load| load.name() == name)
}

/// All names.
pub fn names() -> Vec<&'static str> {
    LIST.iter().map(|load| load.name()).collect()
}

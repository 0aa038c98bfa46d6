//! The objects workers can sleep on. One file each, one line each in [`LIST`].

use crate::cell::contract::{Opened, SetupError};
use crate::experiment::Settings;

mod tcp;
mod unix;

/// A kind of object.
pub trait Object: Sync {
    /// As an experiment spells it.
    fn name(&self) -> &'static str;

    /// One line for `herd list`.
    fn about(&self) -> &'static str;

    /// The probe without which this object cannot be had.
    fn needs(&self) -> Option<&'static str> {
        None
    }

    /// Why these settings make no sense for this object, if so.
    fn refuse(&self, settings: &Settings) -> Option<String>;

    /// Opens it. Runs in the coordinator before any worker exists. `block` says
    /// whether a claim is to sleep.
    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError>;
}

/// Every object, in the order of `herd list`.
pub const LIST: &[&dyn Object] = &[&tcp::V4, &tcp::V6, &unix::PATH, &unix::ABSTRACT];

/// The object of that name.
pub fn find(name: &str) -> Option<&'static dyn Object> {
    LIST.iter().copied().find(|object| object.name() == name)
}

/// All names.
pub fn names() -> Vec<&'static str> {
    LIST.iter().map(|object| object.name()).collect()
}

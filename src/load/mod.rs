//! How events arrive. One file each, one line each in [`LIST`].

use crate::experiment::Settings;

mod attached;
mod burst;
mod closed;
mod paced;
mod sequential;

/// A load that goes by the clock or by the clients, not by barriers: all of it is
/// one round, from quiet to quiet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Open loop: so many events a second, whatever becomes of them.
    Rate {
        per_second: f64,
        /// Exponential gaps instead of equal ones.
        poisson: bool,
    },
    /// Closed loop: so many clients, each with one event at a time.
    Clients(u64),
    /// None of our own: whoever comes.
    Attached,
}

/// A load.
pub trait Load: Sync {
    /// As an experiment spells it.
    fn name(&self) -> &'static str;

    /// One line for `herd list`.
    fn about(&self) -> &'static str;

    /// Events to fire back to back before the next barrier.
    fn batch(&self, settings: &Settings) -> u64;

    /// How it goes on where it waits for no barrier.
    fn pace(&self, settings: &Settings) -> Option<Pace> {
        let _ = settings;
        None
    }
}

/// Every load, in the order of `herd list`.
pub const LIST: &[&dyn Load] =
    &[&sequential::Sequential, &burst::Burst, &paced::Paced, &closed::Closed, &attached::Attached];

/// The load of that name.
pub fn find(name: &str) -> Option<&'static dyn Load> {
    LIST.iter().copied().find(|load| load.name() == name)
}

/// How the load of these settings goes on, where it waits for no barrier.
pub fn pace(settings: &Settings) -> Option<Pace> {
    find(&settings.load).and_then(|load| load.pace(settings))
}

/// All names.
pub fn names() -> Vec<&'static str> {
    LIST.iter().map(|load| load.name()).collect()
}

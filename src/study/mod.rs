//! Studies: claims that are no wait. Each is a small measuring program, which runs in
//! the cell's process in place of workers and says figures by name.
//!
//! A study asserts nothing; its experiment does, about counts, and about times only as
//! relations between rows.

mod address_space;
mod child;
mod clock;
mod crash_one;
mod entry_cost;
mod figures;
mod fork_cow;
mod fork_order;
mod here;
mod memory;
mod pair;
mod slice;
mod spawn_cost;
mod stacks;
mod states;
mod switch_cost;
mod talk;

use crate::experiment::Settings;
pub use figures::{Figures, Said, Trouble};
pub use spawn_cost::is_nothing;

/// Settings that a study may take, besides mode, samples and limit_ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Tasks are threads or processes.
    Placement,
    /// On which CPUs they are.
    Affinity,
    /// Memory written to beforehand.
    Touched,
}

impl Takes {
    /// The setting.
    pub fn key(self) -> &'static str {
        match self {
            Takes::Placement => "placement",
            Takes::Affinity => "affinity",
            Takes::Touched => "touched",
        }
    }
}

/// One measuring program.
pub trait Study: Sync {
    /// As experiments spell it.
    fn name(&self) -> &'static str;

    fn about(&self) -> &'static str;

    /// Variants, the default first, and what each is.
    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// How many tasks it has of its own; `None`: as many as `workers`.
    fn tasks(&self) -> Option<u32> {
        None
    }

    fn takes(&self) -> &'static [Takes] {
        &[]
    }

    /// What it measures, by the names of `analysis::figures`. All of them, in every mode,
    /// but for those that it says it must leave out.
    fn figures(&self) -> &'static [&'static str];

    /// Why these settings make no sense, if so.
    fn refuse(&self, _settings: &Settings) -> Option<String> {
        None
    }

    /// Measures. The process is its own and has one thread; whoever is made here has been
    /// seen to end when it returns.
    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble>;
}

/// Every study, in the order of `herd list`.
pub const LIST: &[&dyn Study] = &[
    &states::States,
    &entry_cost::EntryCost,
    &switch_cost::SwitchCost,
    &spawn_cost::SpawnCost,
    &fork_cow::ForkCow,
    &fork_order::ForkOrder,
    &stacks::Stacks,
    &address_space::AddressSpace,
    &talk::Talk,
    &slice::Slice,
    &crash_one::CrashOne,
];

/// The study of that name.
pub fn find(name: &str) -> Option<&'static dyn Study> {
    LIST.iter().copied().find(|study| study.name() == name)
}

/// All names.
pub fn names() -> Vec<&'static str> {
    LIST.iter().map(|study| study.name()).collect()
}

/// The mode that `settings` ask for: the first one when they do not say.
pub fn mode<'a>(study: &dyn Study, settings: &'a Settings) -> &'a str {
    match (settings.mode.as_str(), study.modes().first()) {
        ("", Some((first, _))) => first,
        (mode, _) => mode,
    }
}

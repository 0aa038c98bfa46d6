//! The ways a worker can sleep. One file each, one line each in [`LIST`].

use crate::cell::contract::{Refusal, SetupError, SharedWait, Sleeper, Source};
use crate::experiment::Settings;
use crate::experiment::settings::WorkerSettings;

mod block;
mod epoll;
mod null;
mod poll;
mod select;

/// A wait strategy.
pub trait Wait: Sync {
    /// As an experiment spells it.
    fn name(&self) -> &'static str;

    /// One line for `herd list`.
    fn about(&self) -> &'static str;

    /// Why these settings cannot be had, if so.
    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal>;

    /// The probe without which this wait cannot be had.
    fn needs(&self, worker: &WorkerSettings) -> Option<&'static str> {
        let _ = worker;
        None
    }

    /// Makes what all workers share. Runs in the coordinator, before any worker.
    fn share(&self, worker: &WorkerSettings, sources: &[Box<dyn Source>]) -> Result<SharedWait, SetupError> {
        let _ = (worker, sources);
        Ok(SharedWait::default())
    }

    /// Registers one worker. Runs in the worker, when its turn comes.
    fn open(
        &self,
        worker: &WorkerSettings,
        shared: &SharedWait,
        sources: &[Box<dyn Source>],
    ) -> Result<Box<dyn Sleeper>, SetupError>;
}

/// Every wait, in the order of `herd list`.
pub const LIST: &[&dyn Wait] = &[&block::Block, &poll::Poll, &select::Select, &epoll::Epoll, &null::Null];

/// The wait of that name.
pub fn find(name: &str) -> Option<&'static dyn Wait> {
    LIST.iter().copied().find(|wait| wait.name() == name)
}

/// All names.
pub fn names() -> Vec<&'static str> {
    LIST.iter().map(|wait| wait.name()).collect()
}

/// The refusal of a setting that means nothing to this wait.
fn only_for_epoll(worker: &WorkerSettings, name: &str) -> Option<Refusal> {
    let plain = WorkerSettings::default();
    let set = [
        ("instance", worker.instance != plain.instance),
        ("trigger", worker.trigger != plain.trigger),
        ("oneshot", worker.oneshot),
        ("exclusive", worker.exclusive),
        ("interest", !worker.interest.is_empty()),
        ("modify", worker.modify),
        ("maxevents", worker.maxevents != plain.maxevents),
        ("readd_every", worker.readd_every != 0),
    ];
    let (key, _) = set.into_iter().find(|(_, set)| *set)?;
    Some(Refusal {
        reason: format!("{key} is a setting of epoll; {name} has none (use kind = \"epoll\")"),
        forcible: false,
    })
}

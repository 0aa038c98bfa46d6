//! The ways a worker can sleep. One file each, one line each in [`LIST`].

use crate::cell::contract::{Refusal, SetupError, SharedWait, Sleeper, Source};
use crate::experiment::Settings;
use crate::experiment::settings::{Accept, Sharing, WorkerSettings};

mod accept_lock;
mod acceptor;
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

    /// Whether it sleeps in the claim, so that the object is opened to block.
    fn blocks(&self) -> bool {
        false
    }

    /// Whether it takes connections and nothing else.
    fn only_accepts(&self) -> bool {
        false
    }

    /// Whether workers need what [`Wait::share`] makes.
    fn shares(&self, worker: &WorkerSettings) -> bool {
        let _ = worker;
        false
    }

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
pub const LIST: &[&dyn Wait] = &[
    &block::Block,
    &poll::Poll,
    &select::Select,
    &epoll::Epoll,
    &accept_lock::AcceptLock,
    &acceptor::Acceptor,
    &null::Null,
];

/// The wait of that name.
pub fn find(name: &str) -> Option<&'static dyn Wait> {
    LIST.iter().copied().find(|wait| wait.name() == name)
}

/// All names.
pub fn names() -> Vec<&'static str> {
    LIST.iter().map(|wait| wait.name()).collect()
}

/// Why a wait that takes one connection at a time, off one listener that all
/// share, cannot be had, if so.
fn one_shared_listener(worker: &WorkerSettings, cell: &Settings, name: &str) -> Option<Refusal> {
    let reason = if cell.sharing == Sharing::Own {
        "{} is for one listener that all workers share; with sharing = \"own\" use kind = \"block\""
    } else if cell.objects > 1 {
        "{} sleeps in accept on one listener; watch several with poll, select or epoll"
    } else if worker.accept == Accept::Drain {
        "{} cannot drain: it would sleep on the empty listener instead of seeing EAGAIN"
    } else if worker.before_claim_us > 0 {
        "{} has no time between return and claim; leave out before_claim_us"
    } else {
        return only_for_epoll(worker, name);
    };
    Some(Refusal { reason: reason.replace("{}", name), forcible: false })
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

//! The ways a worker can sleep. One file each, one line each in [`LIST`].

use std::sync::Arc;

use crate::cell::contract::{Call, During, Helpers, Refusal, SetupError, SharedWait, Sleeper, Source, Woken};
use crate::experiment::Settings;
use crate::experiment::settings::{Accept, Sharing, WaitCall, WorkerSettings};

mod accept_lock;
mod acceptor;
mod block;
mod epoll;
mod fork_per_client;
mod null;
mod poll;
mod queue;
mod select;
mod sigio;
mod thread_per_client;
mod uring;

/// What a wait asks of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    Nothing,
    Descriptor,
    /// A descriptor that io_uring can take work from.
    Request,
    /// A listener.
    Connections,
    /// A descriptor that sends signals (O_ASYNC).
    Signals,
}

/// A wait strategy.
pub trait Wait: Sync {
    /// As an experiment spells it.
    fn name(&self) -> &'static str;

    /// One line for `herd list`.
    fn about(&self) -> &'static str;

    /// Why these settings cannot be had, if so.
    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal>;

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

    /// What it asks of its object.
    fn demand(&self) -> Demand {
        Demand::Descriptor
    }

    /// Whether the wait itself takes the work. Where all do, the object is opened
    /// to block, as for blocking calls.
    fn blocks(&self) -> bool {
        matches!(self.demand(), Demand::Nothing | Demand::Request | Demand::Connections)
    }

    /// Whether a worker's end does not close what it waited on at once: the kernel holds
    /// it some time longer.
    fn lingers(&self) -> bool {
        false
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
    &queue::Queue,
    &fork_per_client::ForkPerClient,
    &thread_per_client::ThreadPerClient,
    &uring::SINGLE,
    &uring::MULTISHOT,
    &uring::POLL,
    &sigio::Sigio,
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
        return foreign(worker, name, &["lock"]);
    };
    Some(Refusal { reason: reason.replace("{}", name), forcible: false })
}

/// The refusal of a wait in which each worker has a part of its own, where some wait
/// in another way.
fn whole_cells_only(cell: &Settings, name: &str) -> Option<Refusal> {
    let mixed = cell.worker.wait != name || cell.overrides.iter().any(|o| o.set.contains_key("kind"));
    mixed.then(|| Refusal {
        reason: format!("{name} is for whole cells: each worker takes part; leave kind out of the overrides"),
        forcible: false,
    })
}

/// What workers share that have others serve their clients: the counts of these.
fn with_helpers() -> Result<SharedWait, SetupError> {
    let helpers = Helpers::new().during(Call::Mmap)?;
    Ok(SharedWait { helpers: Some(Arc::new(helpers)), ..SharedWait::default() })
}

/// Sleeps in accept, for a client whom somebody else will serve.
fn accept_for_another(sources: &mut [Box<dyn Source>]) -> Woken {
    sources[0].claim().map_or_else(Woken::Failed, Woken::Delegated)
}

/// The refusal of a setting that means nothing to this wait.
fn only_for_epoll(worker: &WorkerSettings, name: &str) -> Option<Refusal> {
    foreign(worker, name, &[])
}

/// The refusal of a setting of another wait; those named in `own` are its own.
fn foreign(worker: &WorkerSettings, name: &str, own: &[&str]) -> Option<Refusal> {
    let plain = WorkerSettings::default();
    let (call, of_call) = match worker.call {
        WaitCall::Plain => ("call", name),
        WaitCall::Ppoll => ("call = \"ppoll\"", "poll"),
        WaitCall::Pselect6 => ("call = \"pselect6\"", "select"),
        WaitCall::EpollPwait2 => ("call = \"epoll_pwait2\"", "epoll"),
    };
    let set = [
        ("instance", "epoll", worker.instance != plain.instance),
        ("trigger", "epoll", worker.trigger != plain.trigger),
        ("oneshot", "epoll", worker.oneshot),
        ("exclusive", "epoll", worker.exclusive),
        ("interest", "epoll", !worker.interest.is_empty()),
        ("modify", "epoll", worker.modify),
        ("maxevents", "epoll", worker.maxevents != plain.maxevents),
        ("readd_every", "epoll", worker.readd_every != 0),
        (call, of_call, of_call != name),
        ("ring", "uring", worker.ring != plain.ring),
        ("ring_setup", "uring", worker.ring_setup != plain.ring_setup),
        ("owner", "sigio", worker.owner != plain.owner),
        ("lock", "accept-lock", worker.lock != plain.lock),
    ];
    let (key, of, _) = set.into_iter().find(|(key, _, set)| *set && !own.contains(key))?;
    Some(Refusal {
        reason: format!("{key} is a setting of {of}; {name} has none (use kind = \"{of}\")"),
        forcible: false,
    })
}

/// The settings of epoll that its own `foreign` leaves alone.
const EPOLL_KEYS: &[&str] =
    &["instance", "trigger", "oneshot", "exclusive", "interest", "modify", "maxevents", "readd_every"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::{RingOwner, RingSetup, SignalOwner};

    #[track_caller]
    fn check(kind: &str, change: impl Fn(&mut WorkerSettings), want: Option<&str>) {
        let mut worker = WorkerSettings { wait: kind.into(), ..WorkerSettings::default() };
        change(&mut worker);
        let mut cell = Settings { worker: worker.clone(), ..Settings::default() };
        cell.placement = "threads".parse().unwrap();
        let found = find(kind).unwrap().refuse(&worker, &cell).map(|refusal| refusal.reason);
        match want {
            None => assert_eq!(found, None),
            Some(want) => assert!(found.as_ref().is_some_and(|f| f.contains(want)), "{found:?}"),
        }
    }

    #[test]
    fn a_setting_of_another_wait_is_refused_with_its_owner() {
        check("poll", |w| w.call = WaitCall::Ppoll, None);
        check("poll", |w| w.call = WaitCall::Pselect6, Some("call = \"pselect6\" is a setting of select"));
        check("epoll", |w| w.call = WaitCall::EpollPwait2, None);
        check("epoll", |w| w.owner = SignalOwner::Thread, Some("owner is a setting of sigio"));
        check("block", |w| w.ring = RingOwner::Shared, Some("ring is a setting of uring"));
        check("sigio", |w| w.owner = SignalOwner::Thread, None);
        check(
            "sigio",
            |w| w.trigger = crate::experiment::settings::Trigger::Edge,
            Some("trigger is a setting of epoll"),
        );
        check("uring", |w| w.exclusive = true, Some("exclusive is a setting of epoll"));
        check("uring-poll", |w| w.exclusive = true, None);
        check("uring-poll", |w| w.oneshot = true, Some("oneshot is a setting of epoll"));
        check("uring", |w| w.ring_setup = RingSetup::SingleIssuer, None);
        let both = |w: &mut WorkerSettings| {
            w.ring = RingOwner::Shared;
            w.ring_setup = RingSetup::SingleIssuer;
        };
        check("uring", both, Some("EEXIST"));
    }
}

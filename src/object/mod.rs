//! The objects workers can sleep on. One file each, one line each in [`LIST`].

use std::io;

use crate::cell::contract::{Opened, SetupError};
use crate::experiment::Settings;

mod child;
mod condvar;
mod eventfd;
mod futex;
mod inotify;
mod lock;
mod mq;
mod pipe;
mod posix_sem;
mod signalfd;
mod sigwait;
mod socketpair;
mod stream;
mod sysv;
mod tcp;
mod timerfd;
mod two_ends;
mod udp;
mod unix;

/// A kind of object.
pub trait Object: Sync {
    /// As an experiment spells it.
    fn name(&self) -> &'static str;

    /// One line for `herd list`.
    fn about(&self) -> &'static str;

    /// The values of `mode`, each with a line for `herd list`; the first is meant
    /// when none is given. Empty for an object without variants.
    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The probe without which this object cannot be had.
    fn needs(&self, settings: &Settings) -> Option<&'static str> {
        let _ = settings;
        None
    }

    /// Whether workers have a descriptor of it. One without can only be waited
    /// on by `block`.
    fn has_descriptor(&self) -> bool {
        true
    }

    /// Whether events are connections, which must fit into a backlog.
    fn listens(&self) -> bool {
        false
    }

    /// Whether events wait in it while all workers are awake, so that a load need not
    /// wait for sleepers.
    fn queues(&self) -> bool {
        self.listens()
    }

    /// Whether connections can stay, so that events are messages on them.
    fn takes_connections(&self) -> bool {
        false
    }

    /// Whether events come from addresses, by which the hash of a group chooses.
    fn has_flows(&self) -> bool {
        false
    }

    /// Whether its own sockets form a SO_REUSEPORT group in which a program may
    /// choose (`steering`).
    fn steers(&self) -> bool {
        false
    }

    /// Whether io_uring can take work from it: whether [`Source::request`] of its
    /// sources is there.
    ///
    /// [`Source::request`]: crate::cell::contract::Source::request
    fn takes_requests(&self, settings: &Settings) -> bool {
        let _ = settings;
        self.listens()
    }

    /// Whether its descriptor sends signals: the file has a `fasync` operation,
    /// and what wakes its sleepers calls `kill_fasync` or `sk_wake_async` too.
    fn sends_signals(&self, settings: &Settings) -> bool {
        let _ = settings;
        self.listens()
    }

    /// Whether its events come out of a timer, on top of whatever runs. See
    /// `cell::quiet`.
    fn fires_by_timer(&self) -> bool {
        false
    }

    /// Whether somebody has its `port` in this network, be it who has ended. An
    /// error where the kernel's table cannot be read.
    fn is_held(&self, settings: &Settings) -> io::Result<bool> {
        let _ = settings;
        Ok(false)
    }

    /// Why these settings make no sense for this object, if so.
    fn refuse(&self, settings: &Settings) -> Option<String>;

    /// Opens it. Runs in the coordinator before any worker exists. `block` says
    /// whether a claim is to sleep.
    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError>;
}

/// Every object, in the order of `herd list`.
pub const LIST: &[&dyn Object] = &[
    &tcp::V4,
    &tcp::V6,
    &unix::PATH,
    &unix::ABSTRACT,
    &udp::V4,
    &udp::V6,
    &socketpair::DATAGRAM,
    &socketpair::STREAM,
    &pipe::PIPE,
    &pipe::FIFO,
    &eventfd::Event,
    &timerfd::Timer,
    &signalfd::Signals,
    &inotify::Watch,
    &mq::Queue,
    &futex::Futex,
    &condvar::Condvar,
    &posix_sem::PosixSem,
    &lock::MUTEX,
    &lock::RWLOCK,
    &lock::FLOCK,
    &lock::POSIX_LOCK,
    &lock::OFD_LOCK,
    &sysv::SEMAPHORE,
    &sysv::QUEUE,
    &sigwait::Sigwait,
    &child::CHILD,
    &child::PIDFD,
];

/// The mode that `settings` ask for.
pub fn mode<'a>(object: &dyn Object, settings: &'a Settings) -> &'a str {
    match (settings.mode.as_str(), object.modes().first()) {
        ("", Some((first, _))) => first,
        (mode, _) => mode,
    }
}

/// Why a setting of listeners makes no sense for `object`, which is none and of
/// which there is one for all workers.
fn refuse_extras(object: &dyn Object, settings: &Settings) -> Option<String> {
    let plain = Settings::default();
    let name = object.name();
    if settings.sharing != plain.sharing || settings.objects > 1 {
        return Some(format!("there is one {name} for all workers; leave out objects and sharing"));
    }
    let set = [
        ("group", settings.group),
        ("opened_by", settings.opened_by != plain.opened_by),
        ("port", settings.port != plain.port),
        ("backlog", settings.backlog != plain.backlog),
    ];
    let (key, _) = set.into_iter().find(|(_, set)| *set)?;
    Some(format!("{key} is a setting of listeners, which {name} is not; leave it out"))
}

/// Why `object` has no such mode, if so.
pub fn refuse_mode(object: &dyn Object, mode: &str) -> Option<String> {
    let known = object.modes();
    if mode.is_empty() || known.iter().any(|(name, _)| *name == mode) {
        return None;
    }
    if known.is_empty() {
        return Some(format!("{} has no modes; leave out mode = {mode:?}", object.name()));
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    Some(format!("{} has no mode {mode:?}; its modes are {}", object.name(), names.join(", ")))
}

/// The object of that name.
pub fn find(name: &str) -> Option<&'static dyn Object> {
    LIST.iter().copied().find(|object| object.name() == name)
}

/// All names.
pub fn names() -> Vec<&'static str> {
    LIST.iter().map(|object| object.name()).collect()
}

//! poll(2) or ppoll(2) without a limit, then a claim that does not block.
//!
//! The loop: poll all objects; each is registered by `__pollwait` with a plain
//! `add_wait_queue`, so an event wakes every poller (`pollwake`). A loser polls
//! again inside the kernel and sleeps on if the work is gone (fs/select.c,
//! `do_poll`).

use std::os::fd::{AsRawFd, OwnedFd};

use super::{Wait, only_for_epoll};
use crate::cell::contract::{
    Asleep, Call, During, Interest, POLL, Refusal, SetupError, SharedWait, Sleeper, Source, Woken,
};
use crate::experiment::Settings;
use crate::experiment::settings::{WaitCall, WorkerSettings};
use crate::sys::pollset::PollSet;

/// poll(2).
pub struct Poll;

impl Wait for Poll {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn about(&self) -> &'static str {
        "poll(2), then a claim that does not block"
    }

    fn refuse(&self, worker: &WorkerSettings, _: &Settings) -> Option<Refusal> {
        only_for_epoll(worker, self.name())
    }

    fn open(
        &self,
        worker: &WorkerSettings,
        _: &SharedWait,
        sources: &[Box<dyn Source>],
    ) -> Result<Box<dyn Sleeper>, SetupError> {
        let set = set_of(sources)?;
        Ok(Box::new(Polling { set, ppoll: worker.call == WaitCall::Ppoll }))
    }
}

/// What to wait for, on a duplicate of each descriptor.
pub(super) fn set_of(sources: &[Box<dyn Source>]) -> Result<PollSet, SetupError> {
    let events = sources.iter().map(|source| events_of(source.as_ref()));
    Ok(PollSet::new(watched(sources)?.into_iter().zip(events).collect()))
}

fn events_of(source: &dyn Source) -> libc::c_short {
    match source.interest() {
        Interest::Readable => libc::POLLIN,
        Interest::Writable => libc::POLLOUT,
    }
}

/// A duplicate of each descriptor, so that the wait owns what it sleeps on.
///
/// A duplicate is the same open file: same object, same wait queue.
pub(super) fn watched(sources: &[Box<dyn Source>]) -> Result<Vec<OwnedFd>, SetupError> {
    sources
        .iter()
        .map(|source| {
            let fd = source.descriptor().expect("refused for objects without a descriptor");
            fd.try_clone_to_owned().during(Call::Fcntl)
        })
        .collect()
}

struct Polling {
    set: PollSet,
    ppoll: bool,
}

impl Sleeper for Polling {
    fn wait(&mut self, _: &mut [Box<dyn Source>], ready: &mut Vec<usize>) -> Woken {
        let woken = if self.ppoll { self.set.wait_by_ppoll(ready) } else { self.set.wait(ready) };
        match woken {
            Ok(()) => Woken::Ready,
            Err(errno) => Woken::Failed(errno),
        }
    }

    fn adopt(&mut self, sources: &[Box<dyn Source>], number: usize) -> Result<(), SetupError> {
        // No duplicate of this one: ten thousand of them would need twice as many descriptors.
        let source = sources[number].as_ref();
        let fd = source.descriptor().expect("a connection has one").as_raw_fd();
        self.set.put(number, fd, events_of(source));
        Ok(())
    }

    fn let_go(&mut self, number: usize) {
        self.set.remove(number);
    }

    fn asleep(&self, _: &[Box<dyn Source>]) -> Asleep {
        // The first argument is the address of the list.
        Asleep::at(if self.ppoll { &[libc::SYS_ppoll] } else { POLL }, None)
    }
}

/// Highest descriptor plus one.
pub(super) fn above_all(fds: &[OwnedFd]) -> i32 {
    1 + fds.iter().map(AsRawFd::as_raw_fd).max().unwrap_or(-1)
}

//! io_uring_enter(2): the kernel claims, or polls, in the worker's name.
//!
//! The loop: one io_uring_enter submits what is not pending and sleeps in
//! `io_cqring_wait`. A request that finds no work queues itself on the object
//! (`__io_queue_proc`, io_uring/poll.c): an accept as exclusive at the tail (since
//! Linux 5.18, 52dd86406dfa), a poll or a read at the head, but a poll with
//! EPOLLEXCLUSIVE as exclusive too. `io_poll_wake` has the task that submitted
//! the request finish it: that wakes the worker.
//!
//! Single-shot entries leave the object's queue and come back at its tail, so the
//! workers take turns. A multishot accept never leaves its place.

use nix::errno::Errno;

use super::poll::watched;
use super::{Demand, Wait, foreign};
use crate::cell::contract::{
    Asleep, Call, Claim, During, Interest, Refusal, Request, SetupError, SharedWait, Sleeper, Source, Woken,
};
use crate::experiment::Settings;
use crate::experiment::settings::{Accept, RingOwner, RingSetup, Sharing, WorkerSettings};
use crate::sys::ring::{Completion, Operation, Ring, Setup};

/// Which requests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Single,
    Multishot,
    Poll,
}

/// io_uring(7).
pub struct Uring {
    how: How,
}

pub const SINGLE: Uring = Uring { how: How::Single };
pub const MULTISHOT: Uring = Uring { how: How::Multishot };
pub const POLL: Uring = Uring { how: How::Poll };

/// Submissions a ring has room for; more go in two steps.
const ENTRIES: u32 = 64;

impl Wait for Uring {
    fn name(&self) -> &'static str {
        match self.how {
            How::Single => "uring",
            How::Multishot => "uring-multishot",
            How::Poll => "uring-poll",
        }
    }

    fn about(&self) -> &'static str {
        match self.how {
            How::Single => "io_uring: one accept or read at a time",
            How::Multishot => "io_uring: one accept for all connections",
            How::Poll => "io_uring: a poll, then a claim that does not block",
        }
    }

    fn demand(&self) -> Demand {
        match self.how {
            How::Single => Demand::Request,
            How::Multishot => Demand::Connections,
            How::Poll => Demand::Descriptor,
        }
    }

    fn needs(&self, worker: &WorkerSettings) -> Option<&'static str> {
        // Each setup is younger than all of the requests.
        Some(match (worker.ring_setup, self.how) {
            (RingSetup::SingleIssuer, _) => "io_uring_single_issuer",
            (RingSetup::DeferTaskrun, _) => "io_uring_defer_taskrun",
            (RingSetup::Plain, How::Single) => "io_uring_accept",
            (RingSetup::Plain, How::Multishot) => "io_uring_multishot_accept",
            (RingSetup::Plain, How::Poll) if worker.exclusive => "io_uring_poll_exclusive",
            (RingSetup::Plain, How::Poll) => "io_uring",
        })
    }

    /// A ring lets go of its files some time after its last task has ended
    /// (io_ring_exit_work, io_uring/io_uring.c).
    fn lingers(&self) -> bool {
        true
    }

    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal> {
        let shared = worker.ring == RingOwner::Shared;
        let reason = if shared && cell.placement().processes > 1 {
            "a ring is shared by the threads of one process only: a request runs in the task that submitted it, \
             with that one's descriptors; use placement = \"threads\""
        } else if shared && worker.ring_setup != RingSetup::Plain {
            "a ring with one issuer answers EEXIST to every other thread that submits; use ring_setup = \"plain\" \
             with ring = \"shared\""
        } else if shared && (cell.sharing == Sharing::Own || !cell.overrides.is_empty()) {
            "whoever looks takes any completion of a shared ring, so all workers must watch the same objects in the \
             same way; use ring = \"private\""
        } else if self.blocks() && worker.accept == Accept::Drain {
            "a completion is one claim, so there is nothing to drain; leave out accept"
        } else if self.blocks() && worker.before_claim_us > 0 {
            "a completion is the claim: there is no time before it; leave out before_claim_us"
        } else {
            let own: &[&str] = match self.how {
                How::Poll => &["ring", "ring_setup", "exclusive"],
                _ => &["ring", "ring_setup"],
            };
            return foreign(worker, self.name(), own);
        };
        Some(Refusal { reason: reason.into(), forcible: false })
    }

    fn open(
        &self,
        worker: &WorkerSettings,
        shared: &SharedWait,
        sources: &[Box<dyn Source>],
    ) -> Result<Box<dyn Sleeper>, SetupError> {
        let setup = match worker.ring_setup {
            RingSetup::Plain => Setup::Plain,
            RingSetup::SingleIssuer => Setup::SingleIssuer,
            RingSetup::DeferTaskrun => Setup::DeferTaskrun,
        };
        let entries = ENTRIES.max(sources.len() as u32);
        let make = || Ring::new(entries, setup).during(Call::UringSetup);
        // Workers register one at a time, so nobody comes in between.
        let (mut ring, first) = match (worker.ring, shared.ring.get()) {
            (RingOwner::Private, _) => (make()?, true),
            (RingOwner::Shared, Some(ring)) => (ring.another(), false),
            (RingOwner::Shared, None) => {
                let made = make()?;
                (shared.ring.get_or_init(|| made).another(), true)
            }
        };
        let mut unasked = Vec::with_capacity(sources.len());
        let mut longest = 0;
        // One multishot request is enough for all who share the ring.
        if first || self.how != How::Multishot {
            for (mark, fd) in watched(sources)?.into_iter().enumerate() {
                let operation = match (self.how, sources[mark].request()) {
                    (How::Multishot, _) => Operation::AcceptMany,
                    (How::Poll, _) => Operation::Poll(mask(worker, sources[mark].interest())),
                    (How::Single, Some(Request::Read(most))) => {
                        longest = longest.max(most as usize);
                        Operation::Read(most)
                    }
                    (How::Single, Some(Request::Accept)) => Operation::Accept,
                    (How::Single, None) => {
                        return Err(SetupError { call: Call::UringEnter, errno: Errno::EOPNOTSUPP });
                    }
                };
                unasked.push(ring.add(fd, operation, mark));
            }
        }
        Ok(Box::new(Waiting {
            ring,
            shared: worker.ring == RingOwner::Shared,
            unasked,
            bytes: Vec::with_capacity(longest),
            late: None,
        }))
    }
}

fn mask(worker: &WorkerSettings, interest: Interest) -> u32 {
    let exclusive = if worker.exclusive { libc::EPOLLEXCLUSIVE } else { 0 };
    let events = match interest {
        Interest::Readable => libc::EPOLLIN,
        Interest::Writable => libc::EPOLLOUT,
    };
    (events | exclusive) as u32
}

struct Waiting {
    ring: Ring,
    /// Others look at the same completions.
    shared: bool,
    /// Requests that are not pending and are to be.
    unasked: Vec<usize>,
    /// What the last read brought.
    bytes: Vec<u8>,
    /// Failed behind a completion that was a claim; told by the next wait.
    late: Option<Errno>,
}

impl Waiting {
    /// What the next completion means, `None` when there is none.
    fn next(&mut self, sources: &mut [Box<dyn Source>], ready: &mut Vec<usize>) -> Option<Woken> {
        let done = self.ring.take(&mut self.bytes)?;
        if !done.more {
            self.unasked.push(done.request);
        }
        let source = &mut sources[done.mark];
        Some(match done.completion {
            Completion::Accepted(connection) => Woken::Claimed(source.accepted(connection)),
            // The end of the file is no event.
            Completion::Read(0) => Woken::Ready,
            Completion::Read(length) => Woken::Claimed(source.was_read(&self.bytes[..length])),
            Completion::Polled(_) => {
                ready.push(done.mark);
                Woken::Ready
            }
            Completion::Failed(errno) => Woken::Failed(errno),
        })
    }
}

impl Sleeper for Waiting {
    fn wait(&mut self, sources: &mut [Box<dyn Source>], ready: &mut Vec<usize>) -> Woken {
        if let Some(errno) = self.late.take() {
            return Woken::Failed(errno);
        }
        while let Some(request) = self.unasked.pop() {
            if let Err(errno) = self.ring.ask(request) {
                self.unasked.push(request);
                return Woken::Failed(errno);
            }
        }
        if let Err(errno) = self.ring.enter(1) {
            return Woken::Failed(errno);
        }
        // In a shared ring another may have taken what this one was woken for.
        let woken = self.next(sources, ready).unwrap_or(Woken::Ready);
        while !self.shared && woken == Woken::Ready {
            match self.next(sources, ready) {
                Some(Woken::Ready) => {}
                Some(Woken::Failed(errno)) => self.late = Some(errno),
                Some(claimed) => return claimed,
                None => break,
            }
        }
        woken
    }

    fn more(&mut self, sources: &mut [Box<dyn Source>]) -> Option<Claim> {
        // One completion per return where others wait for the rest.
        while !self.shared {
            match self.next(sources, &mut Vec::new())? {
                Woken::Claimed(claim) => return Some(claim),
                Woken::Failed(errno) => self.late = Some(errno),
                Woken::Ready | Woken::Passed | Woken::Delegated(_) => {}
            }
        }
        None
    }

    fn asleep(&self, _: &[Box<dyn Source>]) -> Asleep {
        Asleep::on(&[libc::SYS_io_uring_enter], &self.ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

    /// The reading end of a pipe: an event is a byte.
    struct End(OwnedFd);

    impl Source for End {
        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            Some(self.0.as_fd())
        }

        fn claim(&mut self) -> Result<Claim, Errno> {
            let mut byte = [0];
            nix::unistd::read(&self.0, &mut byte).map(|_| Claim { tag: byte[0].into() })
        }

        fn asleep(&self) -> Asleep {
            Asleep::on(&[libc::SYS_read], &self.0)
        }

        fn identity(&self) -> u64 {
            0
        }

        fn request(&self) -> Option<Request> {
            Some(Request::Read(1))
        }

        fn was_read(&mut self, bytes: &[u8]) -> Claim {
            Claim { tag: bytes[0].into() }
        }
    }

    type Pipes = (Vec<Box<dyn Source>>, Vec<OwnedFd>);

    fn pipes(count: usize) -> Pipes {
        let ends = (0..count).map(|_| nix::unistd::pipe().unwrap());
        ends.map(|(reader, writer)| (Box::new(End(reader)) as Box<dyn Source>, writer)).unzip()
    }

    /// `None`, and the reason, where this kernel gives no ring.
    fn sleeper(wait: &Uring, worker: &WorkerSettings, sources: &[Box<dyn Source>]) -> Option<Box<dyn Sleeper>> {
        let opened = wait.open(worker, &SharedWait::default(), sources);
        opened.inspect_err(|e| eprintln!("skipped: {e}")).ok()
    }

    #[test]
    fn a_read_is_a_claim_and_brings_along_what_else_completed() {
        for setup in [RingSetup::Plain, RingSetup::SingleIssuer, RingSetup::DeferTaskrun] {
            // Of its own each time: what a ring has asked for ends some time after it.
            let (mut sources, writers) = pipes(2);
            let worker = WorkerSettings { ring_setup: setup, ..WorkerSettings::default() };
            let Some(mut sleeper) = sleeper(&SINGLE, &worker, &sources) else { continue };
            for _ in 0..2 {
                nix::unistd::write(&writers[0], b"a").unwrap();
                nix::unistd::write(&writers[1], b"b").unwrap();
                let first = sleeper.wait(&mut sources, &mut Vec::new());
                let Woken::Claimed(first) = first else { panic!("{first:?}") };
                let second = sleeper.more(&mut sources).expect("both were there");
                assert_eq!(first.tag + second.tag, u32::from(b'a' + b'b'), "{setup:?}");
                assert_eq!(sleeper.more(&mut sources), None);
            }
        }
    }

    #[test]
    fn the_end_of_the_file_is_no_event() {
        let (mut sources, writers) = pipes(1);
        let Some(mut sleeper) = sleeper(&SINGLE, &WorkerSettings::default(), &sources) else { return };
        drop(writers);
        let mut ready = Vec::new();
        assert_eq!(sleeper.wait(&mut sources, &mut ready), Woken::Ready);
        assert!(ready.is_empty());
    }

    #[test]
    fn a_poll_names_every_object_that_is_ready() {
        let (mut sources, writers) = pipes(3);
        let Some(mut sleeper) = sleeper(&POLL, &WorkerSettings::default(), &sources) else { return };
        nix::unistd::write(&writers[2], b"c").unwrap();
        nix::unistd::write(&writers[0], b"a").unwrap();
        let mut ready = Vec::new();
        assert_eq!(sleeper.wait(&mut sources, &mut ready), Woken::Ready);
        ready.sort_unstable();
        assert_eq!(ready, [0, 2]);
        assert_eq!(sources[2].claim(), Ok(Claim { tag: b'c'.into() }));
    }

    #[test]
    fn an_error_behind_a_claim_is_told_by_the_next_wait() {
        let (mut sources, writers) = pipes(1);
        // A directory cannot be read: EISDIR at once.
        let directory = std::fs::File::open("/").unwrap();
        sources.push(Box::new(End(directory.into())));
        let Some(mut sleeper) = sleeper(&SINGLE, &WorkerSettings::default(), &sources) else { return };
        nix::unistd::write(&writers[0], b"a").unwrap();
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.push(sleeper.wait(&mut sources, &mut Vec::new()));
            seen.extend(sleeper.more(&mut sources).map(Woken::Claimed));
        }
        assert!(seen.contains(&Woken::Claimed(Claim { tag: b'a'.into() })), "{seen:?}");
        assert!(seen.contains(&Woken::Failed(Errno::EISDIR)), "{seen:?}");
    }
}

//! The calls that a script waits with, and how a worker looks that sleeps in one.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv};

use super::table::{Outcome, Shared, Table, errno};
use crate::cell::contract::{Asleep, EPOLL_WAIT, SELECT};
use crate::experiment::script::{Call, Job, Name, Then, Waiting};
use crate::sys::{by_number, futex};

/// More events than `max` allows.
const EVENTS: usize = 1024;

/// What a wait brought along. Made once, since a worker that waits must not
/// allocate.
pub struct Got {
    events: [EpollEvent; EVENTS],
    pub count: usize,
    pub connection: Option<OwnedFd>,
}

impl Got {
    pub fn new() -> Got {
        Got { events: [EpollEvent::empty(); EVENTS], count: 0, connection: None }
    }

    /// What event `at` names; what was waited on where events name nothing.
    pub fn name(&self, at: usize) -> Name {
        self.events[at].data() as Name
    }
}

impl Table {
    /// Waits once.
    pub fn wait(&self, waiting: &Waiting, got: &mut Got) -> Outcome {
        let fd = self.number(waiting.on);
        let ms = waiting.within_us.map_or(-1, |us| i32::try_from(us.div_ceil(1000)).unwrap_or(i32::MAX));
        (got.count, got.connection) = (0, None);
        got.events[0] = EpollEvent::new(EpollFlags::empty(), waiting.on as u64);
        let events = &mut got.events[..waiting.max as usize];
        let limit = waiting.within_us.map(Duration::from_micros);
        let mut buffer = [0; EVENTS];
        let buffer = &mut buffer[..waiting.max as usize];
        let count = match waiting.call {
            Call::EpollWait => by_number::epoll_wait(fd, events, ms)?,
            Call::EpollPwait2 => by_number::epoll_pwait2(fd, events, limit)?,
            Call::Poll => by_number::poll(fd, ms)?,
            // Another may have taken what woke this one: then it polls again, or an
            // event that comes between its two calls would find nobody.
            Call::PollThenWait => loop {
                by_number::poll(fd, -1)?;
                match by_number::epoll_wait(fd, events, 0)? {
                    0 => {}
                    count => break count,
                }
            },
            Call::Select => by_number::select(fd)?,
            Call::Locked(_) => {
                // Its own open file each time, which flock belongs to.
                let lock = self.lock.as_ref().ok_or(Errno::ENOLCK)?.open().map_err(errno)?;
                lock.acquire()?;
                let accepted = by_number::accept(fd);
                lock.release();
                got.connection = Some(accepted?);
                1
            }
            Call::Accept => {
                got.connection = Some(by_number::accept(fd)?);
                1
            }
            Call::Read => by_number::read(fd, buffer)?,
            Call::Receive => recv(fd, buffer, MsgFlags::empty())?,
            Call::Futex | Call::ReadLock | Call::WriteLock | Call::Lock => {
                self.wait_in_memory(waiting, limit)?;
                1
            }
        };
        got.count = match waiting.call {
            Call::EpollWait | Call::EpollPwait2 | Call::PollThenWait => count,
            _ => count.min(1),
        };
        Ok(count as u64)
    }

    fn wait_in_memory(&self, waiting: &Waiting, limit: Option<Duration>) -> Result<(), Errno> {
        match (self.shared(waiting.on)?, waiting.call, limit) {
            (Shared::Word(word), ..) => {
                let word = &word.row(0)[0];
                futex::wait(word, word.load(Ordering::Acquire) as u32, futex::Reach::Shared)
            }
            (Shared::RwLock(lock), Call::ReadLock, _) => lock.read(),
            (Shared::RwLock(lock), _, None) => lock.write(),
            (Shared::RwLock(lock), _, Some(limit)) => lock.write_within(limit),
            (Shared::Mutex(lock), _, None) => lock.lock(),
            (Shared::Mutex(lock), _, Some(limit)) => lock.lock_within(limit),
        }
    }

    /// How a worker looks that sleeps in this job, or afterwards at its gate.
    pub fn asleep(&self, job: &Job) -> Asleep {
        let gate = Asleep::at(&[libc::SYS_futex], None);
        let Job::Wait { waiting, then, .. } = job else {
            return gate;
        };
        let place = self.asleep_in(waiting).or(gate);
        let accepts = then.iter().any(|then| matches!(then, Then::Accept { .. }));
        // The listener may block, and somebody else be faster.
        if accepts { place.or(Asleep::at(&[libc::SYS_accept4], None)) } else { place }
    }

    fn asleep_in(&self, waiting: &Waiting) -> Asleep {
        let on = u64::try_from(self.number(waiting.on)).ok();
        match waiting.call {
            Call::EpollWait => Asleep::at(EPOLL_WAIT, on),
            Call::EpollPwait2 => Asleep::at(&[libc::SYS_epoll_pwait2], on),
            Call::Poll | Call::PollThenWait => {
                // What a C library has for poll on this architecture.
                #[cfg(target_arch = "x86_64")]
                let poll = libc::SYS_poll;
                #[cfg(not(target_arch = "x86_64"))]
                let poll = libc::SYS_ppoll;
                // After a stop it is restarted by another call, for what is left of its
                // time (fs/select.c, `do_restart_poll`).
                let again = &[poll, libc::SYS_restart_syscall];
                Asleep::at(again, None)
            }
            Call::Select => Asleep::at(SELECT, on.map(|fd| fd + 1)),
            Call::Accept => Asleep::at(&[libc::SYS_accept4], on),
            Call::Locked(_) => {
                let lock = self.lock.as_ref().and_then(|lock| lock.open().ok());
                let in_lock = lock.map(|lock| Asleep::at(lock.calls(), None));
                Asleep::at(&[libc::SYS_accept4], on).or(in_lock.unwrap_or_default())
            }
            Call::Read => Asleep::at(&[libc::SYS_read], on),
            Call::Receive => Asleep::at(&[libc::SYS_recvfrom], on),
            Call::Futex | Call::ReadLock | Call::WriteLock | Call::Lock => Asleep::default(),
        }
    }
}

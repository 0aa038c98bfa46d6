//! Where a generator sleeps: one epoll instance with a timer in it, so that it wakes
//! when a client is heard or when something is due, and at no other time.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// A shorter time than this is not worth a timer.
const SHORT_NS: u64 = 20_000;
/// What the timer is called in the instance; no client may have that number.
pub const TIMER: u64 = u64::MAX;
/// Clients heard at once.
pub const HEARD: usize = 64;

/// What a client listens to.
pub const HEARS: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP);
/// The same of one that has something to say, which it could not say at once.
pub const SPEAKS: EpollFlags = HEARS.union(EpollFlags::EPOLLOUT);

pub struct Ears {
    instance: Epoll,
    timer: TimerFd,
    /// When the timer rings next.
    armed: u64,
}

impl Ears {
    pub fn new() -> io::Result<Ears> {
        let instance = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        instance.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER))?;
        Ok(Ears { instance, timer, armed: 0 })
    }

    /// Hears this one from now on, under that number.
    pub fn add(&self, end: impl AsFd, what: EpollFlags, number: u64) -> nix::Result<()> {
        self.instance.add(end, EpollEvent::new(what, number))
    }

    /// Hears something else of it.
    pub fn change(&self, end: impl AsFd, what: EpollFlags, number: u64) -> nix::Result<()> {
        self.instance.modify(end, &mut EpollEvent::new(what, number))
    }

    /// Sleeps from `now` until somebody is heard, or until `wake`; both in nanoseconds
    /// of CLOCK_MONOTONIC. Returns how many of `events` were filled; a signal is none.
    pub fn listen(&mut self, now: u64, wake: u64, events: &mut [EpollEvent; HEARD]) -> nix::Result<usize> {
        let left = wake.saturating_sub(now);
        let timeout = if left < SHORT_NS { EpollTimeout::ZERO } else { EpollTimeout::NONE };
        // One that rings sooner than it need does no harm, and setting it is a call.
        if left >= SHORT_NS && !(now + SHORT_NS..=wake).contains(&self.armed) {
            self.armed = wake;
            let at = TimeSpec::from_duration(Duration::from_nanos(wake));
            self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
        }
        match self.instance.wait(events, timeout) {
            Err(Errno::EINTR) => Ok(0),
            count => count,
        }
    }
}

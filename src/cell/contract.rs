//! What objects and waits look like to the cell, and the cell to them.
//!
//! Objects and waits know this file and `sys`, never each other and never the
//! ledger: the worker loop counts, so a wait cannot forget to.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

/// One piece of work taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Tells which event this was; 0 where the object cannot tell.
    pub tag: u32,
}

/// How the kernel shows a task that sleeps in the wait under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asleep {
    /// System call numbers, any of which will do (C libraries differ).
    pub calls: [i64; 2],
    /// The first argument, usually the descriptor; `None` where it is an address.
    pub first: Option<u64>,
}

/// Something failed while an object or a wait was set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {}{}", errno.desc(), way_out(*.call, *.errno))]
pub struct SetupError {
    /// The call that failed, with its operand, such as `epoll_ctl(ADD)`.
    pub call: Call,
    pub errno: Errno,
}

/// What to do about it, where that is known.
fn way_out(call: Call, errno: Errno) -> &'static str {
    match (call, errno) {
        (Call::Connect, Errno::ENETUNREACH | Errno::EADDRNOTAVAIL) => " (is loopback up? ip link set lo up)",
        _ => "",
    }
}

/// The calls that can fail in a worker, by number, since a worker can only
/// leave numbers in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Call {
    Socket = 1,
    Bind,
    Listen,
    EpollCreate,
    EpollAdd,
    EpollModify,
    EpollDelete,
    Select,
    Affinity,
    Thread,
    Fcntl,
    Connect,
    TemporaryDirectory,
    Other,
}

impl Call {
    const ALL: [Call; 14] = [
        Call::Socket,
        Call::Bind,
        Call::Listen,
        Call::EpollCreate,
        Call::EpollAdd,
        Call::EpollModify,
        Call::EpollDelete,
        Call::Select,
        Call::Affinity,
        Call::Thread,
        Call::Fcntl,
        Call::Connect,
        Call::TemporaryDirectory,
        Call::Other,
    ];

    /// The call of that number.
    pub fn from_number(number: u64) -> Call {
        let known = Call::ALL.into_iter().find(|call| *call as u64 == number);
        known.unwrap_or(Call::Other)
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Call::Socket => "socket",
            Call::Bind => "bind",
            Call::Listen => "listen",
            Call::EpollCreate => "epoll_create1",
            Call::EpollAdd => "epoll_ctl(EPOLL_CTL_ADD)",
            Call::EpollModify => "epoll_ctl(EPOLL_CTL_MOD)",
            Call::EpollDelete => "epoll_ctl(EPOLL_CTL_DEL)",
            Call::Select => "select (a descriptor above 1023 does not fit an fd_set; use poll)",
            Call::Affinity => "sched_setaffinity",
            Call::Thread => "pthread_create",
            Call::Fcntl => "fcntl",
            Call::Connect => "connect",
            Call::TemporaryDirectory => "mkdtemp (TMPDIR must name a directory that can be written)",
            Call::Other => "a call in the worker",
        })
    }
}

/// Attaches the call to an errno.
pub trait During<T> {
    fn during(self, call: Call) -> Result<T, SetupError>;
}

impl<T> During<T> for nix::Result<T> {
    fn during(self, call: Call) -> Result<T, SetupError> {
        self.map_err(|errno| SetupError { call, errno })
    }
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, call: Call) -> Result<T, SetupError> {
        self.map_err(|e| SetupError { call, errno: Errno::from_raw(e.raw_os_error().unwrap_or(0)) })
    }
}

/// One object as one worker holds it.
pub trait Source {
    /// `None` for objects without a descriptor, which only `block` can wait on.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Takes one piece of work. Sleeps if the object was opened to block,
    /// otherwise EAGAIN when there is none. errno is data: nothing is retried.
    fn claim(&mut self) -> Result<Claim, Errno>;

    /// How a worker looks that sleeps in [`Source::claim`].
    fn asleep(&self) -> Asleep;

    /// Equal for two workers exactly when they share the object (an inode number).
    fn identity(&self) -> u64;
}

/// Where workers get at the object; crosses the fork and is shared by threads.
pub trait Door: Send + Sync {
    /// The objects of worker `index`. Called by the worker when its turn comes;
    /// opens what the worker is to open itself.
    fn sources(&self, index: u32) -> Result<Vec<Box<dyn Source>>, SetupError>;
}

/// The coordinator's side: makes events.
pub trait Injector {
    /// Makes one event and returns its tag. The event may still be on its way.
    fn fire(&mut self) -> Result<u32, SetupError>;

    /// Whether fewer than `missing` unclaimed events have reached the object, so
    /// that waiting for sleepers makes no sense yet. Always false where
    /// [`Injector::fire`] returns only after the event has arrived.
    fn under_way(&mut self, missing: u64) -> std::io::Result<bool>;

    /// Events left in the object. Called once, after the last barrier; may
    /// empty the object in order to count.
    fn left(&mut self) -> std::io::Result<u64>;

    /// Everybody sleeps again. Lets go of what `fire` had to keep, unless
    /// something is `left` in the object that would be destroyed with it.
    fn retire(&mut self, left: bool);
}

/// An object that is open: both of its sides.
pub struct Opened {
    pub injector: Box<dyn Injector>,
    pub door: Arc<dyn Door>,
}

/// What a wait call came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The wait was the claim.
    Claimed(Claim),
    /// The objects whose numbers are in the list may have work.
    Ready,
    /// The call failed: EINTR, EAGAIN, ...
    Failed(Errno),
}

/// A worker's way to sleep, with what it holds.
pub trait Sleeper {
    /// Sleeps once. Fills `ready` (which has room for every source) when the
    /// result is [`Woken::Ready`].
    fn wait(&mut self, sources: &mut [Box<dyn Source>], ready: &mut Vec<usize>) -> Woken;

    /// Called after the claims of one return, with the worker's total.
    fn after(&mut self, sources: &[Box<dyn Source>], claims: u64) -> Result<(), SetupError> {
        let _ = (sources, claims);
        Ok(())
    }

    /// How a worker looks that sleeps in [`Sleeper::wait`].
    fn asleep(&self, sources: &[Box<dyn Source>]) -> Asleep;
}

/// What a wait makes before the workers exist, because they share it.
#[derive(Default)]
pub struct SharedWait {
    pub epoll: Option<OwnedFd>,
}

/// Why a combination is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: String,
    /// The kernel refuses it with an errno, which `force = true` lets one see.
    pub forcible: bool,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)?;
        if self.forcible {
            f.write_str("; force = true attempts it, so that the errno can be an expectation")?;
        }
        Ok(())
    }
}

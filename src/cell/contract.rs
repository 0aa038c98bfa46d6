//! What objects and waits look like to the cell, and the cell to them.
//!
//! Objects and waits know this file and `sys`, never each other and never the
//! ledger: the worker loop counts, so a wait cannot forget to.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, OnceLock};

use nix::errno::Errno;

pub use super::failure::{Call, During, SetupError};
pub use super::job::{Children, Helpers, Job};
use crate::sys::accept_lock::SharedLock;
use crate::sys::handover::Handover;
use crate::sys::ring::Ring;

/// One piece of work taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Tells which event this was; 0 where the object cannot tell.
    pub tag: u32,
}

/// A system call as /proc/PID/task/TID/syscall shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub call: i64,
    /// The first argument, usually the descriptor; `None` where any will do,
    /// such as an address.
    pub first: Option<u64>,
}

pub use crate::sys::calls::{EPOLL_WAIT, POLL, SELECT};

/// How the kernel shows a task that sleeps in the wait under test: in any of
/// these places. C libraries differ in the call they use for one function, and
/// some waits have two places to sleep (a lock, and the accept behind it).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asleep {
    places: Vec<Place>,
}

impl Asleep {
    /// So many places fit into the ledger.
    pub const MOST: usize = 4;

    /// Asleep in one of `calls`, with that first argument.
    pub fn at(calls: &[i64], first: Option<u64>) -> Asleep {
        Asleep { places: calls.iter().map(|call| Place { call: *call, first }).collect() }
    }

    /// In any of `calls` on this descriptor.
    pub fn on(calls: &[i64], fd: &impl AsRawFd) -> Asleep {
        Asleep::at(calls, u64::try_from(fd.as_raw_fd()).ok())
    }

    /// In one of these places, or in one of the `other`'s.
    ///
    /// # Panics
    /// With more than [`Asleep::MOST`] places.
    pub fn or(mut self, other: Asleep) -> Asleep {
        self.places.extend(other.places);
        assert!(self.places.len() <= Asleep::MOST, "too many places for the ledger");
        self
    }

    pub fn places(&self) -> &[Place] {
        &self.places
    }
}

/// What a worker asks poll, select or epoll for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// POLLIN, EPOLLIN.
    Readable,
    /// POLLOUT, EPOLLOUT.
    Writable,
}

/// One object as one worker holds it.
pub trait Source {
    /// `None` for objects without a descriptor, which only `block` can wait on.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// What to watch the descriptor for.
    fn interest(&self) -> Interest {
        Interest::Readable
    }

    /// Takes one piece of work. Sleeps if the object was opened to block,
    /// otherwise EAGAIN when there is none. errno is data: nothing is retried.
    fn claim(&mut self) -> Result<Claim, Errno>;

    /// How a worker looks that sleeps in [`Source::claim`].
    fn asleep(&self) -> Asleep;

    /// Equal for two workers exactly when they share the object (an inode number).
    fn identity(&self) -> u64;

    /// The io_uring request that does what [`Source::claim`] does, if there is one.
    fn request(&self) -> Option<Request> {
        None
    }

    /// Answers the client of the last claim, which has that tag. Never sleeps.
    fn reply(&mut self, claim: Claim) -> Result<(), Errno> {
        let _ = claim;
        Err(Errno::EOPNOTSUPP)
    }

    /// The connection of the last claim as a source of its own, for somebody else to
    /// answer on.
    fn detach(&mut self) -> Option<Box<dyn Source + Send>> {
        None
    }

    /// The last claimed connection, on which the client must say what it wants before
    /// it can be answered: where to wait when [`Source::reply`] says EAGAIN.
    fn unasked(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Closes that connection without an answer.
    fn hang_up(&mut self) {}

    /// The same where its client may ask for more and a wait can hear it: to be waited on,
    /// too.
    fn guest(&mut self) -> Option<Box<dyn Source + Send>> {
        None
    }

    /// Answers what the client of a [`Source::guest`] has asked since, which is no claim;
    /// `Ok(true)`, or an error, when it is done with and closed. `None` from all others.
    fn go_on(&mut self) -> Option<Result<bool, Errno>> {
        None
    }

    /// A connection that was claimed and stays, so that it is to be waited on, too.
    fn connection(&mut self) -> Option<Box<dyn Source + Send>> {
        None
    }

    /// A [`Request::Accept`] completed with this connection.
    fn accepted(&mut self, connection: OwnedFd) -> Claim {
        drop(connection);
        Claim { tag: 0 }
    }

    /// A [`Request::Read`] completed with these bytes.
    fn was_read(&mut self, bytes: &[u8]) -> Claim {
        let _ = bytes;
        Claim { tag: 0 }
    }
}

/// What io_uring can do in place of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// IORING_OP_ACCEPT, one connection.
    Accept,
    /// IORING_OP_READ of at most so many bytes.
    Read(u32),
}

/// One worker as others know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Of its process.
    pub pid: i32,
    /// Of its thread.
    pub tid: i32,
}

/// Where workers get at the object; crosses the fork and is shared by threads.
pub trait Door: Send + Sync {
    /// The objects of worker `index`. Called by the worker when its turn comes;
    /// opens what the worker is to open itself.
    fn sources(&self, index: u32) -> Result<Vec<Box<dyn Source>>, SetupError>;
}

/// A connection that was begun and not waited for.
pub struct Begun {
    /// The client's end; closing it resets the connection.
    pub end: OwnedFd,
    pub tag: u32,
    /// To be sent as soon as it is connected.
    pub unsent: Option<&'static [u8]>,
    pub asks: Asks,
}

/// What a client asks on its connection after its first answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asks {
    /// So many more requests.
    pub more: u64,
    /// Each of them, but for the last.
    pub next: &'static [u8],
    pub last: &'static [u8],
}

/// The coordinator's side: makes events.
pub trait Injector {
    /// Told once, before the first event, when every worker sleeps: whom signals
    /// are for.
    fn meet(&mut self, workers: &[Member]) -> Result<(), SetupError> {
        let _ = workers;
        Ok(())
    }

    /// Makes one event and returns its tag. The event may still be on its way.
    fn fire(&mut self) -> Result<u32, SetupError>;

    /// Begins one event as a client that does not wait for anything: a connection on
    /// its way. `None` where events have no client's end, and for messages on
    /// [`Injector::ends`]: those are made by [`Injector::fire`].
    fn begin(&mut self) -> Result<Option<Begun>, SetupError> {
        Ok(None)
    }

    /// Opens one of the connections that stay; a worker claims it like an event.
    fn attach(&mut self) -> Result<u32, SetupError> {
        Err(SetupError { call: Call::Connect, errno: Errno::EOPNOTSUPP })
    }

    /// Our ends of the connections that stay, in the order they were opened.
    fn ends(&self) -> &[OwnedFd] {
        &[]
    }

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
    /// The wait was the claim, and somebody else is to serve it: see
    /// [`Sleeper::delegate`].
    Delegated(Claim),
    /// The objects whose numbers are in the list may have work.
    Ready,
    /// It took a connection and gave it to another worker, who claims it.
    Passed,
    /// The call failed: EINTR, EAGAIN, ...
    Failed(Errno),
}

/// A worker's way to sleep, with what it holds.
pub trait Sleeper {
    /// Sleeps once. Fills `ready` (which has room for every source) when the
    /// result is [`Woken::Ready`].
    fn wait(&mut self, sources: &mut [Box<dyn Source>], ready: &mut Vec<usize>) -> Woken;

    /// After [`Woken::Claimed`]: the next piece of work that this return brought
    /// along. `None` from waits that claim one at a time.
    fn more(&mut self, sources: &mut [Box<dyn Source>]) -> Option<Claim> {
        let _ = sources;
        None
    }

    /// After [`Woken::Delegated`]: has somebody else serve the client. errno is why
    /// nobody does; the client is then cut off.
    fn delegate(&mut self, job: Job) -> Result<(), Errno> {
        drop(job);
        Err(Errno::EOPNOTSUPP)
    }

    /// Waits on one more source from now on: that of `sources` with this number.
    fn adopt(&mut self, sources: &[Box<dyn Source>], number: usize) -> Result<(), SetupError> {
        let _ = (sources, number);
        Err(SetupError { call: Call::Other, errno: Errno::EOPNOTSUPP })
    }

    /// Waits no more on the one with this number, which was adopted and is closed.
    fn let_go(&mut self, number: usize) {
        let _ = number;
    }

    /// Called after the claims of one return, with the worker's total.
    fn after(&mut self, sources: &[Box<dyn Source>], claims: u64) -> Result<(), SetupError> {
        let _ = (sources, claims);
        Ok(())
    }

    /// How a worker looks that sleeps in [`Sleeper::wait`].
    fn asleep(&self, sources: &[Box<dyn Source>]) -> Asleep;
}

/// Connections that were accepted and wait for a thread.
pub struct WorkQueue {
    /// How many workers have come so far.
    pub seats: AtomicU64,
    pub waiting: Mutex<VecDeque<OwnedFd>>,
    pub condition: Condvar,
}

/// What workers share of their waits.
#[derive(Default)]
pub struct SharedWait {
    /// Made before the workers exist.
    pub epoll: Option<OwnedFd>,
    pub lock: Option<SharedLock>,
    pub handover: Option<Handover>,
    /// Of waits that have others serve their clients.
    pub helpers: Option<Arc<Helpers>>,
    /// In the memory of one process.
    pub queue: Option<Arc<WorkQueue>>,
    /// Made by the first worker of a process, for its threads.
    pub ring: OnceLock<Ring>,
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

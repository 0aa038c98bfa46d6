//! The descriptors and locks of a script by name, and what is done with them, by
//! the main thread and by workers alike.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, OnceLock};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::stat::Mode;
use socket2::{SockAddr, SockRef};

use super::group;
use crate::experiment::script::{Action, Call, Control, Flags, Job, Kind, Name, Op, Script, Waiting};
use crate::sys::accept_lock::SharedLock;
use crate::sys::shared::SharedRows;
use crate::sys::{by_number, futex, handover, pthread};

/// Numbers from here on: the lab's own files take the lowest free ones, and must
/// never get one that the script has given up.
const LOWEST: RawFd = 512;

/// What a call came to: events or bytes, or its errno.
pub type Outcome = Result<u64, Errno>;

/// What lies in memory.
pub(super) enum Shared {
    Word(SharedRows<1>),
    RwLock(pthread::RwLock),
    Mutex(pthread::Mutex),
}

/// One name.
struct Entry {
    kind: Kind,
    /// Of whatever had it last; -1 if nothing ever had.
    number: AtomicI32,
    open: Mutex<Option<OwnedFd>>,
    /// Of a socket that is bound.
    address: OnceLock<SockAddr>,
    shared: OnceLock<Shared>,
}

/// The descriptors, by [`Name`].
pub struct Table {
    entries: Vec<Entry>,
    /// What workers take around an accept.
    pub(super) lock: Option<SharedLock>,
    /// The way of descriptors from one process to another.
    handover: Option<handover::Handover>,
}

impl Table {
    pub fn new(script: &Script) -> io::Result<Table> {
        let kind = script.jobs.iter().find_map(|job| match job {
            Job::Wait { waiting: Waiting { call: Call::Locked(around), .. }, .. } => Some((*around).into()),
            _ => None,
        });
        let passes = script.steps.iter().any(|step| match &step.action {
            Action::Told(_, told) => matches!(**told, Action::Pass(..)),
            action => matches!(action, Action::Pass(..)),
        });
        let entry = |kind: &Kind| Entry {
            kind: *kind,
            number: AtomicI32::new(-1),
            open: Mutex::new(None),
            address: OnceLock::new(),
            shared: OnceLock::new(),
        };
        Ok(Table {
            lock: kind.map(SharedLock::new).transpose()?,
            handover: passes.then(handover::Handover::new).transpose()?,
            entries: script.kinds.iter().map(entry).collect(),
        })
    }

    pub(super) fn put(&self, name: Name, fd: OwnedFd) {
        let entry = &self.entries[name];
        let fd = match entry.kind {
            // Its low number is what it is for.
            Kind::Spare => fd,
            // Where the limit is lower than that, the low number has to do.
            _ => by_number::duplicate(fd.as_raw_fd(), LOWEST).unwrap_or(fd),
        };
        if (entry.kind.listens() || entry.kind == Kind::Udp)
            && let Ok(address) = SockRef::from(&fd).local_addr()
        {
            let _ = entry.address.set(address);
        }
        entry.number.store(fd.as_raw_fd(), Ordering::Relaxed);
        *self.slot(name) = Some(fd);
    }

    /// Nothing blocks or panics while it is held.
    fn slot(&self, name: Name) -> std::sync::MutexGuard<'_, Option<OwnedFd>> {
        self.entries[name].open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// As it was when it was open, if it ever was.
    pub(super) fn number(&self, name: Name) -> RawFd {
        self.entries[name].number.load(Ordering::Relaxed)
    }

    pub(super) fn kind(&self, name: Name) -> Kind {
        self.entries[name].kind
    }

    /// Where a socket is, or was before it was closed.
    pub(super) fn address(&self, name: Name) -> Result<&SockAddr, Errno> {
        self.entries[name].address.get().ok_or(Errno::EBADF)
    }

    pub(super) fn shared(&self, name: Name) -> Result<&Shared, Errno> {
        self.entries[name].shared.get().ok_or(Errno::EBADF)
    }

    /// All names of open descriptors with such a kind.
    pub(super) fn open_ones(&self, wanted: fn(Kind) -> bool) -> Vec<Name> {
        (0..self.entries.len()).filter(|name| wanted(self.kind(*name)) && self.slot(*name).is_some()).collect()
    }

    /// Does something with the descriptor, unless it was closed.
    pub(super) fn with<T>(&self, name: Name, act: impl FnOnce(&OwnedFd) -> Result<T, Errno>) -> Result<T, Errno> {
        act(self.slot(name).as_ref().ok_or(Errno::EBADF)?)
    }

    pub fn open(&self, kind: Kind, names: &[Name], backlog: i32) -> Result<(), Errno> {
        let (cloexec, stream) = (SockFlag::SOCK_CLOEXEC, SockType::Stream);
        match (kind, names) {
            (Kind::Socketpair, [a, b]) => {
                let (one, other) = socketpair(AddressFamily::Unix, stream, None, cloexec | SockFlag::SOCK_NONBLOCK)?;
                self.put(*a, one);
                self.put(*b, other);
            }
            (Kind::Pipe, [r, w]) => {
                let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
                self.put(*r, read);
                self.put(*w, write);
            }
            (Kind::Socketpair | Kind::Pipe, _) => unreachable!("the parser gives these two names"),
            (Kind::Eventfd, names) => {
                for name in names {
                    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
                    self.put(*name, EventFd::from_flags(flags)?.into());
                }
            }
            (Kind::Epoll, names) => {
                for name in names {
                    self.put(*name, Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?.0);
                }
            }
            (Kind::Group | Kind::Udp, names) => {
                for (i, name) in names.iter().enumerate() {
                    let at = if i == 0 { None } else { Some(self.address(names[0])?) };
                    self.put(*name, group::member(kind, at, backlog)?);
                }
            }
            (Kind::Spare, names) => {
                let null = nix::fcntl::open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
                self.put(names[0], null);
            }
            (Kind::Connection, _) => unreachable!("connections are made by connect and accept"),
            (Kind::Listener, names) => self.put(names[0], group::unix_listener(backlog)?),
            (Kind::Word | Kind::RwLock | Kind::Mutex | Kind::Robust, names) => {
                for name in names {
                    let made = match kind {
                        Kind::Word => SharedRows::new(1).map(Shared::Word),
                        Kind::RwLock => pthread::RwLock::new().map(Shared::RwLock),
                        _ => pthread::Mutex::new(kind == Kind::Robust).map(Shared::Mutex),
                    };
                    let _ = self.entries[*name].shared.set(made.map_err(errno)?);
                }
            }
        }
        Ok(())
    }

    pub fn join(&self, new: Name, of: Name) -> Result<(), Errno> {
        // More than any script makes, and somaxconn allows.
        self.put(new, group::member(self.kind(of), Some(self.address(of)?), i32::MAX)?);
        Ok(())
    }

    /// What main thread and workers do alike.
    pub fn act(&self, action: &Action) -> Outcome {
        let done = |result: Result<(), Errno>| result.map(|()| 0);
        match action {
            Action::Dup { from, to } => {
                let fd = by_number::duplicate(self.number(*from), LOWEST)?;
                self.put(*to, fd);
                Ok(0)
            }
            Action::Close(name) => done(self.slot(*name).take().map(drop).ok_or(Errno::EBADF)),
            Action::Shutdown(name) => done(by_number::shutdown(self.number(*name))),
            Action::Blocking(names, on) => {
                done(names.iter().try_for_each(|name| by_number::set_nonblock(self.number(*name), !on)))
            }
            Action::Pass(name, _) => self.with(*name, |fd| {
                let handover = self.handover.as_ref().ok_or(Errno::ENOTCONN)?;
                handover::give(handover.giver(), std::os::fd::AsFd::as_fd(fd)).map(|()| 0)
            }),
            Action::Limit(limit) => {
                let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
                done(setrlimit(Resource::RLIMIT_NOFILE, limit.unwrap_or(hard).min(hard), hard))
            }
            // The number that the next descriptor would get is the first one forbidden.
            Action::LimitFull => {
                let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
                let free = by_number::duplicate(self.any_number()?, 0)?.as_raw_fd();
                done(setrlimit(Resource::RLIMIT_NOFILE, (free as u64).min(hard), hard))
            }
            Action::Open(kind @ Kind::Spare, names, _) => done(self.open(*kind, names, 0)),
            Action::Control(control) => self.control(control),
            Action::Write(names) => names.iter().try_fold(0, |sum, name| Ok(sum + self.write(*name)?)),
            Action::Read(name, most) => self.read(*name, *most),
            Action::Fill(name) => self.fill(*name),
            Action::Capacity(name) => by_number::pipe_capacity(self.number(*name)).map(|bytes| bytes as u64),
            Action::Wake(name, most) => self.wake(*name, *most),
            Action::Unlock(name) => done(match self.shared(*name)? {
                Shared::RwLock(lock) => lock.unlock(),
                Shared::Mutex(lock) => lock.unlock(),
                Shared::Word(_) => Err(Errno::EINVAL),
            }),
            Action::Accept(name, most, read) => self.accept_ready(*name, *most, *read),
            _ => Err(Errno::ENOSYS),
        }
    }

    /// What a statement tells a worker.
    pub fn told(&self, action: &Action) -> Outcome {
        match action {
            Action::Told(_, told) => self.act(told),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Takes what another process passed.
    pub fn take(&self, name: Name) -> Outcome {
        let handover = self.handover.as_ref().ok_or(Errno::ENOTCONN)?;
        self.put(name, handover::take(handover.taker())?);
        Ok(0)
    }

    pub fn control(&self, control: &Control) -> Outcome {
        let op = match control.op {
            Op::Add => libc::EPOLL_CTL_ADD,
            Op::Modify => libc::EPOLL_CTL_MOD,
            Op::Delete => libc::EPOLL_CTL_DEL,
        };
        let (epoll, target) = (self.number(control.epoll), self.number(control.target));
        by_number::epoll_control(epoll, op, target, bits(control.flags), control.target as u64).map(|()| 0)
    }

    /// One event.
    pub fn write(&self, name: Name) -> Outcome {
        let one = 1u64.to_ne_bytes();
        let bytes = if self.kind(name) == Kind::Eventfd { &one[..] } else { &one[..1] };
        by_number::write(self.number(name), bytes).map(|count| count as u64)
    }

    /// Bytes, or the value of an eventfd. Never sleeps.
    pub fn read(&self, name: Name, most: usize) -> Outcome {
        let mut buffer = [0; 64];
        let fd = self.number(name);
        // Blocking or not: the one who asks has no time to wait.
        if matches!(self.kind(name), Kind::Pipe | Kind::Socketpair | Kind::Connection) && by_number::poll(fd, 0)? == 0 {
            return Err(Errno::EAGAIN);
        }
        let most = if self.kind(name) == Kind::Eventfd { 8 } else { most.min(buffer.len()) };
        let count = by_number::read(fd, &mut buffer[..most])?;
        Ok(match self.kind(name) {
            Kind::Eventfd => u64::from_ne_bytes(buffer[..8].try_into().expect("eight bytes")),
            _ => count as u64,
        })
    }

    fn fill(&self, name: Name) -> Outcome {
        let mut sum = 0;
        loop {
            match by_number::write(self.number(name), &[1]) {
                Ok(count) => sum += count as u64,
                Err(Errno::EAGAIN) => return Ok(sum),
                Err(errno) => return Err(errno),
            }
        }
    }

    fn wake(&self, name: Name, most: u32) -> Outcome {
        let Shared::Word(word) = self.shared(name)? else {
            return Err(Errno::EINVAL);
        };
        word.row(0)[0].fetch_add(1, Ordering::Release);
        futex::wake(&word.row(0)[0], most.min(i32::MAX as u32) as i32, futex::Reach::Shared).map(u64::from)
    }

    /// Some descriptor of the script that is open.
    fn any_number(&self) -> Result<RawFd, Errno> {
        self.open_ones(|_| true).first().map(|name| self.number(*name)).ok_or(Errno::EBADF)
    }

    /// Accepts one that is there and keeps it.
    pub(super) fn accept_as(&self, of: Name, end: Name) -> Outcome {
        if by_number::poll(self.number(of), 0)? == 0 {
            return Err(Errno::EAGAIN);
        }
        self.put(end, by_number::accept(self.number(of))?);
        Ok(1)
    }

    /// Accepts what is there.
    fn accept_ready(&self, name: Name, most: u64, read: bool) -> Outcome {
        let mut count = 0;
        while count < most && by_number::poll(self.number(name), 0)? > 0 {
            let connection = by_number::accept(self.number(name))?;
            count += 1;
            let seen = if read { hear(&connection) } else { Ok(0) };
            greet(&connection);
            seen?;
        }
        if count == 0 && most == 1 { Err(Errno::EAGAIN) } else { Ok(count) }
    }
}

/// Reads from a connection without waiting.
pub(super) fn hear(connection: &OwnedFd) -> Outcome {
    recv(connection.as_raw_fd(), &mut [0; 64], MsgFlags::MSG_DONTWAIT).map(|count| count as u64)
}

/// Tells the client that it was accepted: nothing else would. A client that is gone
/// need not know.
pub(super) fn greet(connection: &OwnedFd) {
    let _ = send(connection.as_raw_fd(), &[1], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
}

pub(super) fn errno(e: io::Error) -> Errno {
    Errno::from_raw(e.raw_os_error().unwrap_or(0))
}

pub(super) fn bits(flags: Flags) -> u32 {
    let mut bits = if flags.out { libc::EPOLLOUT } else { libc::EPOLLIN } as u32;
    for (set, bit) in
        [(flags.edge, libc::EPOLLET), (flags.oneshot, libc::EPOLLONESHOT), (flags.exclusive, libc::EPOLLEXCLUSIVE)]
    {
        bits |= if set { bit as u32 } else { 0 };
    }
    bits
}

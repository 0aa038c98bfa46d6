//! The descriptors of a script by name, and the calls that are made on them, by
//! the main thread and by workers alike.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::select::{FdSet, select};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket, socketpair};

use super::clients::errno;
use crate::cell::contract::{Asleep, EPOLL_WAIT, POLL, SELECT};
use crate::experiment::script::{Call, Control, Flags, Job, Kind, Name, Op, Script, Waiting};
use crate::sys::accept_lock::SharedLock;
use crate::sys::by_number;

/// Numbers from here on: the lab's own files take the lowest free ones, and must
/// never get one that the script has given up.
const LOWEST: RawFd = 512;
/// More unaccepted connections than any script makes.
pub(super) const BACKLOG: i32 = 4096;
/// More events than `max` allows.
const EVENTS: usize = 1024;

/// What a call came to: events or bytes, or its errno.
pub type Outcome = Result<u64, Errno>;

/// The descriptors, by [`Name`].
pub struct Table {
    kinds: Vec<Kind>,
    open: Vec<Option<OwnedFd>>,
    /// Of those that were ever open.
    numbers: Vec<RawFd>,
    /// Ends of connections.
    pub(super) clients: Vec<OwnedFd>,
    /// Their other ends, as far as the main thread accepted them.
    pub(super) accepted: Vec<OwnedFd>,
    /// What workers take around an accept.
    lock: Option<SharedLock>,
}

impl Table {
    pub fn new(script: &Script) -> io::Result<Table> {
        let kind = script.workers.iter().find_map(|job| match job {
            Job::Wait(Waiting { call: Call::Locked(around), .. }, _) => Some((*around).into()),
            _ => None,
        });
        let count = script.names.len();
        Ok(Table {
            lock: kind.map(SharedLock::new).transpose()?,
            kinds: script.kinds.clone(),
            open: (0..count).map(|_| None).collect(),
            numbers: vec![-1; count],
            clients: Vec::new(),
            accepted: Vec::new(),
        })
    }

    fn put(&mut self, name: Name, fd: OwnedFd) {
        // Where the limit is lower than that, the low number has to do.
        let fd = by_number::duplicate(fd.as_raw_fd(), LOWEST).unwrap_or(fd);
        self.numbers[name] = fd.as_raw_fd();
        self.open[name] = Some(fd);
    }

    pub fn open(&mut self, kind: Kind, names: &[Name]) -> Result<(), Errno> {
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
            (Kind::Group, names) => {
                for (name, listener) in names.iter().zip(super::clients::group(names.len())?) {
                    self.put(*name, listener);
                }
            }
            (Kind::Listener, names) => {
                let listener = socket(AddressFamily::Unix, stream, cloexec, None)?;
                // An abstract name of the kernel's choice: nothing to unlink.
                bind(listener.as_raw_fd(), &UnixAddr::new_unnamed())?;
                listen(&listener, Backlog::new(BACKLOG)?)?;
                self.put(names[0], listener);
            }
        }
        Ok(())
    }

    pub fn dup(&mut self, from: Name, to: Name) -> Result<(), Errno> {
        let fd = by_number::duplicate(self.numbers[from], LOWEST)?;
        self.put(to, fd);
        Ok(())
    }

    /// Gives up the number.
    pub fn close(&mut self, name: Name) -> Result<(), Errno> {
        self.open[name].take().map(drop).ok_or(Errno::EBADF)
    }

    pub fn control(&self, control: &Control) -> Outcome {
        let op = match control.op {
            Op::Add => libc::EPOLL_CTL_ADD,
            Op::Modify => libc::EPOLL_CTL_MOD,
            Op::Delete => libc::EPOLL_CTL_DEL,
        };
        let (epoll, target) = (self.numbers[control.epoll], self.numbers[control.target]);
        by_number::epoll_control(epoll, op, target, bits(control.flags), control.target as u64).map(|()| 0)
    }

    /// One event.
    pub fn write(&self, name: Name) -> Outcome {
        let one = 1u64.to_ne_bytes();
        let bytes = if self.kinds[name] == Kind::Eventfd { &one[..] } else { &one[..1] };
        by_number::write(self.numbers[name], bytes).map(|count| count as u64)
    }

    /// Bytes, or the value of an eventfd.
    pub fn read(&self, name: Name) -> Outcome {
        let mut buffer = [0; 64];
        let count = by_number::read(self.numbers[name], &mut buffer)?;
        Ok(match self.kinds[name] {
            Kind::Eventfd => u64::from_ne_bytes(buffer[..8].try_into().expect("eight bytes")),
            _ => count as u64,
        })
    }

    /// The descriptor itself, unless it was closed.
    pub(super) fn owned(&self, name: Name) -> Result<&OwnedFd, Errno> {
        self.open[name].as_ref().ok_or(Errno::EBADF)
    }

    /// The listeners that are open.
    pub(super) fn listeners(&self) -> impl Iterator<Item = &OwnedFd> {
        let listens = |kind: &Kind| matches!(kind, Kind::Listener | Kind::Group);
        self.open.iter().zip(&self.kinds).filter(move |(_, kind)| listens(kind)).filter_map(|(fd, _)| fd.as_ref())
    }

    /// Waits; `first` gets what the first event names.
    pub fn wait(&self, waiting: &Waiting, first: &mut Name) -> Outcome {
        let fd = self.numbers[waiting.on];
        let ms = waiting.within_us.map_or(-1, |us| i32::try_from(us.div_ceil(1000)).unwrap_or(i32::MAX));
        let mut events = [EpollEvent::empty(); EVENTS];
        let events = &mut events[..waiting.max as usize];
        let count = match waiting.call {
            Call::EpollWait => by_number::epoll_wait(fd, events, ms)?,
            Call::EpollPwait2 => by_number::epoll_pwait2(fd, events, waiting.within_us.map(Duration::from_micros))?,
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
            Call::Select => {
                let owned = self.owned(waiting.on)?;
                let mut set = FdSet::new();
                set.insert(std::os::fd::AsFd::as_fd(owned));
                select(fd + 1, &mut set, None, None, None)? as usize
            }
            Call::Locked(_) => {
                // Its own open file each time, which flock belongs to.
                let lock = self.lock.as_ref().ok_or(Errno::ENOLCK)?.open().map_err(errno)?;
                lock.acquire()?;
                let owned = self.owned(waiting.on)?;
                let accepted = crate::sys::socket::accept(std::os::fd::AsFd::as_fd(owned));
                lock.release();
                accepted.map(|_| 1)?
            }
            Call::Accept => {
                let owned = self.owned(waiting.on)?;
                crate::sys::socket::accept(std::os::fd::AsFd::as_fd(owned)).map(|_| 1)?
            }
        };
        if count > 0 {
            *first = events[0].data() as Name;
        }
        Ok(count as u64)
    }

    /// How a worker looks that sleeps in [`Table::wait`], or afterwards at its gate.
    pub fn asleep(&self, waiting: &Waiting) -> Asleep {
        let on = u64::try_from(self.numbers[waiting.on]).ok();
        let place = match waiting.call {
            Call::EpollWait => Asleep::at(EPOLL_WAIT, on),
            Call::EpollPwait2 => Asleep::at(&[libc::SYS_epoll_pwait2], on),
            Call::Poll | Call::PollThenWait => Asleep::at(POLL, None),
            Call::Select => Asleep::at(SELECT, on.map(|fd| fd + 1)),
            Call::Accept => Asleep::at(&[libc::SYS_accept4], on),
            Call::Locked(_) => {
                let lock = self.lock.as_ref().and_then(|lock| lock.open().ok());
                let in_lock = lock.map(|lock| Asleep::at(lock.calls(), None));
                Asleep::at(&[libc::SYS_accept4], on).or(in_lock.unwrap_or_default())
            }
        };
        place.or(Asleep::at(&[libc::SYS_futex], None))
    }
}

fn bits(flags: Flags) -> u32 {
    let mut bits = if flags.out { libc::EPOLLOUT } else { libc::EPOLLIN } as u32;
    for (set, bit) in
        [(flags.edge, libc::EPOLLET), (flags.oneshot, libc::EPOLLONESHOT), (flags.exclusive, libc::EPOLLEXCLUSIVE)]
    {
        bits |= if set { bit as u32 } else { 0 };
    }
    bits
}

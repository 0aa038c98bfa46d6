//! io_uring(7) for requests that pass the kernel no address: accept and poll.
//!
//! Without addresses a request may outlive everything but its ring, which is
//! what makes these calls safe. Nothing is waited for here: a ring is a
//! descriptor that poll(2) takes.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use nix::errno::Errno;

/// Marks of the requests, to know what a completion is about.
const ACCEPT: u64 = 1;
const POLL: u64 = 2;

/// What became of one request.
#[derive(Debug)]
pub enum Completion {
    /// `more`: the request stays and will complete again (multishot).
    Accepted {
        connection: OwnedFd,
        more: bool,
    },
    /// The events that came.
    Polled(u32),
    Failed(Errno),
}

/// One ring.
pub struct Ring {
    ring: IoUring,
}

impl Ring {
    /// Room for `entries` requests. ENOSYS and EPERM are usual: io_uring may be
    /// left out, refused by seccomp, or off by sysctl kernel.io_uring_disabled.
    pub fn new(entries: u32) -> io::Result<Ring> {
        Ok(Ring { ring: IoUring::new(entries)? })
    }

    /// Asks for one connection of `listener`, or, with `multishot`, for all.
    pub fn accept(&mut self, listener: BorrowedFd<'_>, multishot: bool) -> io::Result<()> {
        let fd = types::Fd(listener.as_raw_fd());
        let request = match multishot {
            true => opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build(),
            false => {
                let (peer, length) = (std::ptr::null_mut(), std::ptr::null_mut());
                opcode::Accept::new(fd, peer, length).flags(libc::SOCK_CLOEXEC).build()
            }
        };
        self.submit(request.user_data(ACCEPT))
    }

    /// Asks for the events in `mask` (EPOLLIN, EPOLLEXCLUSIVE, ..) on `fd`, once.
    pub fn poll(&mut self, fd: BorrowedFd<'_>, mask: u32) -> io::Result<()> {
        let request = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), mask).build();
        self.submit(request.user_data(POLL))
    }

    fn submit(&mut self, request: squeue::Entry) -> io::Result<()> {
        // SAFETY: the request holds no address and the descriptor is looked up
        // during the submission below, while the caller's borrow lives.
        let pushed = unsafe { self.ring.submission().push(&request) };
        pushed.map_err(|_| io::Error::other("the submission queue is full"))?;
        self.ring.submit().map(drop)
    }

    /// Everything completed by now.
    pub fn completions(&mut self) -> io::Result<Vec<Completion>> {
        // Completions are posted when the submitter enters the kernel.
        self.ring.submit()?;
        Ok(self.ring.completion().map(|entry| completion(&entry)).collect())
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the ring's, which lives as long as self.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

fn completion(entry: &cqueue::Entry) -> Completion {
    match (entry.result(), entry.user_data()) {
        (errno, _) if errno < 0 => Completion::Failed(Errno::from_raw(-errno)),
        (fd, ACCEPT) => Completion::Accepted {
            // SAFETY: the kernel just made this descriptor for us, and each
            // completion is taken off the queue once.
            connection: unsafe { OwnedFd::from_raw_fd(fd) },
            more: cqueue::more(entry.flags()),
        },
        (events, _) => Completion::Polled(events as u32),
    }
}

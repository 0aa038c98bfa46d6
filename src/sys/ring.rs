//! io_uring(7): requests to accept, read and poll, on one thread or on several.
//!
//! The kernel works on a request after the call that made it has returned, so
//! everything it may touch belongs to the ring: a duplicate of the descriptor,
//! and the buffer of a read, which is given up for lost if the ring ends first.
//! Which request runs in which task is the kernel's rule: in the one that
//! submitted it.

use std::cell::UnsafeCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue, types};
use nix::errno::Errno;

use super::spin::Spin;

/// What the completion of a cancellation is marked with.
const CANCEL: u64 = u64::MAX;
/// Reads from where the file stands, as read(2) does.
const CURRENT_POSITION: u64 = u64::MAX;

/// How a ring is made (io_uring_setup(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    Plain,
    /// IORING_SETUP_SINGLE_ISSUER: only the thread that made it submits.
    SingleIssuer,
    /// And IORING_SETUP_DEFER_TASKRUN: completions are made when it waits.
    DeferTaskrun,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// IORING_OP_ACCEPT: one connection.
    Accept,
    /// Multishot: every connection from now on.
    AcceptMany,
    /// IORING_OP_READ of at most so many bytes.
    Read(u32),
    /// IORING_OP_POLL_ADD of these events (EPOLLIN, EPOLLEXCLUSIVE, ..), once.
    Poll(u32),
}

/// What became of a request.
#[derive(Debug)]
pub enum Completion {
    Accepted(OwnedFd),
    /// So many bytes, in the buffer that was given to [`Ring::take`].
    Read(usize),
    /// The events that came.
    Polled(u32),
    Failed(Errno),
}

/// One completion.
#[derive(Debug)]
pub struct Done {
    /// The number [`Ring::add`] gave to the request.
    pub request: usize,
    /// The number that was given to [`Ring::add`].
    pub mark: usize,
    /// The request stays and will complete again (multishot).
    pub more: bool,
    pub completion: Completion,
}

/// A request that is made again and again.
struct Request {
    fd: OwnedFd,
    operation: Operation,
    mark: usize,
    /// Where the kernel writes while `pending`; empty but for reads.
    buffer: Box<[UnsafeCell<u8>]>,
    pending: bool,
}

impl Request {
    fn entry(&self) -> squeue::Entry {
        let fd = types::Fd(self.fd.as_raw_fd());
        match self.operation {
            Operation::Accept => {
                let (peer, length) = (std::ptr::null_mut(), std::ptr::null_mut());
                opcode::Accept::new(fd, peer, length).flags(libc::SOCK_CLOEXEC).build()
            }
            Operation::AcceptMany => opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build(),
            Operation::Read(most) => {
                let buffer = UnsafeCell::raw_get(self.buffer.as_ptr());
                opcode::Read::new(fd, buffer, most).offset(CURRENT_POSITION).build()
            }
            Operation::Poll(mask) => opcode::PollAdd::new(fd, mask).build(),
        }
    }
}

/// The queues, and the requests that are in them. Both queues are touched only
/// by who holds the lock.
struct Queues {
    ring: IoUring,
    requests: Spin<Vec<Request>>,
}

impl Drop for Queues {
    fn drop(&mut self) {
        // The kernel ends what is pending some time after this. Until then it may
        // write to the buffers, so these are never freed.
        self.requests.with(|requests| {
            for request in requests.iter_mut().filter(|request| request.pending) {
                std::mem::forget(std::mem::take(&mut request.buffer));
            }
        });
    }
}

/// A ring as one thread holds it.
pub struct Ring {
    queues: Arc<Queues>,
    /// Requests in the submission queue that this thread put there. Each submits
    /// as many as it has put: io_uring_enter comes back without a wait when it
    /// finds fewer than it was told.
    asked: u32,
}

impl Ring {
    /// Room for `entries` submissions at a time. ENOSYS and EPERM are usual:
    /// io_uring may be left out, refused by seccomp, or off by sysctl
    /// kernel.io_uring_disabled. EINVAL: the kernel has no such `setup`.
    pub fn new(entries: u32, setup: Setup) -> io::Result<Ring> {
        let mut builder = IoUring::builder();
        builder.setup_clamp();
        if setup != Setup::Plain {
            builder.setup_single_issuer();
        }
        if setup == Setup::DeferTaskrun {
            builder.setup_defer_taskrun();
        }
        let queues = Queues { ring: builder.build(entries.max(1))?, requests: Spin::default() };
        Ok(Ring { queues: Arc::new(queues), asked: 0 })
    }

    /// The same ring for another thread of this process.
    pub fn another(&self) -> Ring {
        Ring { queues: self.queues.clone(), asked: 0 }
    }

    /// Makes a request, to be asked with its number, which is returned; `mark`
    /// comes back with each completion.
    pub fn add(&mut self, fd: OwnedFd, operation: Operation, mark: usize) -> usize {
        let length = if let Operation::Read(most) = operation { most as usize } else { 0 };
        let buffer = std::iter::repeat_with(|| UnsafeCell::new(0)).take(length).collect();
        self.queues.requests.with(|requests| {
            requests.push(Request { fd, operation, mark, buffer, pending: false });
            requests.len() - 1
        })
    }

    /// Puts the request in the submission queue, from where the next
    /// [`Ring::enter`] submits it. Errors are that call's.
    ///
    /// # Panics
    /// When it is pending already.
    pub fn ask(&mut self, request: usize) -> Result<(), Errno> {
        loop {
            let pushed = self.queues.requests.with(|requests| {
                let asked = &mut requests[request];
                assert!(!asked.pending, "request {request} is pending");
                // SAFETY: descriptor and buffer belong to the request, which is
                // kept as long as the ring, and the buffer beyond it while pending.
                asked.pending = unsafe { self.push(&asked.entry().user_data(request as u64)) };
                asked.pending
            });
            if pushed {
                self.asked += 1;
                return Ok(());
            }
            self.enter(0)?;
        }
    }

    /// Whether there was room.
    ///
    /// # Safety
    /// The lock must be held, and what the entry points to must outlive it.
    unsafe fn push(&self, entry: &squeue::Entry) -> bool {
        // SAFETY: with the lock held there is no other user of this queue.
        let mut queue = unsafe { self.queues.ring.submission_shared() };
        // SAFETY: as the caller promises.
        unsafe { queue.push(entry) }.is_ok()
    }

    /// Ends a request that stays, such as a multishot accept: its completion is
    /// ECANCELED.
    pub fn cancel(&mut self, request: usize) {
        let entry = opcode::AsyncCancel::new(request as u64).build().user_data(CANCEL);
        // SAFETY: inside the lock, and the entry points to nothing.
        let pushed = self.queues.requests.with(|_| unsafe { self.push(&entry) });
        self.asked += u32::from(pushed);
    }

    /// io_uring_enter(2), once: submits what this thread has asked, and sleeps
    /// until `least` completions are there. Errors are its own, such as EINTR.
    pub fn enter(&mut self, least: u32) -> Result<(), Errno> {
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: no argument is passed; the queues live as long as the ring.
        let submitted = unsafe { self.queues.ring.submitter().enter::<libc::sigset_t>(self.asked, least, flags, None) };
        let submitted = submitted.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
        self.asked -= submitted as u32;
        Ok(())
    }

    /// The next completion, without a system call. What a read brought is written
    /// over `bytes`.
    pub fn take(&mut self, bytes: &mut Vec<u8>) -> Option<Done> {
        self.queues.requests.with(|requests| {
            loop {
                // SAFETY: with the lock held there is no other user of this queue.
                let entry = unsafe { self.queues.ring.completion_shared() }.next()?;
                if entry.user_data() != CANCEL {
                    let number = entry.user_data() as usize;
                    return Some(done(number, &mut requests[number], &entry, bytes));
                }
            }
        })
    }
}

fn done(number: usize, request: &mut Request, entry: &cqueue::Entry, bytes: &mut Vec<u8>) -> Done {
    let more = cqueue::more(entry.flags());
    request.pending = more;
    let completion = match (entry.result(), request.operation) {
        (errno, _) if errno < 0 => Completion::Failed(Errno::from_raw(-errno)),
        (fd, Operation::Accept | Operation::AcceptMany) => {
            // SAFETY: the kernel just made this descriptor for us, and each
            // completion is taken off the queue once.
            Completion::Accepted(unsafe { OwnedFd::from_raw_fd(fd) })
        }
        (length, Operation::Read(_)) => {
            let written = &request.buffer[..length as usize];
            bytes.clear();
            // SAFETY: the read has completed, so the kernel writes here no more,
            // and the lock keeps others from asking again.
            bytes.extend(written.iter().map(|byte| unsafe { *byte.get() }));
            Completion::Read(length as usize)
        }
        (events, Operation::Poll(_)) => Completion::Polled(events as u32),
    };
    Done { request: number, mark: request.mark, more, completion }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.queues.ring.as_raw_fd()
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is the ring's, which lives as long as self.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring, or the reason why this kernel gives none.
    fn ring() -> Option<Ring> {
        Ring::new(4, Setup::Plain).inspect_err(|e| eprintln!("skipped: io_uring_setup: {e}")).ok()
    }

    #[test]
    fn a_read_brings_its_bytes_and_can_be_asked_again() {
        let Some(mut ring) = ring() else { return };
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let request = ring.add(reader, Operation::Read(8), 7);
        let mut bytes = Vec::new();
        for text in [&b"one"[..], b"three"] {
            ring.ask(request).unwrap();
            ring.enter(0).unwrap();
            assert!(ring.take(&mut bytes).is_none());
            nix::unistd::write(&writer, text).unwrap();
            ring.enter(1).unwrap();
            let done = ring.take(&mut bytes).unwrap();
            assert!(matches!(done.completion, Completion::Read(n) if n == text.len()), "{done:?}");
            assert_eq!((done.request, done.mark, done.more), (request, 7, false));
            assert_eq!(bytes, text);
        }
    }

    #[test]
    fn a_full_queue_is_submitted_to_make_room() {
        let Some(mut ring) = ring() else { return };
        let (reader, writer) = nix::unistd::pipe().unwrap();
        for mark in 0..10 {
            let request = ring.add(reader.try_clone().unwrap(), Operation::Read(1), mark);
            ring.ask(request).unwrap();
        }
        nix::unistd::write(&writer, b"0123456789").unwrap();
        let mut bytes = Vec::new();
        let mut marks = Vec::new();
        while marks.len() < 10 {
            ring.enter(1).unwrap();
            while let Some(done) = ring.take(&mut bytes) {
                assert!(matches!(done.completion, Completion::Read(1)), "{done:?}");
                marks.push(done.mark);
            }
        }
        marks.sort_unstable();
        assert_eq!(marks, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_ring_that_ends_with_a_read_pending_gives_its_buffer_up() {
        let Some(mut ring) = ring() else { return };
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let request = ring.add(reader.try_clone().unwrap(), Operation::Read(4), 0);
        ring.ask(request).unwrap();
        ring.enter(0).unwrap();
        drop(ring);
        // Whoever gets these bytes, no freed memory does.
        nix::unistd::write(&writer, b"late").unwrap();
    }

    #[test]
    fn threads_share_a_ring() {
        let Some(ring) = ring() else { return };
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let taken = Spin::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (mut mine, reader, taken) = (ring.another(), reader.try_clone().unwrap(), &taken);
                scope.spawn(move || {
                    let request = mine.add(reader, Operation::Read(1), 0);
                    mine.ask(request).unwrap();
                    let mut bytes = Vec::new();
                    // Each takes one of the four, whoever asked for it.
                    loop {
                        mine.enter(1).unwrap();
                        if mine.take(&mut bytes).is_some() {
                            return taken.with(|n| *n += 1);
                        }
                    }
                });
            }
            nix::unistd::write(&writer, b"abcd").unwrap();
        });
        assert_eq!(taken.with(|n| *n), 4);
    }
}

//! Signals instead of sleeping on a descriptor: O_ASYNC with F_SETSIG, and the
//! wait for them.
//!
//! The signal is a realtime one, so that one is queued per event and says which
//! descriptor. When the queue is full (RLIMIT_SIGPENDING) the kernel sends plain
//! SIGIO in its place, which is merged with others and says nothing (fs/fcntl.c,
//! `send_sigio_to_task`). Both are blocked and taken by sigwaitinfo(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Whom the signals of an open file go to (F_SETOWN_EX). It has one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Every process of the caller's group.
    Group,
    /// The calling thread.
    Thread,
}

/// What a signal said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// Something happened to the descriptor with that number.
    For(RawFd),
    /// The queue was full: something happened, who knows to what.
    Somewhere,
}

/// fcntl(2) on Linux; libc does not have them on every platform.
const F_SETSIG: libc::c_int = 10;
const F_SETOWN_EX: libc::c_int = 15;
const F_OWNER_TID: libc::c_int = 0;
const F_OWNER_PGRP: libc::c_int = 2;

#[repr(C)]
struct OwnerEx {
    kind: libc::c_int,
    id: libc::pid_t,
}

/// The head of siginfo_t as SIGIO and its like fill it in.
#[repr(C)]
#[derive(Clone, Copy)]
struct PollInfo {
    signal: libc::c_int,
    errno: libc::c_int,
    code: libc::c_int,
    of: PollOf,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct PollOf {
    band: libc::c_long,
    fd: libc::c_int,
}

/// One that nobody else uses: realtime signals have no meaning of their own.
fn queued() -> libc::c_int {
    libc::SIGRTMAX() - 2
}

/// Both signals.
fn both() -> SigSet {
    super::signal::set_of(&[queued(), libc::SIGIO])
}

/// From now on both do nothing to this process, not even end a call with EINTR:
/// the kernel drops what is ignored and not blocked. Children inherit it.
pub fn ignore() -> io::Result<()> {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring runs no code of ours.
    unsafe { sigaction(Signal::SIGIO, &action)? };
    // SAFETY: all zeroes is a valid sigaction: no flags and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = libc::SIG_IGN;
    // SAFETY: ignoring runs no code of ours; the structure outlives the call.
    Errno::result(unsafe { libc::sigaction(queued(), &raw const action, std::ptr::null_mut()) })?;
    Ok(())
}

/// Keeps them for [`wait`] in this thread. A blocked signal is queued even where
/// it is ignored, as long as the first thread of the process blocks it
/// (kernel/signal.c, `sig_ignored`).
pub fn hold() -> Result<(), Errno> {
    both().thread_block()
}

/// From now on events of the open file send the signal to `owner`. EOPNOTSUPP:
/// such files send none (no `fasync` operation).
pub fn arm(fd: BorrowedFd<'_>, owner: Owner) -> Result<(), Errno> {
    let whom = match owner {
        Owner::Group => OwnerEx { kind: F_OWNER_PGRP, id: nix::unistd::getpgrp().as_raw() },
        Owner::Thread => OwnerEx { kind: F_OWNER_TID, id: nix::unistd::gettid().as_raw() },
    };
    let fd = fd.as_raw_fd();
    // SAFETY: the descriptor is borrowed; the structure is what F_SETOWN_EX takes
    // and outlives the call; the others take a number or nothing.
    unsafe {
        Errno::result(libc::fcntl(fd, F_SETSIG, queued()))?;
        Errno::result(libc::fcntl(fd, F_SETOWN_EX, &raw const whom))?;
        let flags = Errno::result(libc::fcntl(fd, libc::F_GETFL))?;
        Errno::result(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_ASYNC))?;
        // Files without the operation take the flag and forget it.
        match Errno::result(libc::fcntl(fd, libc::F_GETFL))? & libc::O_ASYNC {
            0 => Err(Errno::EOPNOTSUPP),
            _ => Ok(()),
        }
    }
}

/// Sleeps until the next signal; takes one. Errors are sigwaitinfo(2)'s.
pub fn wait() -> Result<Came, Errno> {
    let set = both();
    // SAFETY: all zeroes is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: set and info outlive the call.
    let signal = Errno::result(unsafe { libc::sigwaitinfo(set.as_ref(), &raw mut info) })?;
    if signal == libc::SIGIO {
        return Ok(Came::Somewhere);
    }
    // SAFETY: PollInfo is no larger than siginfo_t, aligned no stricter, laid out
    // as the kernel fills it in for this signal; any bytes are valid numbers.
    let poll = unsafe { *(&raw const info).cast::<PollInfo>() };
    Ok(Came::For(poll.of.fd))
}

const _: () = assert!(size_of::<PollInfo>() <= size_of::<libc::siginfo_t>());
const _: () = assert!(align_of::<PollInfo>() <= align_of::<libc::siginfo_t>());

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_signal_says_which_descriptor() {
        // A thread of its own: the mask must not stay behind in the test runner's.
        let body = || {
            hold().unwrap();
            let (reader, writer) = nix::unistd::pipe().unwrap();
            arm(reader.as_fd(), Owner::Thread).unwrap();
            for text in [b"a", b"b"] {
                nix::unistd::write(&writer, text).unwrap();
            }
            // Queued, not merged.
            assert_eq!(wait(), Ok(Came::For(reader.as_raw_fd())));
            assert_eq!(wait(), Ok(Came::For(reader.as_raw_fd())));
        };
        std::thread::spawn(body).join().unwrap();
    }

    #[test]
    fn files_that_send_none_are_told_apart() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(arm(file.as_fd(), Owner::Thread), Err(Errno::EOPNOTSUPP));
    }
}

//! Signals of ours: a flag that SIGTERM and SIGINT set, or a descriptor for them.
//!
//! The handler only stores to an atomic, which is async-signal-safe. It is
//! installed without SA_RESTART, so that a blocked call of the coordinator ends.

use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Which of them came last; 0 is none.
static ASKED: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: libc::c_int) {
    ASKED.store(signal, Ordering::Relaxed);
}

/// From now on SIGTERM and SIGINT are noted instead of fatal.
///
/// They arrive as well: who takes signals through a descriptor has them blocked,
/// and a blocked signal stays blocked over exec.
pub fn note_termination() -> io::Result<()> {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // SAFETY: note only stores to an atomic.
        unsafe { sigaction(signal, &action)? };
    }
    Ok(SigSet::all().thread_unblock()?)
}

/// Takes over SIGINT, SIGTERM and SIGHUP of this process: from now on they arrive
/// through this descriptor, between two reads, and interrupt nothing. Reading does not
/// block.
pub fn take_over() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Whether somebody asked us to end.
pub fn termination_asked() -> bool {
    termination_signal().is_some()
}

/// The signal by which somebody did.
pub fn termination_signal() -> Option<i32> {
    Some(ASKED.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}

/// Back to the default action: what a worker must have, since EINTR would count
/// as a wakeup.
pub fn default_termination() -> io::Result<()> {
    let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        // SAFETY: the default action runs no code of ours.
        unsafe { sigaction(signal, &action)? };
    }
    Ok(())
}

/// A write to a closed pipe becomes EPIPE again, as Rust sets it; the shell's
/// default would kill us without a word.
pub fn ignore_sigpipe() -> io::Result<()> {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: ignoring runs no code of ours.
    unsafe { sigaction(Signal::SIGPIPE, &action)? };
    Ok(())
}

/// A signal of our own that queues: as many arrive as were sent.
pub fn queueing() -> i32 {
    // Not the first of them, which some programs send to their children.
    libc::SIGRTMIN() + 3
}

/// The set of these, realtime signals among them, which nix does not name.
pub(super) fn set_of(signals: &[i32]) -> SigSet {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: emptied before it is used, which fills it; the numbers are valid.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        SigSet::from_sigset_t_unchecked(set.assume_init())
    }
}

/// Blocks it in this thread, and in all that come from it.
pub fn block(signal: i32) -> nix::Result<()> {
    set_of(&[signal]).thread_block()
}

/// Sends it to a whole process, with a number.
pub fn send(pid: i32, signal: i32, number: u32) -> nix::Result<()> {
    let value = libc::sigval { sival_ptr: std::ptr::without_provenance_mut(number as usize) };
    // SAFETY: only numbers are passed; nobody takes the value for a pointer.
    nix::errno::Errno::result(unsafe { libc::sigqueue(pid, signal, value) }).map(drop)
}

/// Sleeps until it comes; returns the number that came with it.
pub fn take(signal: i32) -> nix::Result<u32> {
    let set = set_of(&[signal]);
    let mut about = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: both outlive the call, which fills the second when it succeeds; all
    // zeros are a siginfo_t too, and the value is read as the number it is.
    unsafe {
        nix::errno::Errno::result(libc::sigwaitinfo(set.as_ref(), about.as_mut_ptr()))?;
        Ok(about.assume_init().si_value().sival_ptr.addr() as u32)
    }
}

/// The same by sigwait(3), which tells no number and no EINTR.
pub fn take_quietly(signal: i32) -> nix::Result<()> {
    let set = set_of(&[signal]);
    let mut came = 0;
    // SAFETY: both outlive the call.
    let result = unsafe { libc::sigwait(set.as_ref(), &raw mut came) };
    if result == 0 { Ok(()) } else { Err(nix::errno::Errno::from_raw(result)) }
}

//! A flag that SIGTERM and SIGINT set.
//!
//! The handler only stores to an atomic, which is async-signal-safe. It is
//! installed without SA_RESTART, so that a blocked call of the coordinator ends.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: libc::c_int) {
    ASKED.store(true, Ordering::Relaxed);
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

/// Whether somebody asked us to end.
pub fn termination_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
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

//! A signal that does nothing but interrupt: SIGUSR1, with a handler that is
//! empty, with or without SA_RESTART.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

extern "C" fn nothing(_: libc::c_int) {}

/// From now on SIGUSR1 interrupts, here and in all later children.
pub fn handle(restart: bool) -> io::Result<()> {
    let flags = if restart { SaFlags::SA_RESTART } else { SaFlags::empty() };
    let action = SigAction::new(SigHandler::Handler(nothing), flags, SigSet::empty());
    // SAFETY: the handler touches nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action)? };
    Ok(())
}

/// Sends SIGUSR1 to one thread of a process.
pub fn send(pid: i32, tid: i32) -> Result<(), Errno> {
    // SAFETY: tgkill takes numbers only; a thread that is gone is ESRCH.
    Errno::result(unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, libc::SIGUSR1) }).map(drop)
}

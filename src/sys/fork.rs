//! fork for a process that has only one thread, and dying with one's parent.
//!
//! Forking from a threaded Rust process deadlocks in the allocator sooner or
//! later, so the thread count is checked, not assumed.

use std::io;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, getppid};

/// Forks; the child runs `body` and exits with what it returns.
///
/// # Errors
/// When this process has more than one thread, or fork(2) fails (EAGAIN: a
/// process limit).
pub fn fork_running(body: impl FnOnce() -> i32) -> io::Result<Pid> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("cannot fork safely with {threads} threads")));
    }
    // SAFETY: this process has one thread (just checked, and only this thread
    // could start another), so the child's memory is consistent and it may run
    // ordinary Rust.
    Ok(unsafe { fork_and(body)? })
}

/// # Safety
/// The process has one thread.
unsafe fn fork_and(body: impl FnOnce() -> i32) -> nix::Result<Pid> {
    // SAFETY: said by the caller.
    match unsafe { nix::unistd::fork()? } {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: _exit ends the process at once; running the parent's exit
            // handlers or flushing its buffers a second time would be wrong.
            unsafe { libc::_exit(code) }
        }
    }
}

/// A process that was seen to have one thread, and that makes no second one: it may
/// fork for every client without looking again.
pub struct Alone(());

impl Alone {
    /// # Errors
    /// When this process has more than one thread.
    pub fn sure() -> io::Result<Alone> {
        match std::fs::read_dir("/proc/self/task")?.count() {
            1 => Ok(Alone(())),
            threads => Err(io::Error::other(format!("cannot fork safely with {threads} threads"))),
        }
    }

    /// Forks; the child runs `body` and exits with what it returns. Errors are fork(2)'s.
    pub fn fork(&self, body: impl FnOnce() -> i32) -> nix::Result<Pid> {
        // SAFETY: seen when this value was made. Waits that fork start no thread, and
        // a worker process has no other code that would.
        unsafe { fork_and(body) }
    }
}

/// Asks the kernel to SIGKILL this process when `parent` dies.
///
/// Compares the parent afterwards, since it may have died in between.
pub fn die_with(parent: Pid) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        return Err(io::Error::other("the parent died first"));
    }
    Ok(())
}

/// Makes a program started by `command` die with us, however we end.
pub fn dies_with_us(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let us = nix::unistd::getpid();
    // SAFETY: between fork and exec only prctl and getppid are called, both of
    // which are async-signal-safe; nothing is allocated unless the parent is dead.
    unsafe { command.pre_exec(move || die_with(us)) };
}

/// Makes a program started by `command` leave no core file when it aborts.
pub fn leaves_no_core(command: &mut std::process::Command) {
    use nix::sys::resource::{Resource, setrlimit};
    use std::os::unix::process::CommandExt;
    // SAFETY: between fork and exec only setrlimit is called, which is one system
    // call and allocates nothing.
    unsafe { command.pre_exec(|| setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(Into::into)) };
}

/// A child that nobody else waits for: killed and reaped when this is dropped.
pub struct Owned(Pid);

impl Owned {
    /// `child` is one of this process, not reaped yet, and nobody else will.
    pub fn new(child: Pid) -> Owned {
        Owned(child)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Not reaped yet, so the number is still its own.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

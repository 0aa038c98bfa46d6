//! Children that sleep until they are told to end, forked by a process that may
//! have threads; and waiting for them.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::Pid;

/// clone(2) with these flags and neither CLONE_VM nor a stack, which is fork(2);
/// 0 in the child, which has a copy of our memory.
///
/// # Safety
/// Another thread may have held a lock in that memory, so the child must make only
/// system calls, which take none.
pub(super) unsafe fn fork_raw(flags: libc::c_ulong) -> libc::c_long {
    // s390 alone has the stack first.
    let (first, second) = if cfg!(target_arch = "s390x") { (0, flags) } else { (flags, 0) };
    // SAFETY: no memory is passed; the caller keeps to the rule above.
    unsafe { libc::syscall(libc::SYS_clone, first, second, 0usize, 0usize, 0usize) }
}

/// A child of this thread that reads one byte of `go` and ends. It dies with the
/// thread.
pub fn fork_sleeper(go: BorrowedFd<'_>) -> Result<Pid, Errno> {
    let (parent, go) = (nix::unistd::getpid().as_raw(), go.as_raw_fd());
    let mut byte = 0u8;
    // SAFETY: the child makes only system calls. Not fork(3), which would take the
    // allocator's locks in the parent: a sleep there would count as a wakeup.
    let pid = unsafe {
        let pid = fork_raw(libc::SIGCHLD as libc::c_ulong);
        if pid == 0 {
            // A name of its own: sources that count by name must see workers only.
            libc::syscall(libc::SYS_prctl, libc::PR_SET_NAME, c"herd-child".as_ptr(), 0, 0, 0);
            libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            if libc::syscall(libc::SYS_getppid) == libc::c_long::from(parent) {
                libc::syscall(libc::SYS_read, go, &raw mut byte, 1usize);
            }
            // Not exit_group's wrapper: that is async-signal-safe as well.
            libc::_exit(0);
        }
        pid
    };
    Errno::result(pid).map(|pid| Pid::from_raw(pid as i32))
}

/// pidfd_open(2), close-on-exec.
pub fn pidfd(of: Pid) -> Result<OwnedFd, Errno> {
    // SAFETY: only numbers are passed.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, of.as_raw(), 0) })?;
    // SAFETY: the kernel just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// waitid(2) on a pidfd: reaps that child; sleeps until it ends, or says EAGAIN.
pub fn reap(pidfd: BorrowedFd<'_>, sleep: bool) -> Result<(), Errno> {
    let mut about = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | if sleep { 0 } else { libc::WNOHANG };
    // SAFETY: the kernel fills the structure, all of which may be zero; si_pid is
    // there for SIGCHLD, and still zero if no child has ended.
    let ended = unsafe {
        Errno::result(libc::waitid(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, about.as_mut_ptr(), flags))?;
        about.assume_init().si_pid()
    };
    if ended == 0 { Err(Errno::EAGAIN) } else { Ok(()) }
}

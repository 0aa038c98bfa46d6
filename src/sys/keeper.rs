//! A process that takes away what would outlive everybody who uses it.
//!
//! The keeper makes the thing, tells its number, and then reads a pipe whose other
//! end all users hold: whatever kills them, the pipe ends, and the keeper removes
//! the thing and ends. It has a session of its own, ignores every signal that can
//! be ignored, and holds no other descriptor. Only a SIGKILL of the keeper itself
//! leaves something.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::signal::SigSet;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2, setsid};

use super::fork::fork_running;

/// Our side of it: a user among others.
pub struct Keeper {
    number: i32,
    maker: Pid,
    keeper: Pid,
    /// Our end of the pipe; dropped before the keeper is waited for.
    users: Option<OwnedFd>,
}

impl Keeper {
    /// Has a keeper `make` something, whose number is not below zero, and `remove` it
    /// at the end. Call it before there are threads; forked children are users, too.
    pub fn start(make: impl FnOnce() -> io::Result<i32>, remove: impl FnOnce(i32)) -> io::Result<Keeper> {
        let flags = nix::fcntl::OFlag::O_CLOEXEC;
        let (ended, users) = pipe2(flags)?;
        let (answer, told) = pipe2(flags)?;
        let keeper = fork_running(|| keep(make, remove, ended, told))?;
        let mut number = [0xff; 4];
        let heard = File::from(answer).read_exact(&mut number);
        let number = i32::from_ne_bytes(number);
        let kept = Keeper { number, maker: Pid::this(), keeper, users: Some(users) };
        match heard {
            Ok(()) if number >= 0 => Ok(kept),
            // The keeper tells its errno as a negative number.
            Ok(()) => Err(io::Error::from_raw_os_error(-number)),
            Err(e) => Err(e),
        }
    }

    /// What `make` returned.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Whether this is the process that started the keeper, not a child of it.
    pub fn is_ours(&self) -> bool {
        self.maker == Pid::this()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // A forked child drops only its copy.
        if self.is_ours() {
            drop(self.users.take());
            let _ = waitpid(self.keeper, None);
        }
    }
}

/// The keeper's life. `ended` ends with the last user.
fn keep(make: impl FnOnce() -> io::Result<i32>, remove: impl FnOnce(i32), ended: OwnedFd, told: OwnedFd) -> i32 {
    // Alone in its group, nobody signals it by accident.
    let alone = setsid().map_err(io::Error::from).and_then(|_| Ok(SigSet::all().thread_block()?));
    let closed = alone.and_then(|()| close_all_but(&[ended.as_raw_fd(), told.as_raw_fd()]));
    let made = closed.and_then(|()| make());
    let answer = made.as_ref().map_or_else(|e| -e.raw_os_error().unwrap_or(libc::EIO), |number| *number);
    let heard = File::from(told).write_all(&answer.to_ne_bytes());
    if let Ok(number) = made {
        if heard.is_ok() {
            // Nothing is ever written: this sleeps until the end.
            let _ = File::from(ended).read(&mut [0]);
        }
        remove(number);
    }
    0
}

/// Descriptors are inherited: a pipe of somebody else must not stay open here.
fn close_all_but(keep: &[i32]) -> io::Result<()> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| !keep.contains(fd))
        .collect();
    for fd in open {
        // SAFETY: this process runs nothing but the keeper, which uses no other
        // descriptor; EBADF is that of the directory just read.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

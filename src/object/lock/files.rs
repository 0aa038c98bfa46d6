//! Locks on files: flock(2), and the two families of fcntl(2): POSIX locks, which
//! belong to a process, and open file description locks.
//!
//! A waiter sleeps on a queue of its own (fs/locks.c, `flc_wait`), and an unlock
//! calls `locks_wake_up_blocks`. Since fd7732e033e3 "fs/locks: create a tree of
//! dependent requests." (Linux 5.0) a request that conflicts with one that waits
//! already is attached below that one, so an unlock wakes one of N exclusive
//! waiters. Before, it woke all, and all but one queued again.
//!
//! The files are memory without a name. flock and OFD locks belong to the open
//! file, so each worker opens its own, through /proc/self/fd.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{Handle, Lock, Mode, Pair};
use crate::cell::contract::{Asleep, Call};

const MODES: &[Mode] = &[Mode::plain("exclusive"), Mode::plain("shared")];
const LISTED: &[(&str, &str)] =
    &[("exclusive", "one holder after the other"), ("shared", "all get it at once when the exclusive holder lets go")];

pub const FLOCK: Lock = Lock {
    name: "flock",
    about: "flock(2) on a file in memory; an event is one handing on",
    modes: MODES,
    listed: LISTED,
    needs: Some("memfd"),
    of_process: false,
    call: Call::Flock,
    make: |mode| open(Family::Flock, mode),
};

pub const POSIX_LOCK: Lock = Lock {
    name: "posix-lock",
    about: "fcntl(F_SETLKW) on a file in memory, owned by a process; an event is one handing on",
    modes: MODES,
    listed: LISTED,
    needs: Some("memfd"),
    of_process: true,
    call: Call::Lock,
    make: |mode| open(Family::Posix, mode),
};

pub const OFD_LOCK: Lock = Lock {
    name: "ofd-lock",
    about: "fcntl(F_OFD_SETLKW) on a file in memory, owned by the open file; an event is one handing on",
    modes: MODES,
    listed: LISTED,
    needs: Some("ofd_locks"),
    of_process: false,
    call: Call::Lock,
    make: |mode| open(Family::Ofd, mode),
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Flock,
    Posix,
    Ofd,
}

fn open(family: Family, mode: &str) -> io::Result<Arc<dyn Pair>> {
    let file = || memfd_create("herd-lock", MFdFlags::MFD_CLOEXEC).map(File::from);
    Ok(Arc::new(Files { family, shared: mode == "shared", files: [file()?, file()?] }))
}

struct Files {
    family: Family,
    shared: bool,
    files: [File; 2],
}

impl Pair for Files {
    fn handle(&self) -> io::Result<Box<dyn Handle>> {
        let reopen = |file: &File| {
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            File::options().read(true).write(true).open(path)
        };
        let files = [reopen(&self.files[0])?, reopen(&self.files[1])?];
        Ok(Box::new(Locks { family: self.family, shared: self.shared, files }))
    }
}

struct Locks {
    family: Family,
    shared: bool,
    files: [File; 2],
}

impl Locks {
    /// `kind` is that of fcntl.
    fn change(&self, which: usize, kind: i32, wait: bool) -> Result<(), Errno> {
        let file = &self.files[which];
        let range = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        let argument = match (self.family, wait) {
            (Family::Flock, _) => {
                let operation = match kind {
                    libc::F_RDLCK => libc::LOCK_SH,
                    libc::F_WRLCK => libc::LOCK_EX,
                    _ => libc::LOCK_UN,
                };
                return crate::sys::lock::flock(file.as_fd(), operation | if wait { 0 } else { libc::LOCK_NB });
            }
            (Family::Posix, true) => FcntlArg::F_SETLKW(&range),
            (Family::Posix, false) => FcntlArg::F_SETLK(&range),
            (Family::Ofd, true) => FcntlArg::F_OFD_SETLKW(&range),
            (Family::Ofd, false) => FcntlArg::F_OFD_SETLK(&range),
        };
        fcntl(file, argument).map(drop)
    }
}

impl Handle for Locks {
    fn lock(&mut self, which: usize) -> Result<(), Errno> {
        self.change(which, if self.shared { libc::F_RDLCK } else { libc::F_WRLCK }, true)
    }

    fn unlock(&mut self, which: usize) -> Result<(), Errno> {
        self.change(which, libc::F_UNLCK, false)
    }

    fn hold(&mut self, which: usize) -> Result<(), Errno> {
        self.change(which, libc::F_WRLCK, false)
    }

    fn asleep(&self) -> Asleep {
        let call = if self.family == Family::Flock { libc::SYS_flock } else { libc::SYS_fcntl };
        Asleep::on(&[call], &self.files[0]).or(Asleep::on(&[call], &self.files[1]))
    }

    fn identity(&self) -> u64 {
        nix::sys::stat::fstat(&self.files[0]).map_or(0, |stat| stat.st_ino)
    }
}

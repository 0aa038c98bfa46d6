//! Mutex and read-write lock of the C library, in memory that processes share.
//!
//! An unlock wakes one sleeper of the mutex's futex (nptl/pthread_mutex_unlock.c,
//! `lll_unlock`, FUTEX_WAKE of 1), first in, first out. It does not hand the lock
//! over: who is awake may take it first, and the woken one sleeps again. Here
//! nobody is, since whoever let go queues on the other lock.
//!
//! When the holder dies, only a robust mutex tells: the kernel walks the dead
//! thread's list and wakes one sleeper (kernel/futex/core.c, `exit_robust_list`,
//! `handle_futex_death`), who gets EOWNERDEAD and must repair it. Of a plain one
//! and of a read-write lock nobody knows who held it; their sleepers sleep on.

use std::io;
use std::sync::Arc;

use nix::errno::Errno;

use super::{Handle, Lock, Mode, Pair};
use crate::cell::contract::{Asleep, Call};
use crate::sys::pthread::{Mutex, RwLock};

pub const MUTEX: Lock = Lock {
    name: "mutex",
    about: "mutex of the C library, shared by processes; an event is one handing on",
    modes: &[
        Mode::plain("plain"),
        Mode::plain("robust"),
        Mode { name: "robust-killed", killed: true, lost: false },
        Mode { name: "plain-killed", killed: true, lost: true },
    ],
    listed: &[
        ("plain", "pthread_mutex_lock(3)"),
        ("robust", "PTHREAD_MUTEX_ROBUST"),
        ("robust-killed", "the first holder of each round is killed: the next gets EOWNERDEAD and repairs"),
        ("plain-killed", "the same to a mutex that is not robust: nobody gets it any more"),
    ],
    needs: None,
    of_process: false,
    call: Call::Pthread,
    make: |mode| {
        let new = || Mutex::new(mode.starts_with("robust")).map(Arc::new);
        Ok(Arc::new(Mutexes([new()?, new()?])))
    },
};

pub const RWLOCK: Lock = Lock {
    name: "rwlock",
    about: "read-write lock of the C library, shared by processes; an event is one handing on",
    modes: &[Mode::plain("write"), Mode::plain("read"), Mode { name: "reader-killed", killed: true, lost: true }],
    listed: &[
        ("write", "pthread_rwlock_wrlock(3): one holder after the other"),
        ("read", "pthread_rwlock_rdlock(3): all get it at once when the writer lets go"),
        ("reader-killed", "a reader is killed and its share never given back: no writer gets it any more"),
    ],
    needs: None,
    of_process: false,
    call: Call::Pthread,
    make: |mode| {
        let (reads, held_by_reader) = (mode == "read", mode == "reader-killed");
        let locks = [Arc::new(RwLock::new()?), Arc::new(RwLock::new()?)];
        Ok(Arc::new(RwLocks { locks, reads, held_by_reader }))
    },
};

#[derive(Clone)]
struct Mutexes([Arc<Mutex>; 2]);

impl Pair for Mutexes {
    fn handle(&self) -> io::Result<Box<dyn Handle>> {
        Ok(Box::new(self.clone()))
    }
}

impl Handle for Mutexes {
    fn lock(&mut self, which: usize) -> Result<(), Errno> {
        self.0[which].lock()
    }

    fn unlock(&mut self, which: usize) -> Result<(), Errno> {
        self.0[which].unlock()
    }

    fn hold(&mut self, which: usize) -> Result<(), Errno> {
        self.0[which].try_lock()
    }

    fn repair(&mut self, which: usize) -> Result<(), Errno> {
        self.0[which].repair()
    }

    fn asleep(&self) -> Asleep {
        Asleep::at(&[libc::SYS_futex], None)
    }

    fn identity(&self) -> u64 {
        1
    }
}

#[derive(Clone)]
struct RwLocks {
    locks: [Arc<RwLock>; 2],
    reads: bool,
    held_by_reader: bool,
}

impl Pair for RwLocks {
    fn handle(&self) -> io::Result<Box<dyn Handle>> {
        Ok(Box::new(self.clone()))
    }
}

impl Handle for RwLocks {
    fn lock(&mut self, which: usize) -> Result<(), Errno> {
        if self.reads { self.locks[which].read() } else { self.locks[which].write() }
    }

    fn unlock(&mut self, which: usize) -> Result<(), Errno> {
        self.locks[which].unlock()
    }

    fn hold(&mut self, which: usize) -> Result<(), Errno> {
        if self.held_by_reader { self.locks[which].try_read() } else { self.locks[which].try_write() }
    }

    fn asleep(&self) -> Asleep {
        Asleep::at(&[libc::SYS_futex], None)
    }

    fn identity(&self) -> u64 {
        1
    }
}

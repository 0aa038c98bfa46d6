//! A semaphore of the C library in memory that processes share; one event is one
//! sem_post(3).
//!
//! sem_wait(3) sleeps on a futex of which sem_post wakes one sleeper
//! (kernel/futex/waitwake.c, `futex_wake`), first in, first out. If somebody else
//! takes the unit before the woken one runs, that one sleeps again inside
//! sem_wait: a wakeup that no return shows.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use nix::errno::Errno;

use super::{Object, refuse_extras};
use crate::cell::contract::{Asleep, Call, Claim, Door, During, Injector, Opened, SetupError, Source};
use crate::experiment::Settings;
use crate::sys::pthread::Semaphore;

/// sem_wait(3).
pub struct PosixSem;

impl Object for PosixSem {
    fn name(&self) -> &'static str {
        "posix-sem"
    }

    fn about(&self) -> &'static str {
        "POSIX semaphore in shared memory; an event is a post"
    }

    fn has_descriptor(&self) -> bool {
        false
    }

    fn queues(&self) -> bool {
        true
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        refuse_extras(self, settings)
    }

    fn open(&self, _: &Settings, _block: bool) -> Result<Opened, SetupError> {
        let semaphore = Arc::new(Semaphore::new().during(Call::Mmap)?);
        Ok(Opened { injector: Box::new(Poster(semaphore.clone())), door: Arc::new(SemDoor(semaphore)) })
    }
}

struct SemDoor(Arc<Semaphore>);

impl Door for SemDoor {
    fn sources(&self, _index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        Ok(vec![Box::new(Unit(self.0.clone()))])
    }
}

/// The semaphore as one worker has it.
struct Unit(Arc<Semaphore>);

impl Source for Unit {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        self.0.wait().map(|()| Claim { tag: 0 })
    }

    fn asleep(&self) -> Asleep {
        Asleep::at(&[libc::SYS_futex], None)
    }

    fn identity(&self) -> u64 {
        1
    }
}

struct Poster(Arc<Semaphore>);

impl Injector for Poster {
    fn fire(&mut self) -> Result<u32, SetupError> {
        self.0.post().map(|()| 0).during(Call::Pthread)
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn left(&mut self) -> io::Result<u64> {
        Ok(self.0.value()?)
    }

    fn retire(&mut self, _left: bool) {}
}

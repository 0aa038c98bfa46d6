//! Locks that their holders hand on: one event is one time that a worker gets the
//! lock.
//!
//! There are two locks of a kind, and the injector holds both. All workers queue
//! on the first. A round is a burst of as many events as there are workers: the
//! first lets go of that lock, and the others are made by the workers themselves.
//! Each gets the lock, keeps it over its record, lets go of it, which wakes the
//! next, and queues on the second lock. Then the injector takes the first again,
//! which must be free by now, and the next round begins with the second.
//!
//! Must never sleep in the injector: it only tries.

mod files;
mod pthreads;

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::{Object, mode, refuse_extras};
use crate::cell::contract::{Asleep, Call, Claim, Door, During, Injector, Opened, SetupError, Source};
use crate::experiment::Settings;
use crate::experiment::settings::Stranded;
use crate::sys;
use crate::sys::shared::SharedRows;

pub use files::{FLOCK, OFD_LOCK, POSIX_LOCK};
pub use pthreads::{MUTEX, RWLOCK};

/// A kind of lock as an object.
pub struct Lock {
    name: &'static str,
    about: &'static str,
    modes: &'static [Mode],
    listed: &'static [(&'static str, &'static str)],
    needs: Option<&'static str>,
    /// Belongs to a process, so that its threads do not exclude each other.
    of_process: bool,
    /// What fails when a lock that must be free is not.
    call: Call,
    make: fn(&str) -> io::Result<Arc<dyn Pair>>,
}

/// What a mode means besides the way to lock.
#[derive(Clone, Copy)]
struct Mode {
    name: &'static str,
    /// Who holds is a process of its own, and is killed instead of letting go.
    killed: bool,
    /// Nobody gets the lock of a holder that was killed.
    lost: bool,
}

impl Mode {
    const fn plain(name: &'static str) -> Mode {
        Mode { name, killed: false, lost: false }
    }
}

/// Two locks.
trait Pair: Send + Sync {
    /// The two as one task uses them.
    fn handle(&self) -> io::Result<Box<dyn Handle>>;
}

/// The two locks as one task uses them.
trait Handle {
    /// Sleeps until it has lock `which`, in the way that workers lock.
    fn lock(&mut self, which: usize) -> Result<(), Errno>;

    fn unlock(&mut self, which: usize) -> Result<(), Errno>;

    /// Takes lock `which` if that is possible at once, so that workers sleep.
    fn hold(&mut self, which: usize) -> Result<(), Errno>;

    /// After EOWNERDEAD.
    fn repair(&mut self, which: usize) -> Result<(), Errno> {
        let _ = which;
        Err(Errno::EOWNERDEAD)
    }

    fn asleep(&self) -> Asleep;

    fn identity(&self) -> u64;
}

impl Lock {
    fn mode(&self, settings: &Settings) -> Mode {
        let name = mode(self, settings);
        self.modes.iter().copied().find(|mode| mode.name == name).unwrap_or(self.modes[0])
    }
}

impl Object for Lock {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        self.listed
    }

    fn needs(&self, _: &Settings) -> Option<&'static str> {
        self.needs
    }

    fn has_descriptor(&self) -> bool {
        false
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let (name, workers) = (self.name, settings.workers);
        let mode = self.mode(settings);
        if self.of_process && settings.placement().threads > 1 {
            return Some(format!(
                "a {name} belongs to a process: all its threads hold it together and never wait; \
                 use placement = \"processes\", or ofd-lock"
            ));
        }
        if settings.burst != u64::from(workers) {
            return Some(format!(
                "a {name} is handed on by its holders, once round all workers: set burst = {workers}, \
                 the number of workers, and events to a multiple of it"
            ));
        }
        if mode.lost && (settings.stranded != Stranded::Count || settings.events != settings.burst) {
            return Some(format!(
                "nobody gets a {name} whose holder was killed: mode {:?} needs stranded = \"count\" \
                 and events = {workers}, one round",
                mode.name
            ));
        }
        refuse_extras(self, settings)
    }

    fn open(&self, settings: &Settings, _block: bool) -> Result<Opened, SetupError> {
        let mode = self.mode(settings);
        let pair = (self.make)(mode.name).during(self.call)?;
        let counts = Arc::new(SharedRows::new(1).during(Call::Mmap)?);
        let mut handover = Handover {
            handle: pair.handle().during(self.call)?,
            call: self.call,
            killed: mode.killed,
            holders: [None, None],
            workers: settings.workers.into(),
            fired: 0,
            taken: counts.clone(),
        };
        handover.hold(0)?;
        handover.hold(1)?;
        Ok(Opened { injector: Box::new(handover), door: Arc::new(LockDoor { pair, call: self.call, taken: counts }) })
    }
}

/// How often workers got a lock.
type Taken = Arc<SharedRows<1>>;

struct LockDoor {
    pair: Arc<dyn Pair>,
    call: Call,
    taken: Taken,
}

impl Door for LockDoor {
    fn sources(&self, _index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        let handle = self.pair.handle().during(self.call)?;
        Ok(vec![Box::new(Queued { handle, taken: self.taken.clone(), next: 0, has: None, owed: false })])
    }
}

/// The locks as one worker goes from one to the other.
struct Queued {
    handle: Box<dyn Handle>,
    taken: Taken,
    next: usize,
    has: Option<usize>,
    /// It has a lock that it has not claimed yet.
    owed: bool,
}

impl Source for Queued {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Lets go of the lock of the last claim only now, so that claims are recorded
    /// in the order in which the lock went round.
    fn claim(&mut self) -> Result<Claim, Errno> {
        if !std::mem::take(&mut self.owed) {
            if let Some(held) = self.has.take() {
                self.handle.unlock(held)?;
            }
            let which = self.next;
            match self.handle.lock(which) {
                Ok(()) => self.has = Some(which),
                // It is ours, in need of repair: that return is no claim yet.
                Err(Errno::EOWNERDEAD) => {
                    self.handle.repair(which)?;
                    self.has = Some(which);
                    self.owed = true;
                    return Err(Errno::EOWNERDEAD);
                }
                Err(errno) => return Err(errno),
            }
        }
        self.next = 1 - self.next;
        self.taken.row(0)[0].fetch_add(1, Ordering::Relaxed);
        Ok(Claim { tag: 0 })
    }

    fn asleep(&self) -> Asleep {
        self.handle.asleep()
    }

    fn identity(&self) -> u64 {
        self.handle.identity()
    }
}

/// The first holder of each round.
struct Handover {
    handle: Box<dyn Handle>,
    call: Call,
    killed: bool,
    /// Who holds the locks in our place, if they are to be killed.
    holders: [Option<Pid>; 2],
    workers: u64,
    fired: u64,
    taken: Taken,
}

impl Handover {
    /// Takes a lock that must be free.
    fn hold(&mut self, which: usize) -> Result<(), SetupError> {
        if !self.killed {
            return self.handle.hold(which).during(self.call);
        }
        let coordinator = nix::unistd::getpid();
        let (mut ready, mut done) = io::pipe().during(Call::Pipe)?;
        let handle = &mut self.handle;
        let holder = sys::fork::fork_running(|| {
            let held = sys::fork::die_with(coordinator).is_ok() && handle.hold(which).is_ok();
            if !held || done.write_all(&[1]).is_err() {
                return 1;
            }
            loop {
                nix::unistd::pause();
            }
        })
        .during(Call::Fork)?;
        self.holders[which] = Some(holder);
        drop(done);
        let mut held = [0];
        ready.read_exact(&mut held).map_err(|_| SetupError { call: self.call, errno: Errno::EBUSY })
    }

    /// Lets go, or has the holder killed.
    fn release(&mut self, which: usize) -> Result<(), SetupError> {
        if !self.killed {
            return self.handle.unlock(which).during(self.call);
        }
        self.kill_holder(which).during(Call::Kill)
    }

    /// Reaps it as well: a dead child of ours would pass for a dead worker.
    fn kill_holder(&mut self, which: usize) -> nix::Result<()> {
        match self.holders[which].take() {
            Some(holder) => kill(holder, Signal::SIGKILL).and_then(|()| waitpid(holder, None)).map(drop),
            None => Ok(()),
        }
    }
}

impl Injector for Handover {
    fn fire(&mut self) -> Result<u32, SetupError> {
        let (round, first) = (self.fired / self.workers, self.fired.is_multiple_of(self.workers));
        if first {
            let which = (round % 2) as usize;
            if round > 0 {
                self.hold(1 - which)?;
            }
            self.release(which)?;
        }
        self.fired += 1;
        Ok(0)
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn left(&mut self) -> io::Result<u64> {
        Ok(self.fired.saturating_sub(self.taken.row(0)[0].load(Ordering::Relaxed)))
    }

    fn retire(&mut self, _left: bool) {}
}

impl Drop for Handover {
    fn drop(&mut self) {
        for which in [0, 1] {
            let _ = self.kill_holder(which);
        }
    }
}

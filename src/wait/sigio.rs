//! Sleep for a signal of the object (O_ASYNC, F_SETSIG), then a claim that does
//! not block.
//!
//! The loop: sigwaitinfo(2), claim. Nobody is on the object's wait queue; the
//! object keeps one entry for the open file, and `kill_fasync` (fs/fcntl.c,
//! `send_sigio`) signals its one owner. Where that is a process group, every
//! process is signalled: a herd that user space sees. Each is queued a signal per
//! event, also of events that others have taken by now.

use super::poll::set_of;
use super::{Demand, Wait, foreign};
use crate::cell::contract::{Asleep, Call, During, Refusal, SetupError, SharedWait, Sleeper, Source, Woken};
use crate::experiment::Settings;
use crate::experiment::settings::{Sharing, SignalOwner, WorkerSettings};
use crate::sys::pollset::PollSet;
use crate::sys::sigio::{self, Came, Owner};

/// SIGIO and its like.
pub struct Sigio;

impl Wait for Sigio {
    fn name(&self) -> &'static str {
        "sigio"
    }

    fn about(&self) -> &'static str {
        "a signal of the object (O_ASYNC), then a claim that does not block"
    }

    fn demand(&self) -> Demand {
        Demand::Signals
    }

    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal> {
        let others = (0..cell.workers).any(|i| !cell.overrides.is_empty() && cell.for_worker(i).wait != self.name());
        let reason = if others && cell.placement().threads > 1 {
            "a signal to the process would find a thread that does not wait for it; use sigio for all threads, or \
             placement = \"processes\""
        } else if cell.sharing == Sharing::Own && worker.owner == SignalOwner::Group {
            "a signal to the group may reach another worker than the one that holds the object; use owner = \"thread\" \
             with sharing = \"own\""
        } else {
            return foreign(worker, self.name(), &["owner"]);
        };
        Some(Refusal { reason: reason.into(), forcible: false })
    }

    fn open(
        &self,
        worker: &WorkerSettings,
        _: &SharedWait,
        sources: &[Box<dyn Source>],
    ) -> Result<Box<dyn Sleeper>, SetupError> {
        let owner = match worker.owner {
            SignalOwner::Group => Owner::Group,
            SignalOwner::Thread => Owner::Thread,
        };
        sigio::hold().during(Call::Sigmask)?;
        let mut descriptors = Vec::with_capacity(sources.len());
        for source in sources {
            let fd = source.descriptor().expect("refused for objects without a descriptor");
            sigio::arm(fd, owner).during(Call::Sigio)?;
            descriptors.push(std::os::fd::AsRawFd::as_raw_fd(&fd));
        }
        Ok(Box::new(Waiting { descriptors, set: set_of(sources)?, overflown: false }))
    }
}

struct Waiting {
    /// The numbers by which signals name the objects: those they had in the
    /// process that armed them first, and every process inherited the same.
    descriptors: Vec<i32>,
    set: PollSet,
    /// Signals were merged, so events may be left that none will tell of.
    overflown: bool,
}

impl Sleeper for Waiting {
    fn wait(&mut self, _: &mut [Box<dyn Source>], ready: &mut Vec<usize>) -> Woken {
        // Until nothing is there: an event after this look sends another signal.
        if self.overflown {
            match self.set.look(ready) {
                Ok(()) if !ready.is_empty() => return Woken::Ready,
                Ok(()) => self.overflown = false,
                Err(errno) => return Woken::Failed(errno),
            }
        }
        match sigio::wait() {
            Ok(Came::For(fd)) => ready.extend(self.descriptors.iter().position(|known| *known == fd)),
            Ok(Came::Somewhere) => {
                self.overflown = true;
                ready.extend(0..self.descriptors.len());
            }
            Err(errno) => return Woken::Failed(errno),
        }
        Woken::Ready
    }

    fn asleep(&self, _: &[Box<dyn Source>]) -> Asleep {
        // The first argument is the address of the signal set.
        Asleep::at(&[libc::SYS_rt_sigtimedwait], None)
    }
}

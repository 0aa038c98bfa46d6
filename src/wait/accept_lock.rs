//! A lock of user space around a blocking accept, as servers had it before the
//! kernel woke one (Apache's AcceptMutex, Cyrus, uWSGI).
//!
//! The loop: take the lock, accept, release it, work. One worker sleeps in accept
//! (`inet_csk_wait_for_connect`), all others in the lock. The release wakes the
//! next: one of the futex's sleepers (kernel/futex/waitwake.c, `futex_wake`; the
//! semaphore is one too), or the first request on the file (fs/locks.c,
//! `locks_wake_up_blocks`). Whoever releases may take the lock again before the
//! woken one comes, and that one sleeps again. With file locks more happens: a
//! request that has to queue again lets go of all that stood behind it
//! (`__locks_insert_block`, Linux 5.0, fd7732e033e3), so they wake one another.

use super::{Demand, Wait, one_shared_listener};
use crate::cell::contract::{Asleep, Call, During, Refusal, SetupError, SharedWait, Sleeper, Source, Woken};
use crate::experiment::Settings;
use crate::experiment::settings::{Lock as Setting, WorkerSettings};
use crate::sys::accept_lock::{Kind, Lock, SharedLock};

impl From<Setting> for Kind {
    fn from(lock: Setting) -> Kind {
        match lock {
            Setting::Futex => Kind::Futex,
            Setting::Sem => Kind::Semaphore,
            Setting::Flock => Kind::Flock,
            Setting::Fcntl => Kind::Record,
        }
    }
}

/// Lock, accept, unlock.
pub struct AcceptLock;

impl Wait for AcceptLock {
    fn name(&self) -> &'static str {
        "accept-lock"
    }

    fn about(&self) -> &'static str {
        "a lock shared by all around a blocking accept (the setting lock)"
    }

    fn demand(&self) -> Demand {
        Demand::Connections
    }

    fn shares(&self, _: &WorkerSettings) -> bool {
        true
    }

    fn needs(&self, worker: &WorkerSettings) -> Option<&'static str> {
        matches!(worker.lock, Setting::Flock | Setting::Fcntl).then_some("memfd")
    }

    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal> {
        let reason = if worker.lock == Setting::Fcntl && cell.placement().threads > 1 {
            "an fcntl lock belongs to the process, so it keeps no thread out; use lock = \"flock\", or \
             placement = \"processes\""
        } else if worker.lock != cell.worker.lock {
            "all workers take the same lock; set lock for the cell, not in an override"
        } else {
            return one_shared_listener(worker, cell, self.name());
        };
        Some(Refusal { reason: reason.into(), forcible: false })
    }

    fn share(&self, worker: &WorkerSettings, _: &[Box<dyn Source>]) -> Result<SharedWait, SetupError> {
        let call = match worker.lock {
            Setting::Futex => Call::Mmap,
            Setting::Sem => Call::SemInit,
            Setting::Flock | Setting::Fcntl => Call::Memfd,
        };
        let lock = SharedLock::new(worker.lock.into()).during(call)?;
        Ok(SharedWait { lock: Some(lock), ..SharedWait::default() })
    }

    fn open(
        &self,
        _: &WorkerSettings,
        shared: &SharedWait,
        _: &[Box<dyn Source>],
    ) -> Result<Box<dyn Sleeper>, SetupError> {
        let lock = shared.lock.as_ref().expect("share() made it").open().during(Call::LockFile)?;
        Ok(Box::new(Locking { lock }))
    }
}

struct Locking {
    lock: Lock,
}

impl Sleeper for Locking {
    fn wait(&mut self, sources: &mut [Box<dyn Source>], _ready: &mut Vec<usize>) -> Woken {
        if let Err(errno) = self.lock.acquire() {
            return Woken::Failed(errno);
        }
        let claim = sources[0].claim();
        self.lock.release();
        claim.map_or_else(Woken::Failed, Woken::Claimed)
    }

    fn asleep(&self, sources: &[Box<dyn Source>]) -> Asleep {
        let in_lock = match self.lock.descriptor() {
            Some(file) => Asleep::on(self.lock.calls(), &file),
            // The first argument is the address of the word.
            None => Asleep::at(self.lock.calls(), None),
        };
        sources[0].asleep().or(in_lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::PlacementKind;

    #[test]
    fn fcntl_is_for_processes() {
        let worker = WorkerSettings { lock: Setting::Fcntl, ..WorkerSettings::default() };
        let mut cell = Settings { worker: worker.clone(), ..Settings::default() };
        assert_eq!(AcceptLock.refuse(&worker, &cell), None);
        cell.placement = PlacementKind::Threads;
        let refusal = AcceptLock.refuse(&worker, &cell).unwrap();
        assert!(refusal.reason.contains("flock"), "{refusal}");
    }
}

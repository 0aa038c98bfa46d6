//! One thread accepts and puts each connection into a queue, from which a pool of
//! threads takes them (UNP, volume 1, 3rd edition, chapter 30, design 8).
//!
//! The loop of the first worker: accept (blocking), lock the queue, append, unlock,
//! signal the condition; it never claims. That of the others: lock the queue; while
//! it is empty wait for the condition; take the oldest connection, unlock: that is the
//! claim. They sleep in futex(2), and the signal wakes the first of them
//! (kernel/futex/waitwake.c, `futex_wake`). So a connection costs two wakeups, one on
//! each side, as with a descriptor that is passed, but no system call hands it over:
//! threads share their descriptors.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{Demand, Wait, one_shared_listener, whole_cells_only};
use crate::cell::contract::{Asleep, Refusal, SetupError, SharedWait, Sleeper, Source, Woken, WorkQueue};
use crate::experiment::Settings;
use crate::experiment::settings::WorkerSettings;
use crate::sys;

/// A work queue.
pub struct Queue;

impl Wait for Queue {
    fn name(&self) -> &'static str {
        "queue"
    }

    fn about(&self) -> &'static str {
        "worker 0 accepts, the other threads take connections from a queue (mutex and condition)"
    }

    fn demand(&self) -> Demand {
        Demand::Connections
    }

    fn shares(&self, _: &WorkerSettings) -> bool {
        true
    }

    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal> {
        let reason = if cell.workers < 2 {
            "queue needs somebody to take connections from it: workers = 2 or more"
        } else if cell.placement().processes > 1 {
            "the queue is in the memory of one process; use placement = \"threads\", or kind = \"acceptor\""
        } else {
            return whole_cells_only(cell, self.name()).or_else(|| one_shared_listener(worker, cell, self.name()));
        };
        Some(Refusal { reason: reason.into(), forcible: false })
    }

    fn share(&self, _: &WorkerSettings, _: &[Box<dyn Source>]) -> Result<SharedWait, SetupError> {
        let queue = WorkQueue {
            seats: AtomicU64::new(0),
            waiting: Mutex::new(VecDeque::with_capacity(1024)),
            condition: Condvar::new(),
        };
        Ok(SharedWait { queue: Some(Arc::new(queue)), ..SharedWait::default() })
    }

    fn open(
        &self,
        _: &WorkerSettings,
        shared: &SharedWait,
        _: &[Box<dyn Source>],
    ) -> Result<Box<dyn Sleeper>, SetupError> {
        let queue = shared.queue.clone().expect("share() made it");
        // Workers register one by one, in their order.
        Ok(match queue.seats.fetch_add(1, Ordering::Relaxed) {
            0 => Box::new(Accepting { queue }),
            _ => Box::new(Taking { queue }),
        })
    }
}

struct Accepting {
    queue: Arc<WorkQueue>,
}

impl Sleeper for Accepting {
    fn wait(&mut self, sources: &mut [Box<dyn Source>], _ready: &mut Vec<usize>) -> Woken {
        let listener = sources[0].descriptor().expect("a listener has a descriptor");
        match sys::socket::accept(listener) {
            Ok((connection, _)) => {
                // Nobody panics with the lock held.
                self.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(connection);
                self.queue.condition.notify_one();
                Woken::Passed
            }
            Err(errno) => Woken::Failed(errno),
        }
    }

    fn asleep(&self, sources: &[Box<dyn Source>]) -> Asleep {
        sources[0].asleep()
    }
}

struct Taking {
    queue: Arc<WorkQueue>,
}

impl Taking {
    fn take(&self) -> OwnedFd {
        let mut waiting = self.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match waiting.pop_front() {
                Some(connection) => return connection,
                None => waiting = self.queue.condition.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Sleeper for Taking {
    fn wait(&mut self, sources: &mut [Box<dyn Source>], _ready: &mut Vec<usize>) -> Woken {
        let connection = self.take();
        Woken::Claimed(sources[0].accepted(connection))
    }

    fn asleep(&self, _: &[Box<dyn Source>]) -> Asleep {
        // The first argument is the address of the condition's word.
        Asleep::at(&[libc::SYS_futex], None)
    }
}

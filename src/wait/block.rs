//! Sleep in the claim itself, such as a blocking accept(2).
//!
//! The loop: accept; the kernel queues the worker as an exclusive waiter
//! (`inet_csk_wait_for_connect`, `prepare_to_wait_exclusive`) and wakes it by
//! `sock_def_readable`. Works on objects without a descriptor as well.

use super::{Demand, Wait, only_for_epoll};
use crate::cell::contract::{Asleep, Refusal, SetupError, SharedWait, Sleeper, Source, Woken};
use crate::experiment::Settings;
use crate::experiment::settings::{Accept, Sharing, WorkerSettings};

/// Blocking claims.
pub struct Block;

impl Wait for Block {
    fn name(&self) -> &'static str {
        "block"
    }

    fn about(&self) -> &'static str {
        "sleep in the claim itself: blocking accept"
    }

    fn demand(&self) -> Demand {
        Demand::Nothing
    }

    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal> {
        let reason = if cell.sharing == Sharing::Shared && cell.objects > 1 {
            "a blocking claim sleeps on one object; watch several with poll, select or epoll"
        } else if worker.accept == Accept::Drain {
            "a blocking claim cannot drain: it would sleep on the empty object instead of seeing EAGAIN"
        } else if worker.before_claim_us > 0 {
            "a blocking claim has no time between return and claim; leave out before_claim_us"
        } else {
            return only_for_epoll(worker, self.name());
        };
        Some(Refusal { reason: reason.into(), forcible: false })
    }

    fn open(&self, _: &WorkerSettings, _: &SharedWait, _: &[Box<dyn Source>]) -> Result<Box<dyn Sleeper>, SetupError> {
        Ok(Box::new(Blocked))
    }
}

struct Blocked;

impl Sleeper for Blocked {
    fn wait(&mut self, sources: &mut [Box<dyn Source>], _ready: &mut Vec<usize>) -> Woken {
        match sources[0].claim() {
            Ok(claim) => Woken::Claimed(claim),
            Err(errno) => Woken::Failed(errno),
        }
    }

    fn asleep(&self, sources: &[Box<dyn Source>]) -> Asleep {
        sources[0].asleep()
    }
}

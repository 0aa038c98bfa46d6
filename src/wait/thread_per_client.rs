//! A thread for each client (UNP, volume 1, 3rd edition, chapter 30, design 6).
//!
//! The loop: accept; start a thread. The thread does the work, answers, closes the
//! connection and ends; nobody joins it. The accepting thread is the only one that
//! waits, so a connection is one wakeup, in `inet_csk_wait_for_connect`.
//!
//! A thread shares memory and descriptors with its maker, so there is no page table to
//! copy and nothing to reap (clone(2): CLONE_VM, CLONE_FILES). It costs a stack, which
//! is mapped and touched, and its start and end take the lock of the address space
//! (`mmap_lock`) that all threads share.
//!
//! A thread that cannot be had (EAGAIN: RLIMIT_NPROC, pids.max) is counted as an error
//! of the worker; its client is cut off.

use std::sync::Arc;

use nix::errno::Errno;

use super::{Demand, Wait, accept_for_another, one_shared_listener, with_helpers};
use crate::cell::contract::{Asleep, Helpers, Job, Refusal, SetupError, SharedWait, Sleeper, Source, Woken};
use crate::experiment::Settings;
use crate::experiment::settings::WorkerSettings;

/// Address space for each; what is touched of it is memory.
const STACK: usize = 64 * 1024;

/// Accept, start a thread.
pub struct ThreadPerClient;

impl Wait for ThreadPerClient {
    fn name(&self) -> &'static str {
        "thread-per-client"
    }

    fn about(&self) -> &'static str {
        "accept, and have a thread serve the client"
    }

    fn demand(&self) -> Demand {
        Demand::Connections
    }

    fn shares(&self, _: &WorkerSettings) -> bool {
        true
    }

    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal> {
        one_shared_listener(worker, cell, self.name())
    }

    fn share(&self, _: &WorkerSettings, _: &[Box<dyn Source>]) -> Result<SharedWait, SetupError> {
        with_helpers()
    }

    fn open(
        &self,
        _: &WorkerSettings,
        shared: &SharedWait,
        _: &[Box<dyn Source>],
    ) -> Result<Box<dyn Sleeper>, SetupError> {
        Ok(Box::new(Starting { helpers: shared.helpers.clone().expect("share() made it") }))
    }
}

struct Starting {
    helpers: Arc<Helpers>,
}

impl Sleeper for Starting {
    fn wait(&mut self, sources: &mut [Box<dyn Source>], _ready: &mut Vec<usize>) -> Woken {
        accept_for_another(sources)
    }

    fn delegate(&mut self, job: Job) -> Result<(), Errno> {
        let helpers = self.helpers.clone();
        helpers.made(&job);
        let thread = move || {
            // A client that has gone is counted where it was: at the client.
            let _ = job.run();
            helpers.thread_ends();
        };
        match std::thread::Builder::new().stack_size(STACK).spawn(thread) {
            Ok(_) => Ok(()),
            Err(e) => {
                self.helpers.unmade();
                Err(Errno::from_raw(e.raw_os_error().unwrap_or(libc::EAGAIN)))
            }
        }
    }

    fn asleep(&self, sources: &[Box<dyn Source>]) -> Asleep {
        sources[0].asleep()
    }
}

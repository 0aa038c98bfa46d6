//! A child process for each client: the oldest server of all (UNP, volume 1, 3rd
//! edition, chapter 30, design 1).
//!
//! The loop: reap the children that have ended; accept; fork. The child does the
//! work, answers and exits; the parent closes its descriptor of the connection and
//! accepts again. Nobody else ever waits, so a connection is one wakeup whatever the
//! load: of the parent, in `inet_csk_wait_for_connect`.
//!
//! A child costs a copy of the page tables (kernel/fork.c, `dup_mm`), faults on the
//! pages that either side writes to, the teardown of all that, and SIGCHLD. That
//! signal has its default action here, which is to ignore it, so it wakes nobody
//! (kernel/signal.c, `sig_ignored`); a server with a handler would return from accept
//! once more for each client. A child that has ended stays a zombie until the next
//! connection. To look for one is a walk over all children (kernel/exit.c,
//! `do_wait_thread`), which is dear where thousands live.
//!
//! A fork that is refused (EAGAIN: RLIMIT_NPROC, pids.max) is counted as an error of
//! the worker; its client is cut off.

use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use super::{Demand, Wait, accept_for_another, one_shared_listener, with_helpers};
use crate::cell::contract::{
    Asleep, Call, Children, During, Helpers, Job, Refusal, SetupError, SharedWait, Sleeper, Source, Woken,
};
use crate::experiment::Settings;
use crate::experiment::settings::WorkerSettings;
use crate::sys::fork::{Alone, die_with};

/// Accept, fork.
pub struct ForkPerClient;

impl Wait for ForkPerClient {
    fn name(&self) -> &'static str {
        "fork-per-client"
    }

    fn about(&self) -> &'static str {
        "accept, and have a child process serve the client"
    }

    fn demand(&self) -> Demand {
        Demand::Connections
    }

    fn shares(&self, _: &WorkerSettings) -> bool {
        true
    }

    fn refuse(&self, worker: &WorkerSettings, cell: &Settings) -> Option<Refusal> {
        if cell.placement().threads > 1 {
            let reason = "fork copies one thread of several, and the locks the others held; use placement = \
                          \"processes\"";
            return Some(Refusal { reason: reason.into(), forcible: false });
        }
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
        let helpers = shared.helpers.clone().expect("share() made it");
        let alone = Alone::sure().during(Call::Fork)?;
        Ok(Box::new(Forking { helpers, alone, us: getpid(), reaped: Children::default() }))
    }
}

struct Forking {
    helpers: Arc<Helpers>,
    alone: Alone,
    us: Pid,
    reaped: Children,
}

impl Forking {
    fn reap(&mut self) {
        let mut some = false;
        // Ends with the last child that has ended: nobody makes new ones meanwhile.
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive) {
            some = true;
        }
        if some {
            let now = Children::so_far();
            self.helpers.reaped(&now, &self.reaped);
            self.reaped = now;
        }
    }
}

impl Sleeper for Forking {
    fn wait(&mut self, sources: &mut [Box<dyn Source>], _ready: &mut Vec<usize>) -> Woken {
        accept_for_another(sources)
    }

    fn delegate(&mut self, job: Job) -> Result<(), Errno> {
        self.reap();
        self.helpers.made(&job);
        let (helpers, us) = (&self.helpers, self.us);
        let mut job = Some(job);
        let forked = self.alone.fork(|| {
            let served = die_with(us).is_ok() && job.take().is_some_and(|job| job.run().is_ok());
            helpers.done();
            i32::from(!served)
        });
        forked.map(drop).inspect_err(|_| self.helpers.unmade())
    }

    fn asleep(&self, sources: &[Box<dyn Source>]) -> Asleep {
        sources[0].asleep()
    }
}

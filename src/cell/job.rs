//! What a worker has a child process or a thread of its own do for one client, and
//! what these came to.
//!
//! Helpers are no workers: nobody counts their wakeups, and it is quiet while some of
//! them still run. What they cost is added up here, so that no server model is
//! cheaper for having others do its work.

use std::io;
use std::sync::atomic::Ordering::{Relaxed, Release};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Usage, UsageWho, getrusage};

use super::contract::{Claim, Source};
use super::worker;
use crate::experiment::settings::Busy;
use crate::sys::clock::cpu_ns_of;
use crate::sys::shared::SharedRows;

/// One client, to be served by a helper.
pub struct Job {
    pub connection: Box<dyn Source + Send>,
    pub claim: Claim,
    /// How long the service takes, and how it is spent.
    pub us: u64,
    pub busy: Busy,
    pub reply: bool,
    /// A client that stays and asks for nothing: wait for it until it goes.
    pub silent: bool,
}

impl Job {
    /// Serves the client; its connection is closed on return. errno is why it did not
    /// get its answer: it has gone.
    pub fn run(mut self) -> Result<(), Errno> {
        // A source that counts by name must not take a helper for a worker.
        let _ = nix::sys::prctl::set_name(c"herd-helper");
        if self.silent {
            let descriptor = self.connection.descriptor().expect("a connection has a descriptor");
            return poll(&mut [PollFd::new(descriptor, PollFlags::POLLIN)], PollTimeout::NONE).map(drop);
        }
        worker::spend(self.us, self.busy);
        if self.reply { worker::reply_when_asked(self.claim, self.connection.as_mut()) } else { Ok(()) }
    }
}

/// Words of the one row: helpers made, those that are silent, those that are done, and
/// what the ended ones came to.
const MADE: usize = 0;
const SILENT: usize = 1;
const DONE: usize = 2;
const CPU: usize = 3;
const VOLUNTARY: usize = 4;
const INVOLUNTARY: usize = 5;

/// All helpers of a cell, in memory that they share with the coordinator.
pub struct Helpers(SharedRows<8>);

/// What helpers came to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Helped {
    pub made: u64,
    /// Of these, those with a silent client.
    pub silent: u64,
    /// Made and not done, but for those whose clients are silent.
    pub busy: u64,
    /// CPU time of children that were reaped; that of threads is their process's.
    pub cpu_ns: u64,
    pub voluntary: u64,
    pub involuntary: u64,
}

impl Helpers {
    pub fn new() -> io::Result<Helpers> {
        SharedRows::new(1).map(Helpers)
    }

    fn add(&self, word: usize, count: u64) {
        self.0.row(0)[word].fetch_add(count, Relaxed);
    }

    /// One more is about to begin with `job`.
    pub fn made(&self, job: &Job) {
        self.add(MADE, 1);
        self.add(SILENT, job.silent.into());
    }

    /// It could not be made after all.
    pub fn unmade(&self) {
        self.add(DONE, 1);
    }

    /// It has served its client. Called by itself, as the last thing it does.
    pub fn done(&self) {
        self.0.row(0)[DONE].fetch_add(1, Release);
    }

    /// The calling thread is about to end: its context switches.
    pub fn thread_ends(&self) {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("getrusage cannot fail for ourselves");
        self.add(VOLUNTARY, usage.voluntary_context_switches() as u64);
        self.add(INVOLUNTARY, usage.involuntary_context_switches() as u64);
        self.done();
    }

    /// Children were reaped that came to that much, as getrusage(2) tells it.
    pub fn reaped(&self, now: &Children, before: &Children) {
        for word in 0..3 {
            self.add(CPU + word, now.0[word] - before.0[word]);
        }
    }

    pub fn read(&self) -> Helped {
        let [made, silent, done, cpu_ns, voluntary, involuntary, ..] =
            std::array::from_fn::<u64, 8, _>(|word| self.0.row(0)[word].load(Relaxed));
        Helped { made, silent, busy: made.saturating_sub(silent + done), cpu_ns, voluntary, involuntary }
    }
}

/// CPU time in nanoseconds, voluntary and involuntary switches of all children that
/// this process has reaped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Children([u64; 3]);

impl Children {
    pub fn so_far() -> Children {
        let usage: Usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage cannot fail for ourselves");
        Children([
            cpu_ns_of(&usage),
            usage.voluntary_context_switches() as u64,
            usage.involuntary_context_switches() as u64,
        ])
    }
}

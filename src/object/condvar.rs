//! A condition variable and its mutex, of the C library, shared by processes; an
//! event is a ticket under the mutex and a signal or broadcast.
//!
//! `pthread_cond_wait` sleeps on a futex and takes the mutex when it wakes; if
//! that is held, it sleeps again, on the mutex: a wakeup that no return shows.
//! glibc since 2.25 wakes all on a broadcast (nptl/pthread_cond_broadcast.c,
//! `futex_wake(INT_MAX)`); before, and in musl, all but one were moved to the
//! mutex asleep.
//!
//! A worker holds the mutex from one wait to the next, as `while (!work) wait`
//! does: it never has to take it anew.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::{Object, mode, refuse_extras};
use crate::cell::contract::{Asleep, Call, Claim, Door, During, Injector, Member, Opened, SetupError, Source};
use crate::experiment::Settings;
use crate::sys::pthread::Monitor;
use crate::sys::shared::SharedRows;

/// pthread_cond_wait(3).
pub struct Condvar;

/// A mutex that is not to be had for so long belongs to a worker that died.
const PATIENCE: Duration = Duration::from_secs(2);

const MODES: &[(&str, &str)] = &[
    ("signal", "pthread_cond_signal(3), the mutex free"),
    ("broadcast", "pthread_cond_broadcast(3), the mutex free: all run for it"),
    ("broadcast-held", "the broadcaster holds the mutex until all have woken and sleep on the mutex"),
];

impl Object for Condvar {
    fn name(&self) -> &'static str {
        "condvar"
    }

    fn about(&self) -> &'static str {
        "condition variable and mutex of the C library; an event is a ticket and a signal"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        MODES
    }

    fn has_descriptor(&self) -> bool {
        false
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        if mode(self, settings) == "broadcast-held" && settings.burst > 1 {
            return Some(
                "broadcast-held waits until all that sleep on the condition sleep on the mutex, so all must be \
                 asleep before each event; leave out burst, or use mode = \"broadcast\""
                    .into(),
            );
        }
        refuse_extras(self, settings)
    }

    fn open(&self, settings: &Settings, _block: bool) -> Result<Opened, SetupError> {
        let shared = Arc::new(Shared {
            monitor: Monitor::new().during(Call::Mmap)?,
            tickets: SharedRows::new(1).during(Call::Mmap)?,
        });
        let held = mode(self, settings) == "broadcast-held";
        let all = held || mode(self, settings) == "broadcast";
        Ok(Opened {
            injector: Box::new(Signaller { shared: shared.clone(), all, held, workers: Vec::new() }),
            door: Arc::new(CondvarDoor { shared }),
        })
    }
}

/// The tickets are only touched under the mutex.
struct Shared {
    monitor: Monitor,
    tickets: SharedRows<1>,
}

impl Shared {
    /// Takes a ticket if there is one.
    fn take(&self) -> bool {
        let less = |n: u64| n.checked_sub(1);
        self.tickets.row(0)[0].fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

struct CondvarDoor {
    shared: Arc<Shared>,
}

impl Door for CondvarDoor {
    fn sources(&self, _index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        Ok(vec![Box::new(Waiter { shared: self.shared.clone(), holds: false })])
    }
}

/// The condition as one worker waits for it.
struct Waiter {
    shared: Arc<Shared>,
    /// Whether this thread has the mutex: always, but for the first time.
    holds: bool,
}

impl Source for Waiter {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// One wait at most, whatever it brings.
    fn claim(&mut self) -> Result<Claim, Errno> {
        if !self.holds {
            self.shared.monitor.mutex.lock()?;
            self.holds = true;
        }
        if !self.shared.take() {
            self.shared.monitor.wait()?;
            if !self.shared.take() {
                return Err(Errno::EAGAIN);
            }
        }
        Ok(Claim { tag: 0 })
    }

    fn asleep(&self) -> Asleep {
        Asleep::at(&[libc::SYS_futex], None)
    }

    fn identity(&self) -> u64 {
        1
    }
}

/// Adds tickets and tells of them.
struct Signaller {
    shared: Arc<Shared>,
    all: bool,
    held: bool,
    workers: Vec<Member>,
}

impl Signaller {
    /// How often each worker has slept.
    fn sleeps(&self) -> io::Result<Vec<u64>> {
        self.workers.iter().map(sleeps_of).collect()
    }

    /// Keeps the mutex until every worker has slept once more than `before`: it
    /// was woken off the condition and sleeps on the mutex.
    fn hold(&self, before: &[u64]) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        for (worker, before) in self.workers.iter().zip(before) {
            while sleeps_of(worker)? <= *before {
                if Instant::now() > end {
                    return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
                }
                crate::sys::spin::yield_cpu();
            }
        }
        Ok(())
    }
}

/// How often a worker has given up the CPU to sleep.
fn sleeps_of(worker: &Member) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/task/{}/status", worker.pid, worker.tid))?;
    voluntary(&status).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn voluntary(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse().ok()
}

impl Injector for Signaller {
    fn meet(&mut self, workers: &[Member]) -> Result<(), SetupError> {
        self.workers = workers.to_vec();
        Ok(())
    }

    fn fire(&mut self) -> Result<u32, SetupError> {
        let monitor = &self.shared.monitor;
        let before = if self.held { self.sleeps().during(Call::Read)? } else { Vec::new() };
        monitor.mutex.lock_within(PATIENCE).during(Call::Pthread)?;
        self.shared.tickets.row(0)[0].fetch_add(1, Ordering::Relaxed);
        let held = if self.held {
            monitor.broadcast().during(Call::Pthread).and_then(|()| self.hold(&before).during(Call::Read))
        } else {
            Ok(())
        };
        monitor.mutex.unlock().during(Call::Pthread)?;
        held?;
        match (self.held, self.all) {
            (true, _) => {}
            (false, true) => monitor.broadcast().during(Call::Pthread)?,
            (false, false) => monitor.signal().during(Call::Pthread)?,
        }
        Ok(0)
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn left(&mut self) -> io::Result<u64> {
        Ok(self.shared.tickets.row(0)[0].load(Ordering::Relaxed))
    }

    fn retire(&mut self, _left: bool) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_voluntary_switches_are_not_the_others() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(voluntary(status), Some(17));
        assert_eq!(voluntary("Name:\tx\n"), None);
    }
}

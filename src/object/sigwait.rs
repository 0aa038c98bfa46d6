//! A signal for a whole process whose threads all wait for it; one event is one
//! signal.
//!
//! kernel/signal.c: `complete_signal` looks for one thread that does not block the
//! signal and wakes that one; the main thread is asked first, here worker 0. A
//! thread in sigwaitinfo(2) does not block it while it sleeps (`do_sigtimedwait`);
//! as it wakes it blocks it again before it takes it, and `__set_task_blocked` then
//! calls `retarget_shared_pending`, which wakes a second thread for the same signal.
//!
//! The second finds nothing and returns EINTR. sigwait(3) of glibc calls again
//! without a word, so that its caller sees one return; sigwaitinfo(2) hands the
//! EINTR on (musl calls again in both).
//!
//! The signal is one of those that queue, and carries the number of its event.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use nix::errno::Errno;

use super::{Object, mode, refuse_extras};
use crate::cell::contract::{Asleep, Call, Claim, Door, During, Injector, Member, Opened, SetupError, Source};
use crate::experiment::Settings;
use crate::sys::signal;

/// sigwait(3) and sigwaitinfo(2).
pub struct Sigwait;

impl Object for Sigwait {
    fn name(&self) -> &'static str {
        "sigwait"
    }

    fn about(&self) -> &'static str {
        "threads in sigwait(3); an event is a signal to their process"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("sigwait", "sigwait(3), which calls again when there was nothing"),
            ("sigwaitinfo", "sigwaitinfo(2), which says EINTR when there was nothing"),
        ]
    }

    fn has_descriptor(&self) -> bool {
        false
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        if settings.placement().processes > 1 {
            return Some(
                "a signal is sent to one process, so only its threads can wait for the same one; \
                 use placement = \"threads\""
                    .into(),
            );
        }
        refuse_extras(self, settings)
    }

    fn open(&self, settings: &Settings, _block: bool) -> Result<Opened, SetupError> {
        let number = signal::queueing();
        // Here, so that no thread of the workers' process ever lacks it.
        signal::block(number).during(Call::Sigmask)?;
        Ok(Opened {
            injector: Box::new(Sender { number, pid: None, sent: 0 }),
            door: Arc::new(SignalDoor { number, plain: mode(self, settings) == "sigwait" }),
        })
    }
}

struct SignalDoor {
    number: i32,
    /// sigwait(3), which cannot tell the event.
    plain: bool,
}

impl Door for SignalDoor {
    fn sources(&self, _index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        Ok(vec![Box::new(Waiter { number: self.number, plain: self.plain })])
    }
}

/// The signal as one thread waits for it.
struct Waiter {
    number: i32,
    plain: bool,
}

impl Source for Waiter {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        let tag = if self.plain { signal::take_quietly(self.number).map(|()| 0) } else { signal::take(self.number) };
        tag.map(|tag| Claim { tag })
    }

    fn asleep(&self) -> Asleep {
        Asleep::at(&[libc::SYS_rt_sigtimedwait], None)
    }

    fn identity(&self) -> u64 {
        1
    }
}

struct Sender {
    number: i32,
    /// The workers' process.
    pid: Option<i32>,
    sent: u32,
}

impl Injector for Sender {
    fn meet(&mut self, workers: &[Member]) -> Result<(), SetupError> {
        self.pid = workers.first().map(|worker| worker.pid);
        Ok(())
    }

    fn fire(&mut self) -> Result<u32, SetupError> {
        let pid = self.pid.ok_or(SetupError { call: Call::Kill, errno: Errno::ESRCH })?;
        // 0 would mean "cannot tell".
        self.sent = self.sent.checked_add(1).unwrap_or(1);
        signal::send(pid, self.number, self.sent).during(Call::Kill)?;
        Ok(self.sent)
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// One if any: /proc shows which signals are pending, not how often.
    fn left(&mut self) -> io::Result<u64> {
        let Some(pid) = self.pid else { return Ok(0) };
        match std::fs::read_to_string(format!("/proc/{pid}/status")) {
            Ok(status) => Ok(u64::from(pending(&status, self.number))),
            // Nothing is left to a process that is gone.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(e),
        }
    }

    fn retire(&mut self, _left: bool) {}
}

/// Whether `signal` is pending for the process of that status file.
fn pending(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_n_less_one_is_signal_n() {
        let status = "SigPnd:\t0000000000000000\nShdPnd:\t0000001000000200\nSigBlk:\t0000001000000000\n";
        assert!(pending(status, 37) && pending(status, 10));
        assert!(!pending(status, 36) && !pending("", 37));
    }
}

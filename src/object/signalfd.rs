//! A signalfd that the threads of one process share; one event is one SIGUSR1 to
//! that process.
//!
//! Readers sleep in `signalfd_dequeue` on the `signalfd_wqh` of their process
//! (`add_wait_queue`, not exclusive), so `signalfd_notify` wakes all of them for
//! any signal that is queued (fs/signalfd.c, include/linux/signalfd.h). The signal
//! must be blocked in every thread, or it would be delivered and kill.

use std::io;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use super::Object;
use super::two_ends::{Ends, Reader, Reading, open_each, refuse_address, refuse_more_than};
use crate::cell::contract::{Call, During, Injector, Member, Opened, SetupError};
use crate::experiment::Settings;
use crate::experiment::settings::Instance;

/// signalfd(2).
pub struct Signals;

/// One struct signalfd_siginfo.
const READING: Reading = Reading { size: 128, tagged: false, by_uring: false };
const SIGNAL: Signal = Signal::SIGUSR1;

impl Object for Signals {
    fn name(&self) -> &'static str {
        "signalfd"
    }

    fn about(&self) -> &'static str {
        "signalfd of one process; an event is a SIGUSR1 to it"
    }

    fn needs(&self, _: &Settings) -> Option<&'static str> {
        Some("signalfd")
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let shared = |i| settings.for_worker(i).instance != Instance::Private;
        if settings.placement().processes > 1 {
            return Some(
                "a signalfd gives each process the signals of that process, so workers share one only as threads; \
                 use placement = \"threads\""
                    .into(),
            );
        }
        if settings.objects > 1 {
            return Some("any signalfd of a process reads the same signals; use objects = 1".into());
        }
        if (0..settings.workers).any(shared) {
            return Some(
                "epoll watches the signals of the process that adds a signalfd (signalfd(2)), and a shared instance \
                 is made before the workers' process exists; use instance = \"private\""
                    .into(),
            );
        }
        let one = || refuse_more_than(1, settings, "SIGUSR1 is pending once, however often it is sent");
        refuse_address(settings, self.name()).or_else(one)
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        let mut mask = SigSet::empty();
        mask.add(SIGNAL);
        // Here, since every thread of the workers' process descends from this one.
        mask.thread_block().during(Call::Sigmask)?;
        let mut flags = SfdFlags::SFD_CLOEXEC;
        flags.set(SfdFlags::SFD_NONBLOCK, !block);
        open_each(settings, |number| {
            let fd = Arc::new(SignalFd::with_flags(&mask, flags).during(Call::Signalfd)?);
            Ok(Ends {
                hold: Box::new(move || Box::new(Reader::new(fd.clone(), READING, number))),
                injector: Box::new(Sender { process: None }),
            })
        })
    }
}

/// Sends the signal.
struct Sender {
    process: Option<Pid>,
}

impl Injector for Sender {
    fn meet(&mut self, workers: &[Member]) -> Result<(), SetupError> {
        self.process = workers.first().map(|worker| Pid::from_raw(worker.pid));
        Ok(())
    }

    fn fire(&mut self) -> Result<u32, SetupError> {
        let process = self.process.ok_or(Errno::ESRCH).during(Call::Kill)?;
        kill(process, SIGNAL).during(Call::Kill)?;
        Ok(0)
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    fn left(&mut self) -> io::Result<u64> {
        let Some(process) = self.process else {
            return Ok(0);
        };
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        Ok(u64::from(pending(&status, SIGNAL)))
    }

    fn retire(&mut self, _left: bool) {}
}

/// Whether `signal` is pending for the process as a whole.
fn pending(status: &str, signal: Signal) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal as i32 - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_signal_is_read_from_the_status_file() {
        let status = "Name:\therd\nSigPnd:\t0000000000000200\nShdPnd:\t0000000000000200\nSigBlk:\t0000000000000000\n";
        assert!(pending(status, Signal::SIGUSR1));
        assert!(!pending(status, Signal::SIGUSR2));
        assert!(!pending("ShdPnd:\t0000000000000000\nSigPnd:\t0000000000000200\n", Signal::SIGUSR1));
        assert!(!pending("", Signal::SIGUSR1));
    }
}

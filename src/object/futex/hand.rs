//! A thread inside the workers' process that fires there on the injector's
//! behalf: nobody outside can wake a private futex.
//!
//! It is no worker: nobody counts its sleeps.

use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::AsFd;

use crate::cell::contract::{Call, During, SetupError};

/// An answer takes microseconds, on a loaded machine milliseconds; a process that
/// died never answers.
const PATIENCE: Duration = Duration::from_secs(2);
const STACK: usize = 64 * 1024;

/// Two eventfds: go, and the answer.
pub struct Hand {
    go: Arc<EventFd>,
    answer: Arc<EventFd>,
}

impl Hand {
    pub fn new() -> Result<Hand, SetupError> {
        let eventfd = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC).during(Call::Eventfd).map(Arc::new);
        Ok(Hand { go: eventfd()?, answer: eventfd()? })
    }

    /// Starts the thread, which then calls `ring` whenever it is told to.
    pub fn start(&self, ring: impl Fn() -> Result<u32, Errno> + Send + 'static) -> Result<(), SetupError> {
        let (go, answer) = (self.go.clone(), self.answer.clone());
        let serve = move || {
            while go.read().is_ok() {
                // Zero cannot be told by an eventfd: one more than was woken.
                let woken = ring().map_or(u64::from(u32::MAX) + 2, |woken| 1 + u64::from(woken));
                if answer.write(woken).is_err() {
                    return;
                }
            }
        };
        // A name of its own: sources that count by name must see workers only.
        let thread = std::thread::Builder::new().name("herd-hand".into()).stack_size(STACK);
        thread.spawn(serve).map(drop).during(Call::Thread)
    }

    /// Has the thread ring, and returns its answer.
    pub fn ring(&self) -> Result<u32, Errno> {
        self.go.write(1)?;
        let mut entry = [PollFd::new(self.answer.as_fd(), PollFlags::POLLIN)];
        let limit = PollTimeout::try_from(PATIENCE).expect("two seconds fit");
        if poll(&mut entry, limit)? == 0 {
            return Err(Errno::ETIMEDOUT);
        }
        u32::try_from(self.answer.read()? - 1).map_err(|_| Errno::EPROTO)
    }
}

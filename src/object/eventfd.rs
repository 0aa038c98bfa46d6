//! An eventfd; one event adds 1 to its counter.
//!
//! Readers sleep in `eventfd_read` without WQ_FLAG_EXCLUSIVE
//! (`wait_event_interruptible_locked_irq`, fs/eventfd.c), so `eventfd_signal`
//! and `eventfd_write` wake all of them; who finds 0 sleeps on inside the kernel.
//! The one who took the counter calls `wake_up_locked_poll(EPOLLOUT)` on the same
//! queue, which may wake a loser that has gone back to sleep already once more:
//! N wakes at least, 2N-1 at most.

use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::two_ends::{Ends, Reading, kept, open_each, refuse_address};
use super::{Object, mode};
use crate::cell::contract::{Call, During, Opened, SetupError};
use crate::experiment::Settings;

/// eventfd(2).
pub struct Event;

const COUNTER: &str = "counter";
const SEMAPHORE: &str = "semaphore";
/// A counter is eight bytes.
const READING: Reading = Reading { size: 8, tagged: false, by_uring: true };

impl Object for Event {
    fn name(&self) -> &'static str {
        "eventfd"
    }

    fn about(&self) -> &'static str {
        "eventfd; an event adds 1 to the counter"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[(COUNTER, "a read takes all of the counter"), (SEMAPHORE, "EFD_SEMAPHORE: a read takes 1")]
    }

    fn needs(&self, _: &Settings) -> Option<&'static str> {
        Some("eventfd")
    }

    fn takes_requests(&self, _: &Settings) -> bool {
        true
    }

    fn queues(&self) -> bool {
        true
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        if mode(self, settings) == COUNTER && kept(settings) > 1 && settings.worker.wait != "null" {
            return Some(
                "one read takes several events out of a counter, so they could not be told apart; \
                 use mode = \"semaphore\", or one event at a time"
                    .into(),
            );
        }
        refuse_address(settings, self.name())
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        let mut flags = EfdFlags::EFD_CLOEXEC;
        flags.set(EfdFlags::EFD_NONBLOCK, !block);
        flags.set(EfdFlags::EFD_SEMAPHORE, mode(self, settings) == SEMAPHORE);
        open_each(settings, |number| {
            let event = Arc::new(EventFd::from_flags(flags).during(Call::Eventfd)?);
            let fire = {
                let event = event.clone();
                move || event.write(1).map(|_| 0).during(Call::Write)
            };
            Ok(Ends::new(event, READING, number, fire))
        })
    }
}

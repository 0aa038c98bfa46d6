//! A timerfd; one event is one expiry.
//!
//! Readers sleep in `timerfd_read_iter` on `ctx->wqh` without WQ_FLAG_EXCLUSIVE
//! (fs/timerfd.c, as eventfd), so `timerfd_triggered`, in the timer's interrupt,
//! wakes all of them.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::PollFlags;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::Object;
use super::two_ends::{Ends, Reader, Reading, open_each, ready, refuse_address, refuse_more_than};
use crate::cell::contract::{Call, During, Injector, Opened, SetupError};
use crate::experiment::Settings;

/// timerfd_create(2).
pub struct Timer;

/// The number of expiries is eight bytes.
const READING: Reading = Reading { size: 8, tagged: false, by_uring: true };
/// Zero would disarm it.
const SOON: Duration = Duration::from_micros(1);

impl Object for Timer {
    fn name(&self) -> &'static str {
        "timerfd"
    }

    fn about(&self) -> &'static str {
        "timerfd; an event is a timer that expires after 1 us"
    }

    fn needs(&self, _: &Settings) -> Option<&'static str> {
        Some("timerfd")
    }

    fn fires_by_timer(&self) -> bool {
        true
    }

    fn takes_requests(&self, _: &Settings) -> bool {
        true
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let one = || refuse_more_than(1, settings, "a timer that is set again forgets that it had expired");
        refuse_address(settings, self.name()).or_else(one)
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        let mut flags = TimerFlags::TFD_CLOEXEC;
        flags.set(TimerFlags::TFD_NONBLOCK, !block);
        open_each(settings, |number| {
            let timer = Arc::new(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).during(Call::Timerfd)?);
            let injector = Box::new(Setter(timer.clone()));
            Ok(Ends { hold: Box::new(move || Box::new(Reader::new(timer.clone(), READING, number))), injector })
        })
    }
}

/// Sets the timer.
struct Setter(Arc<TimerFd>);

impl Injector for Setter {
    fn fire(&mut self) -> Result<u32, SetupError> {
        self.0.set(Expiration::OneShot(SOON.into()), TimerSetTimeFlags::empty()).during(Call::TimerfdSet)?;
        Ok(0)
    }

    fn under_way(&mut self, missing: u64) -> io::Result<bool> {
        Ok(self.left()? < missing)
    }

    fn left(&mut self) -> io::Result<u64> {
        Ok(u64::from(ready(self.0.as_fd(), PollFlags::POLLIN)?))
    }

    fn retire(&mut self, _left: bool) {}
}

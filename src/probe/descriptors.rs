//! Probes of the calls that make a descriptor of something.

use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::Pid;

use super::Trying;
use crate::sys::child;

pub fn eventfd() -> Result<(), String> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_SEMAPHORE;
    let event = EventFd::from_flags(flags).trying("eventfd")?;
    event.write(2).trying("write")?;
    match event.read().trying("read")? {
        1 => Ok(()),
        n => Err(format!("a read took {n} units of an EFD_SEMAPHORE, not 1")),
    }
}

pub fn timerfd() -> Result<(), String> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC).trying("timerfd_create")?;
    let later = Expiration::OneShot(Duration::from_secs(3600).into());
    timer.set(later, TimerSetTimeFlags::empty()).trying("timerfd_settime")
}

pub fn signalfd() -> Result<(), String> {
    // Blocks nothing and would read nothing: the call is what is asked for.
    SignalFd::with_flags(&SigSet::empty(), SfdFlags::SFD_CLOEXEC).map(drop).trying("signalfd")
}

pub fn inotify() -> Result<(), String> {
    let watcher = Inotify::init(InitFlags::IN_CLOEXEC).trying("inotify_init1")?;
    watcher.add_watch("/", AddWatchFlags::IN_DELETE_SELF).map(drop).trying("inotify_add_watch")
}

pub fn memfd() -> Result<(), String> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    memfd_create("herd-probe", flags).map(drop).trying("memfd_create")
}

pub fn pidfd_open() -> Result<(), String> {
    child::pidfd(Pid::this()).map(drop).trying("pidfd_open")
}

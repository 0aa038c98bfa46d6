//! Probes of epoll(7).

use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Trying;
use crate::sys::by_number::epoll_pwait2;

fn instance() -> Result<Epoll, String> {
    Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).trying("epoll_create1")
}

pub fn exclusive() -> Result<(), String> {
    let epoll = instance()?;
    let target = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).trying("eventfd")?;
    let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE, 0);
    epoll.add(&target, event).trying("epoll_ctl(ADD, EPOLLEXCLUSIVE)")?;
    // Kernels before 4.5 ignored the unknown bit; the new ones refuse to MOD such an entry.
    let mut event = EpollEvent::new(EpollFlags::EPOLLIN, 0);
    match epoll.modify(&target, &mut event) {
        Err(Errno::EINVAL) => Ok(()),
        _ => Err("epoll_ctl takes the flag but ignores it".into()),
    }
}

pub fn pwait2() -> Result<(), String> {
    let epoll = instance()?;
    let now = Some(Duration::ZERO);
    epoll_pwait2(epoll.0.as_raw_fd(), &mut [EpollEvent::empty()], now).map(drop).trying("epoll_pwait2")
}

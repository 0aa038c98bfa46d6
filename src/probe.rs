//! What this kernel can do, found by using it, never by comparing versions:
//! stable kernels carry later changes. A version only explains.

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use socket2::{Domain, Socket, Type};
use std::net::{Ipv6Addr, SocketAddr};

/// One thing a kernel may or may not do.
pub struct Probe {
    pub name: &'static str,
    pub about: &'static str,
    run: fn() -> Result<(), String>,
}

impl Probe {
    /// `Err` says why it is not to be had, with the errno.
    pub fn run(&self) -> Result<(), String> {
        (self.run)()
    }
}

/// Every probe.
pub const PROBES: &[Probe] = &[
    Probe { name: "epoll_exclusive", about: "EPOLLEXCLUSIVE (Linux 4.5, df0108c5da56)", run: epoll_exclusive },
    Probe { name: "ipv6", about: "IPv6 on loopback", run: ipv6 },
    Probe { name: "reuseport", about: "SO_REUSEPORT on TCP (Linux 3.9)", run: reuseport },
];

/// The names of all probes.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROBES.iter().map(|probe| probe.name)
}

/// The probe of that name.
pub fn find(name: &str) -> Option<&'static Probe> {
    PROBES.iter().find(|probe| probe.name == name)
}

fn why(call: &str, errno: Errno) -> String {
    format!("{call}: {errno:?}")
}

fn epoll_exclusive() -> Result<(), String> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|e| why("epoll_create1", e))?;
    let target = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(|e| why("eventfd", e))?;
    let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE, 0);
    epoll.add(&target, event).map_err(|e| why("epoll_ctl(ADD, EPOLLEXCLUSIVE)", e))?;
    // Kernels before 4.5 ignored the unknown bit; the new ones refuse to MOD such an entry.
    let mut event = EpollEvent::new(EpollFlags::EPOLLIN, 0);
    match epoll.modify(&target, &mut event) {
        Err(Errno::EINVAL) => Ok(()),
        _ => Err("epoll_ctl takes the flag but ignores it".into()),
    }
}

fn ipv6() -> Result<(), String> {
    let bind = || -> std::io::Result<()> {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into())
    };
    bind().map_err(|e| format!("bind [::1]: {e} (is net.ipv6.conf.lo.disable_ipv6 set, or loopback down?)"))
}

fn reuseport() -> Result<(), String> {
    let set = || -> std::io::Result<()> { Socket::new(Domain::IPV4, Type::STREAM, None)?.set_reuse_port(true) };
    set().map_err(|e| format!("setsockopt(SO_REUSEPORT): {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = names().collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }
}

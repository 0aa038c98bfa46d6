//! Makes sockets that have an address: listeners and members of groups.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use socket2::{Domain, SockAddr, Socket, Type};

use super::table::errno;
use crate::experiment::script::Kind;

/// A TCP listener or a UDP socket on loopback: at this address, or on a port that
/// the kernel chooses.
pub fn member(kind: Kind, at: Option<&SockAddr>, backlog: i32) -> Result<OwnedFd, Errno> {
    let udp = kind == Kind::Udp;
    let make = || {
        let socket = Socket::new(Domain::IPV4, if udp { Type::DGRAM } else { Type::STREAM }, None)?;
        socket.set_reuse_port(true)?;
        match at {
            Some(address) => socket.bind(address)?,
            None => socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?,
        }
        match udp {
            true => socket.set_nonblocking(true)?,
            false => socket.listen(backlog)?,
        }
        Ok(socket.into())
    };
    make().map_err(errno)
}

/// Under an abstract name of the kernel's choice: nothing to unlink.
pub fn unix_listener(backlog: i32) -> Result<OwnedFd, Errno> {
    let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(listener.as_raw_fd(), &UnixAddr::new_unnamed())?;
    listen(&listener, Backlog::new(backlog)?)?;
    Ok(listener)
}

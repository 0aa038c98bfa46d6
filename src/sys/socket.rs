//! accept4 with the peer's port, in one system call and without allocation; and
//! giving up a port that others hold a descriptor of.
//!
//! The port tells which event a connection belongs to, so that latencies stay
//! right when several are in flight.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// The port of the other end of `connection`, 0 where there is none.
pub fn peer_port(connection: BorrowedFd<'_>) -> u32 {
    let address = socket2::SockRef::from(&connection).peer_addr().ok();
    u32::from(address.and_then(|a| a.as_socket()).map_or(0, |a| a.port()))
}

/// Sends what the socket has room for now: no sleep, and no SIGPIPE where the other
/// end has gone (send(2)). Returns the number of bytes.
pub fn send_now(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    use nix::sys::socket::{MsgFlags, send};
    send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT)
}

/// Wakes accept only when a connection has data, for at most about so many seconds
/// (TCP_DEFER_ACCEPT, tcp(7)).
pub fn defer_accept(listener: BorrowedFd<'_>, seconds: u32) -> Result<(), Errno> {
    let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
    let len = size_of::<i32>() as libc::socklen_t;
    let (fd, level, name) = (listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT);
    // SAFETY: the kernel reads one live int, and len is its size.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const seconds).cast(), len) };
    Errno::result(result).map(drop)
}

/// Takes the address from a datagram socket whose port the kernel chose, whoever
/// else has a descriptor of it (connect(2): AF_UNSPEC dissolves the association;
/// net/ipv4/udp.c, `__udp_disconnect` unhashes what was not bound to a port by name).
pub fn unbind(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: all zeroes is a valid sockaddr of family AF_UNSPEC.
    let nowhere: libc::sockaddr = unsafe { std::mem::zeroed() };
    let len = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the address is live, and len is its size.
    let result = unsafe { libc::connect(socket.as_raw_fd(), &raw const nowhere, len) };
    Errno::result(result).map(drop)
}

/// Takes one connection off `listener`.
///
/// Returns the descriptor (close-on-exec) and the peer's port, 0 for addresses
/// that have none. Blocks when the listener does. Errors are accept(2)'s.
pub fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, u32), Errno> {
    // SAFETY: all zeroes is a valid sockaddr_storage of family AF_UNSPEC.
    let mut peer: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: peer and len are live and len is the size of peer.
    let fd = unsafe { libc::accept4(listener.as_raw_fd(), (&raw mut peer).cast(), &mut len, libc::SOCK_CLOEXEC) };
    if fd < 0 {
        return Err(Errno::last());
    }
    // SAFETY: the kernel just made this descriptor for us alone.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let port = match i32::from(peer.ss_family) {
        // The port stands at the same place in both families.
        libc::AF_INET | libc::AF_INET6 => {
            // SAFETY: the kernel filled a sockaddr_in or _in6, both of which are
            // smaller than the storage and begin with family and port.
            let port = unsafe { (*(&raw const peer).cast::<libc::sockaddr_in>()).sin_port };
            u32::from(u16::from_be(port))
        }
        _ => 0,
    };
    Ok((fd, port))
}

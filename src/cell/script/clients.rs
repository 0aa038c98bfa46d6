//! Connections of a script: who connected, and what became of it, seen from the
//! clients' own ends. A client knows that it was accepted because whoever accepts
//! it writes one byte.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use socket2::{Domain, SockAddr, SockFilter, SockRef, Socket, Type};

use super::table::errno;
use crate::experiment::script::Fate;

struct Client {
    end: OwnedFd,
    fate: Fate,
}

/// Every client so far but those that left.
#[derive(Default)]
pub struct Clients(Vec<Client>);

impl Clients {
    /// One more, which stays. Does not wait for the handshake; an errno is a client
    /// that was refused at once and does not count, but for ECONNREFUSED.
    pub fn connect(&mut self, to: &SockAddr) -> Result<(), Errno> {
        let socket = client(to)?;
        let fate = match socket.connect(to).map_err(errno) {
            Ok(()) => Fate::Waiting,
            Err(Errno::EINPROGRESS) => Fate::Connecting,
            Err(Errno::ECONNREFUSED) => Fate::Refused,
            Err(errno) => return Err(errno),
        };
        self.0.push(Client { end: socket.into(), fate });
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many of those from number `first` on have one of these fates, as far as
    /// packets have arrived by now.
    pub fn count(&mut self, first: usize, fates: &[Fate]) -> Result<u64, Errno> {
        for client in &mut self.0 {
            client.look()?;
        }
        Ok(self.0[first..].iter().filter(|client| fates.contains(&client.fate)).count() as u64)
    }

    /// The one that came last ends.
    pub fn leave(&mut self, reset: bool) -> Result<(), Errno> {
        let client = self.0.pop().ok_or(Errno::ENOTCONN)?;
        if reset {
            SockRef::from(&client.end).set_linger(Some(std::time::Duration::ZERO)).map_err(errno)?;
        }
        Ok(())
    }
}

impl Client {
    /// What was so once stays so: a server that has accepted may close.
    fn look(&mut self) -> Result<(), Errno> {
        if !matches!(self.fate, Fate::Connecting | Fate::Waiting) {
            return Ok(());
        }
        let mut entry = [PollFd::new(self.end.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
        poll(&mut entry, PollTimeout::ZERO)?;
        let seen = entry[0].revents().unwrap_or(PollFlags::empty());
        if seen.is_empty() {
            return Ok(());
        }
        // Before the error: a byte that came first is read first.
        self.fate = match recv(self.end.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT) {
            Ok(1..) => Fate::Accepted,
            Ok(0) => Fate::Reset,
            Err(Errno::EAGAIN) if seen.intersects(PollFlags::POLLERR | PollFlags::POLLHUP) => Fate::Reset,
            Err(Errno::EAGAIN) => Fate::Waiting,
            Err(Errno::ECONNREFUSED) => Fate::Refused,
            Err(Errno::ECONNRESET | Errno::EPIPE) => Fate::Reset,
            Err(errno) => return Err(errno),
        };
        Ok(())
    }
}

fn client(to: &SockAddr) -> Result<Socket, Errno> {
    let socket = Socket::new(to.domain(), Type::STREAM, None).map_err(errno)?;
    // A full queue drops the handshake in TCP and would have us sleep in unix.
    socket.set_nonblocking(true).map_err(errno)?;
    Ok(socket)
}

/// A client of its own. Deaf, it gets no packet: a filter on its socket drops them all
/// (net/ipv4/tcp_ipv4.c, `tcp_v4_rcv` asks `tcp_filter` before anything else), so that
/// the server's SYN-ACK is lost as on a bad line.
pub fn begin(to: &SockAddr, deaf: bool) -> Result<OwnedFd, Errno> {
    let socket = client(to)?;
    if deaf {
        let drop_all = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
        socket.attach_filter(&[drop_all]).map_err(errno)?;
    }
    match socket.connect(to).map_err(errno) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(socket.into()),
        Err(errno) => Err(errno),
    }
}

/// Its packets reach it again.
pub fn hear(end: &OwnedFd) -> Result<(), Errno> {
    SockRef::from(end).detach_filter().map_err(errno)
}

/// Whether its handshake is done; an errno where it came to nothing.
pub fn is_connected(end: &OwnedFd) -> Result<bool, Errno> {
    let mut entry = [PollFd::new(end.as_fd(), PollFlags::POLLOUT)];
    poll(&mut entry, PollTimeout::ZERO)?;
    let failed = SockRef::from(end).take_error().map_err(errno)?.map(errno);
    let seen = entry[0].revents().unwrap_or(PollFlags::empty());
    failed.map_or(Ok(seen.contains(PollFlags::POLLOUT)), Err)
}

/// So many sockets that send to `to`, each with the number of its flow.
pub fn senders(to: &SockAddr, flows: u64) -> Result<Vec<Socket>, Errno> {
    let sender = |_| {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
        socket.connect(to)?;
        Ok(socket)
    };
    (0..flows).map(sender).collect::<std::io::Result<_>>().map_err(errno)
}

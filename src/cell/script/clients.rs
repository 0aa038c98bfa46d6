//! Connections of a script: who connected, and whether it was accepted or reset.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockRef, Socket, Type};

use super::table::{BACKLOG, Outcome, Table};
use crate::experiment::script::Name;
use crate::sys::by_number;

/// The end of every client is known at once, but for a handshake that ksoftirqd
/// finishes; so this limits a wait that should not be.
const PATIENCE: Duration = Duration::from_secs(1);

/// What became of the clients so far.
#[derive(Clone, Copy)]
pub struct Seen {
    pub accepted: u64,
    pub reset: u64,
}

/// So many TCP listeners on one port of loopback, which the kernel chooses.
pub fn group(count: usize) -> Result<Vec<OwnedFd>, Errno> {
    let mut port = 0;
    let mut member = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        socket.listen(BACKLOG)?;
        port = socket.local_addr()?.as_socket().map_or(0, |address| address.port());
        Ok(socket.into())
    };
    (0..count).map(|_| member().map_err(errno)).collect()
}

impl Table {
    /// A connection, which stays.
    pub fn connect(&mut self, name: Name) -> Result<(), Errno> {
        let address = SockRef::from(self.owned(name)?).local_addr().map_err(errno)?;
        let client = Socket::new(address.domain(), Type::STREAM, None).map_err(errno)?;
        // A full queue drops the handshake in TCP and would have us sleep in unix.
        client.connect_timeout(&address, PATIENCE).map_err(errno)?;
        self.clients.push(client.into());
        Ok(())
    }

    pub fn reuseport(&self, name: Name) -> Outcome {
        SockRef::from(self.owned(name)?).set_reuse_port(true).map(|()| 0).map_err(errno)
    }

    /// Accepts from every listener until each client is accepted or reset.
    pub fn settled(&mut self) -> Result<Seen, Errno> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut more = Vec::new();
            for listener in self.listeners() {
                while by_number::poll(listener.as_raw_fd(), 0)? > 0 {
                    more.push(crate::sys::socket::accept(listener.as_fd())?.0);
                }
            }
            self.accepted.append(&mut more);
            let living = self.living()?;
            let seen = Seen { accepted: self.accepted.len() as u64, reset: (self.clients.len() - living.len()) as u64 };
            let left = deadline.saturating_duration_since(Instant::now());
            if seen.accepted + seen.reset >= self.clients.len() as u64 || left.is_zero() {
                return Ok(seen);
            }
            // Errors and hangups are reported unasked.
            let listeners = self.listeners().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
            let clients = living.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::empty()));
            poll(
                &mut listeners.chain(clients).collect::<Vec<_>>(),
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
            )?;
        }
    }

    /// The clients that see neither error nor hangup.
    fn living(&self) -> Result<Vec<&OwnedFd>, Errno> {
        let mut entries: Vec<PollFd<'_>> =
            self.clients.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::empty())).collect();
        poll(&mut entries, PollTimeout::ZERO)?;
        let whole = |entry: &PollFd<'_>| entry.revents().is_none_or(|seen| seen.is_empty());
        Ok(self.clients.iter().zip(&entries).filter(|(_, entry)| whole(entry)).map(|(fd, _)| fd).collect())
    }
}

/// Of a call that the standard library or socket2 made.
pub(super) fn errno(error: std::io::Error) -> Errno {
    match error.raw_os_error() {
        Some(raw) => Errno::from_raw(raw),
        // Its own patience, which is no errno.
        None => Errno::ETIMEDOUT,
    }
}

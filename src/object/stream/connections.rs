//! Connections that stay: an event is a message on one of them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::clients::Clients;
use super::listener::answer;
use crate::cell::contract::{Asleep, Call, Claim, During, Injector, SetupError, Source};
use crate::experiment::settings::Traffic;
use crate::sys::socket::send_now;

/// A message is its number.
const MESSAGE: usize = size_of::<u32>();

/// The clients' ends.
pub struct Connections {
    clients: Clients,
    ends: Vec<OwnedFd>,
    /// How many of the first ones get `hot_share` of the messages.
    hot: u64,
    hot_share: f64,
    sent: u32,
    /// Of the messages to hot connections and to the others.
    turns: [u64; 2],
}

impl Connections {
    pub fn new(clients: Clients, traffic: &Traffic) -> Connections {
        let (hot, hot_share) = (traffic.hot, traffic.hot_share);
        Connections { clients, ends: Vec::new(), hot, hot_share, sent: 0, turns: [0; 2] }
    }

    /// Each in its turn; hot ones have turns of their own, spread evenly.
    fn next(&mut self) -> usize {
        let (all, hot) = (self.ends.len() as u64, self.hot.min(self.ends.len() as u64));
        let due = |turns: u64| (turns as f64) < f64::from(self.sent) * self.hot_share;
        if hot > 0 && (hot == all || due(self.turns[0])) {
            self.turns[0] += 1;
            return ((self.turns[0] - 1) % hot) as usize;
        }
        self.turns[1] += 1;
        (hot + (self.turns[1] - 1) % (all - hot).max(1)) as usize
    }
}

impl Injector for Connections {
    fn attach(&mut self) -> Result<u32, SetupError> {
        let (socket, tag) = self.clients.connect().during(Call::Connect)?;
        socket.set_tcp_nodelay(true).during(Call::Setsockopt)?;
        self.ends.push(OwnedFd::from(socket));
        Ok(tag)
    }

    fn ends(&self) -> &[OwnedFd] {
        &self.ends
    }

    fn fire(&mut self) -> Result<u32, SetupError> {
        self.sent = self.sent.wrapping_add(1).max(1);
        let end = self.next();
        send_now(self.ends[end].as_fd(), &self.sent.to_ne_bytes()).during(Call::Send)?;
        Ok(self.sent)
    }

    fn under_way(&mut self, missing: u64) -> io::Result<bool> {
        Ok(self.left()? < missing)
    }

    fn left(&mut self) -> io::Result<u64> {
        // Connections that wait to be accepted, or messages in those that were.
        Ok(self.clients.left()? + self.clients.unread()? / MESSAGE as u64)
    }

    fn retire(&mut self, _left: bool) {}
}

/// A worker's end of one.
pub struct Connection(OwnedFd);

impl Connection {
    pub fn new(fd: OwnedFd) -> Connection {
        Connection(fd)
    }
}

impl Source for Connection {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        let mut message = [0; MESSAGE];
        match recv(self.0.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT)? {
            MESSAGE => Ok(Claim { tag: u32::from_ne_bytes(message) }),
            // A message is sent whole; less is the end of the connection.
            _ => Err(Errno::ECONNRESET),
        }
    }

    fn asleep(&self) -> Asleep {
        // Never slept in: refused for waits that block.
        Asleep::default()
    }

    fn identity(&self) -> u64 {
        nix::sys::stat::fstat(self.0.as_fd()).map_or(0, |stat| stat.st_ino)
    }

    fn reply(&mut self, claim: Claim) -> Result<(), Errno> {
        answer(self.0.as_fd(), claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hot_connections_get_their_share() {
        let ends = || std::fs::File::open("/dev/null").map(OwnedFd::from).unwrap();
        let mut some = Connections {
            clients: Clients::new(false, Vec::new(), None, 0),
            ends: (0..10).map(|_| ends()).collect(),
            hot: 2,
            hot_share: 0.9,
            sent: 0,
            turns: [0; 2],
        };
        let mut messages = [0; 10];
        for _ in 0..1000 {
            some.sent += 1;
            messages[some.next()] += 1;
        }
        assert_eq!(messages[..2], [450, 450]);
        assert!(messages[2..].iter().all(|count| [12, 13].contains(count)), "{messages:?}");
        some.hot = 0;
        assert_eq!((0..10).map(|_| some.next()).collect::<std::collections::BTreeSet<_>>().len(), 10);
    }
}

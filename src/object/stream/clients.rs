//! Clients of TCP listeners.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use socket2::{Domain, Protocol, Socket, Type};

use super::http::{REQUEST, REQUEST_LAST, REQUEST_ON};
use crate::cell::contract::{Asks, Begun, Call, During, Injector, SetupError};
use crate::experiment::settings;
use crate::sys::shared::SharedRows;
use crate::sys::socket::send_now;

/// A handshake on loopback takes microseconds; a full backlog would take
/// seconds of SYN retries.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The client side: connects to each address in turn.
pub struct Clients {
    v6: bool,
    addresses: Vec<SocketAddr>,
    next: usize,
    open: Vec<Socket>,
    /// Connections that stay and say nothing; and the word that is not 0 while they
    /// are opened.
    idle: Vec<Socket>,
    opening: Option<Arc<SharedRows<1>>>,
    /// The addresses of flows, where there are so many; each is known after its
    /// first connection.
    flows: Vec<Option<SocketAddr>>,
    _reserved: Option<Socket>,
    /// What each says first.
    request: Option<&'static [u8]>,
    /// Requests that follow the first.
    more: u64,
}

impl Clients {
    /// `reserved` holds the port as long as the clients live; `flows` is how many
    /// addresses they have, 0 another one each time.
    pub fn new(v6: bool, addresses: Vec<SocketAddr>, reserved: Option<Socket>, flows: u64) -> Clients {
        let flows = vec![None; flows as usize];
        let (open, idle) = (Vec::new(), Vec::new());
        Clients {
            v6,
            addresses,
            next: 0,
            open,
            idle,
            opening: None,
            flows,
            _reserved: reserved,
            request: None,
            more: 0,
        }
    }

    /// Connections that [`Injector::attach`] makes say nothing and stay; listeners tell
    /// them by the word.
    pub fn with_idle(self, opening: Option<Arc<SharedRows<1>>>) -> Clients {
        Clients { opening, ..self }
    }

    /// Clients that speak that.
    pub fn asking(self, traffic: &settings::Traffic) -> Clients {
        let more = traffic.keep_alive.max(1) - 1;
        let first = if more > 0 { REQUEST_ON } else { REQUEST };
        Clients { request: (traffic.protocol == settings::Protocol::Http).then_some(first), more, ..self }
    }

    fn opens_idle(&self, idle: bool) {
        if let Some(word) = &self.opening {
            word.row(0)[0].store(idle.into(), Ordering::Release);
        }
    }

    fn socket(&mut self, kind: Type) -> io::Result<(Socket, SocketAddr)> {
        let address = self.addresses[self.next % self.addresses.len()];
        self.next += 1;
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        // Zero linger: close sends a reset and leaves no TIME_WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        if !self.flows.is_empty() {
            let flow = (self.next - 1) % self.flows.len();
            // A port of the kernel's choice the first time, the same again later.
            let from = self.flows[flow].unwrap_or_else(|| SocketAddr::new(address.ip(), 0));
            socket.bind(&from.into())?;
            self.flows[flow] = socket.local_addr()?.as_socket();
        }
        Ok((socket, address))
    }

    /// A connection, with its tag.
    pub fn connect(&mut self) -> io::Result<(Socket, u32)> {
        let (socket, address) = self.socket(Type::STREAM)?;
        socket.set_write_timeout(Some(CONNECT_LIMIT))?;
        socket.connect(&address.into())?;
        let tag = port(&socket)?;
        Ok((socket, tag))
    }

    /// Bytes that wait in the workers' ends of connections.
    pub fn unread(&self) -> io::Result<u64> {
        let text = table(self.v6)?;
        Ok(self.addresses.iter().map(|a| received(&text, ESTABLISHED, a.port())).sum())
    }
}

/// Sockets of this network, one a line (proc_net_tcp(5)).
fn table(v6: bool) -> io::Result<String> {
    std::fs::read_to_string(if v6 { "/proc/net/tcp6" } else { "/proc/net/tcp" })
}

/// Whether a socket listens at this port: it may be one that only the kernel has by now.
pub fn is_held(v6: bool, port: u16) -> io::Result<bool> {
    Ok(queues(&table(v6)?, LISTEN, port).next().is_some())
}

fn port(socket: &Socket) -> io::Result<u32> {
    Ok(u32::from(socket.local_addr()?.as_socket().map_or(0, |address| address.port())))
}

impl Injector for Clients {
    fn attach(&mut self) -> Result<u32, SetupError> {
        self.opens_idle(true);
        let (socket, tag) = self.connect().during(Call::Connect)?;
        self.idle.push(socket);
        Ok(tag)
    }

    fn fire(&mut self) -> Result<u32, SetupError> {
        self.opens_idle(false);
        let (socket, tag) = self.connect().during(Call::Connect)?;
        if let Some(request) = self.request {
            // A fresh socket buffer has room for it.
            send(socket.as_raw_fd(), request, MsgFlags::MSG_NOSIGNAL).during(Call::Send)?;
        }
        self.open.push(socket);
        Ok(tag)
    }

    fn begin(&mut self) -> Result<Option<Begun>, SetupError> {
        // All idle ones were claimed before the first event.
        self.opens_idle(false);
        let (socket, address) = self.socket(Type::STREAM.nonblocking()).during(Call::Socket)?;
        match socket.connect(&address.into()) {
            Err(e) if e.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(e).during(Call::Connect)?,
            _ => {}
        }
        let tag = port(&socket).during(Call::Socket)?;
        // On loopback the handshake has ended by now, if the queue had room. A refusal is
        // told once, to the first call that asks.
        let unsent = match self.request.map(|request| send_now(socket.as_fd(), request)) {
            Some(Err(Errno::EAGAIN)) => self.request,
            Some(sent) => sent.map(|_| None).during(Call::Send)?,
            None => None,
        };
        let asks = Asks { more: self.more, next: REQUEST_ON, last: REQUEST_LAST };
        Ok(Some(Begun { end: OwnedFd::from(socket), tag, unsent, asks }))
    }

    fn under_way(&mut self, missing: u64) -> io::Result<bool> {
        // connect() returns on the SYN-ACK; the listener hears of it on the ACK.
        Ok(self.left()? < missing)
    }

    fn left(&mut self) -> io::Result<u64> {
        let text = table(self.v6)?;
        Ok(self.addresses.iter().map(|a| received(&text, LISTEN, a.port())).sum())
    }

    fn retire(&mut self, left: bool) {
        if !left {
            self.open.clear();
        }
    }
}

/// States as the table has them (include/net/tcp_states.h).
const ESTABLISHED: &str = "01";
const LISTEN: &str = "0A";

/// The receive queues of all these sockets, added.
fn received(table: &str, state: &str, port: u16) -> u64 {
    queues(table, state, port).sum()
}

/// The receive queue of each socket in `state` on local `port`: for a
/// listener that column of /proc/net/tcp is `sk_ack_backlog`, the connections in its
/// queue, else bytes (net/ipv4/tcp_ipv4.c, get_tcp4_sock).
fn queues(table: &str, state: &str, port: u16) -> impl Iterator<Item = u64> {
    let of_line = move |line: &str| -> Option<u64> {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?;
        let state_here = fields.nth(1)?;
        let queues = fields.next()?;
        let (_, hex_port) = local.rsplit_once(':')?;
        let ours = state_here == state && u16::from_str_radix(hex_port, 16).ok()? == port;
        let (_, received) = queues.split_once(':')?;
        if ours { u64::from_str_radix(received, 16).ok() } else { None }
    };
    table.lines().skip(1).filter_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_queues_of_one_port_are_added() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 1 1\n\
            1: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 2 1\n\
            2: 0100007F:1F91 00000000:0000 0A 00000000:00000009 00:00000000 00000000     0        0 3 1\n\
            3: 0100007F:1F90 0100007F:9999 01 00000000:00000007 00:00000000 00000000     0        0 4 1\n";
        assert_eq!(received(table, LISTEN, 0x1F90), 5);
        assert_eq!(received(table, LISTEN, 0x1F91), 9);
        assert_eq!(received(table, LISTEN, 1), 0);
        // Connections alone hold no listener.
        let listens = |port| queues(table, LISTEN, port).next().is_some();
        assert!(listens(0x1F90) && !listens(0x9999));
        assert_eq!(received(table, ESTABLISHED, 0x1F90), 7);
    }
}

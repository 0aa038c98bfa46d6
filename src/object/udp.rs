//! A UDP socket on loopback, IPv4 or IPv6; one event is one datagram.
//!
//! Receivers sleep in `__skb_wait_for_more_packets` (net/core/datagram.c), which
//! queues them exclusively, and `sock_def_readable` wakes one, in softirq on the
//! injector's CPU. read(2) on a socket is recv(2) without flags. Must never lose a
//! datagram for want of room: the buffer is as large as what may lie in it.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

use super::Object;
use super::two_ends::{Reader, Reading, Tags, refuse_more_than};
use crate::cell::contract::{Call, Door, During, Injector, Member, Opened, SetupError, Source};
use crate::experiment::Settings;
use crate::experiment::settings::{OpenedBy, Sharing};
use crate::sys;

/// A UDP socket of one family.
pub struct Udp {
    v6: bool,
}

pub const V4: Udp = Udp { v6: false };
pub const V6: Udp = Udp { v6: true };

/// A datagram is its tag.
const READING: Reading = Reading { size: 4, tagged: true, by_uring: true };
/// A datagram is charged with its headers: 768 bytes on x86-64, more where
/// structures are larger.
const COST: usize = 1600;
const ROOM: u64 = 256;
/// A datagram to ourselves takes microseconds.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(2);

impl Udp {
    fn address(&self, port: u16) -> SocketAddr {
        if self.v6 { (Ipv6Addr::LOCALHOST, port).into() } else { (Ipv4Addr::LOCALHOST, port).into() }
    }
}

impl Object for Udp {
    fn name(&self) -> &'static str {
        if self.v6 { "udp6" } else { "udp" }
    }

    fn about(&self) -> &'static str {
        if self.v6 {
            "UDP socket on ::1; an event is a datagram"
        } else {
            "UDP socket on 127.0.0.1; an event is a datagram"
        }
    }

    fn needs(&self, _: &Settings) -> Option<&'static str> {
        self.v6.then_some("ipv6")
    }

    fn takes_requests(&self, _: &Settings) -> bool {
        true
    }

    fn sends_signals(&self, _: &Settings) -> bool {
        true
    }

    fn has_flows(&self) -> bool {
        true
    }

    fn queues(&self) -> bool {
        true
    }

    fn is_held(&self, settings: &Settings) -> io::Result<bool> {
        Ok(on_port(&table(self.v6)?, settings.port).next().is_some())
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let many = settings.objects > 1;
        if settings.sharing == Sharing::Own && (many || settings.group) {
            return Some("sharing = \"own\" is one socket per worker already; leave out objects and group".into());
        }
        if settings.port != 0 && many && !settings.group {
            return Some("several sockets cannot share one port; leave out port, or set group = true".into());
        }
        if settings.backlog != Settings::default().backlog {
            return Some(format!("{} takes no connections; leave out backlog", self.name()));
        }
        refuse_more_than(ROOM, settings, "a receive buffer of the default size holds 256 datagrams")
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        let own = settings.sharing == Sharing::Own;
        let plan = Plan { block, reuse: own || settings.group };
        let mut addresses = Vec::new();
        let mut sockets = Vec::new();
        let mut holder = None;
        if own && settings.opened_by == OpenedBy::Worker {
            // Is a member of the group and would get datagrams: leaves it before
            // the first event, when all workers are in.
            let holds = plan.bind(self.address(settings.port))?;
            addresses.push(bound_to(&holds)?);
            // A port that was asked for by number needs no holding.
            holder = (settings.port == 0).then_some(holds);
        } else {
            for _ in 0..if own { settings.workers } else { settings.objects } {
                let same_port = plan.reuse.then(|| addresses.first().map(SocketAddr::port)).flatten();
                let socket = plan.bind(self.address(same_port.unwrap_or(settings.port)))?;
                let address = bound_to(&socket)?;
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
                sockets.push(Arc::new(OwnedFd::from(socket)));
            }
        }
        let door = Arc::new(UdpDoor { plan, own, address: addresses[0], sockets });
        let flows =
            (0..settings.traffic.flows).map(|_| Socket::new(Domain::for_address(addresses[0]), Type::DGRAM, None));
        let flows = flows.collect::<io::Result<_>>().during(Call::Socket)?;
        let injector = Senders { v6: self.v6, addresses, next: 0, tags: Tags::of_object(0), holder, cost: None, flows };
        Ok(Opened { injector: Box::new(injector), door })
    }
}

/// How each socket is made.
#[derive(Clone, Copy)]
struct Plan {
    block: bool,
    reuse: bool,
}

impl Plan {
    fn bind(&self, address: SocketAddr) -> Result<Socket, SetupError> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None).during(Call::Socket)?;
        if self.reuse {
            socket.set_reuse_port(true).during(Call::Socket)?;
        }
        socket.set_nonblocking(!self.block).during(Call::Fcntl)?;
        let room = ROOM as usize * COST;
        // The kernel doubles it, and caps it at net.core.rmem_max.
        socket.set_recv_buffer_size(room / 2).during(Call::Setsockopt)?;
        if socket.recv_buffer_size().during(Call::Setsockopt)? < room / 2 {
            return Err(SetupError { call: Call::Setsockopt, errno: Errno::ENOBUFS });
        }
        socket.bind(&address.into()).during(Call::Bind)?;
        Ok(socket)
    }
}

fn bound_to(socket: &Socket) -> Result<SocketAddr, SetupError> {
    let address = socket.local_addr().during(Call::Socket)?;
    Ok(address.as_socket().expect("a UDP socket has an IP address"))
}

struct UdpDoor {
    plan: Plan,
    own: bool,
    address: SocketAddr,
    sockets: Vec<Arc<OwnedFd>>,
}

impl Door for UdpDoor {
    fn sources(&self, index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        let mine: Vec<Arc<OwnedFd>> = match (self.own, self.sockets.get(index as usize)) {
            (false, _) => self.sockets.clone(),
            (true, Some(handed)) => vec![handed.clone()],
            (true, None) => vec![Arc::new(OwnedFd::from(self.plan.bind(self.address)?))],
        };
        let inode = |fd: &OwnedFd| nix::sys::stat::fstat(fd).map_or(0, |stat| stat.st_ino);
        Ok(mine
            .into_iter()
            .map(|fd| {
                let inode = inode(&fd);
                Box::new(Reader::new(fd, READING, inode)) as Box<dyn Source>
            })
            .collect())
    }
}

/// Sends each datagram from a socket of its own, so that the hash of a group has
/// something to choose by; or from those that are flows, in turn.
struct Senders {
    v6: bool,
    addresses: Vec<SocketAddr>,
    next: usize,
    tags: Tags,
    /// Keeps the port until the workers have it.
    holder: Option<Socket>,
    /// What one datagram adds to the figure in /proc, once that is known.
    cost: Option<u64>,
    flows: Vec<Socket>,
}

impl Senders {
    fn send(&mut self) -> io::Result<u32> {
        let address = self.addresses[self.next % self.addresses.len()];
        self.next += 1;
        let tag = self.tags.next();
        let message = tag.to_ne_bytes();
        match self.flows.len() {
            0 => Socket::new(Domain::for_address(address), Type::DGRAM, None)?.send_to(&message, &address.into())?,
            flows => self.flows[(self.next - 1) % flows].send_to(&message, &address.into())?,
        };
        Ok(tag)
    }

    /// /proc shows memory, not datagrams: sends one to ourselves and looks.
    fn cost(&mut self) -> io::Result<u64> {
        if let Some(cost) = self.cost {
            return Ok(cost);
        }
        let domain = Domain::for_address(self.addresses[0]);
        let socket = Socket::new(domain, Type::DGRAM, None)?;
        socket.bind(&SocketAddr::new(self.addresses[0].ip(), 0).into())?;
        socket.set_read_timeout(Some(ARRIVAL_LIMIT))?;
        let address = socket.local_addr()?;
        Socket::new(domain, Type::DGRAM, None)?.send_to(&[0; READING.size as usize], &address)?;
        socket.peek(&mut [MaybeUninit::uninit(); READING.size as usize])?;
        let port = address.as_socket().map_or(0, |a| a.port());
        let cost = queued(&table(self.v6)?, port).bytes.max(1);
        self.cost = Some(cost);
        Ok(cost)
    }
}

impl Injector for Senders {
    fn meet(&mut self, _: &[Member]) -> Result<(), SetupError> {
        match self.holder.take() {
            // Closing is not enough: the workers have inherited it.
            Some(holder) => sys::socket::unbind(holder.as_fd()).during(Call::Connect),
            None => Ok(()),
        }
    }

    fn fire(&mut self) -> Result<u32, SetupError> {
        self.send().during(Call::Send)
    }

    fn under_way(&mut self, missing: u64) -> io::Result<bool> {
        // The softirq may be left to ksoftirqd.
        Ok(self.left()? < missing)
    }

    fn left(&mut self) -> io::Result<u64> {
        let cost = self.cost()?;
        let table = table(self.v6)?;
        let mut ports: Vec<u16> = self.addresses.iter().map(SocketAddr::port).collect();
        ports.dedup();
        let found = ports.iter().map(|port| queued(&table, *port));
        let sum = found.fold(Queued::default(), |a, b| Queued { bytes: a.bytes + b.bytes, drops: a.drops + b.drops });
        if sum.drops > 0 {
            return Err(io::Error::other(format!("the kernel dropped {} datagrams (see /proc/net/udp)", sum.drops)));
        }
        Ok(sum.bytes / cost)
    }

    fn retire(&mut self, _left: bool) {}
}

/// Sockets of this network, one a line.
fn table(v6: bool) -> io::Result<String> {
    std::fs::read_to_string(if v6 { "/proc/net/udp6" } else { "/proc/net/udp" })
}

/// What lies in the receive queues of all sockets on a port, and what did not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Queued {
    bytes: u64,
    drops: u64,
}

/// Reads /proc/net/udp: the receive queue column is `udp_rqueue_get`, the memory
/// charged for what is queued (net/ipv4/udp.c, `udp4_format_sock`).
fn queued(table: &str, port: u16) -> Queued {
    let sockets = on_port(table, port);
    sockets.fold(Queued::default(), |a, b| Queued { bytes: a.bytes + b.bytes, drops: a.drops + b.drops })
}

/// What each socket on that port has in its queue.
fn on_port(table: &str, port: u16) -> impl Iterator<Item = Queued> {
    let of_line = move |line: &str| -> Option<Queued> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, hex_port) = fields.get(1)?.rsplit_once(':')?;
        let ours = u16::from_str_radix(hex_port, 16).ok()? == port;
        let (_, received) = fields.get(4)?.split_once(':')?;
        let bytes = u64::from_str_radix(received, 16).ok()?;
        ours.then_some(Queued { bytes, drops: fields.last()?.parse().ok()? })
    };
    table.lines().skip(1).filter_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_of_one_port_are_added() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            12: 0100007F:1F90 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 7 2 0000000000000000 0\n\
            13: 0100007F:1F90 00000000:0000 07 00000000:00000600 00:00000000 00000000     0        0 8 2 0000000000000000 3\n\
            14: 0100007F:1F91 00000000:0000 07 00000000:00000900 00:00000000 00000000     0        0 9 2 0000000000000000 9\n";
        assert_eq!(queued(table, 0x1F90), Queued { bytes: 0x900, drops: 3 });
        assert_eq!(queued(table, 1), Queued::default());
        assert_eq!((on_port(table, 0x1F90).count(), on_port(table, 1).count()), (2, 0));
    }

    #[test]
    fn what_lies_in_the_socket_is_counted_and_a_port_is_given_up() {
        let settings = Settings { object: "udp".into(), ..Settings::default() };
        let mut opened = V4.open(&settings, false).unwrap();
        opened.injector.fire().unwrap();
        let tag = opened.injector.fire().unwrap();
        assert_eq!(opened.injector.left().unwrap(), 2);
        let mut source = opened.door.sources(0).unwrap().remove(0);
        source.claim().unwrap();
        assert_eq!(source.claim().unwrap().tag, tag);
        assert_eq!(source.claim(), Err(Errno::EAGAIN));
        assert_eq!(opened.injector.left().unwrap(), 0);
    }

    #[test]
    fn the_holder_leaves_the_group_before_the_first_event() {
        let settings = Settings { object: "udp".into(), sharing: Sharing::Own, workers: 2, ..Settings::default() };
        let mut opened = V4.open(&settings, false).unwrap();
        let mut workers: Vec<_> = (0..2).map(|i| opened.door.sources(i).unwrap().remove(0)).collect();
        opened.injector.meet(&[]).unwrap();
        for _ in 0..32 {
            opened.injector.fire().unwrap();
        }
        let claimed: usize = workers.iter_mut().map(|w| (0..32).filter(|_| w.claim().is_ok()).count()).sum();
        assert_eq!(claimed, 32);
    }
}

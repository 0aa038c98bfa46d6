//! A TCP listener on loopback, IPv4 or IPv6; one event is one connection.
//!
//! The handshake ends in softirq on the injector's CPU, where `tcp_child_process`
//! calls `sock_def_readable`, which walks the listener's wait queue. Must never
//! let a client close first with FIN: millions of connections would leave as
//! many TIME_WAIT ports. The client resets after the barrier instead, and a
//! worker keeps its end until its next claim, so no close is in the timed path.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

use super::Object;
use crate::cell::contract::{Asleep, Call, Claim, Door, During, Injector, Opened, Request, SetupError, Source};
use crate::experiment::Settings;
use crate::experiment::settings::{OpenedBy, Sharing, Steering};
use crate::sys;
use crate::sys::steering::Program;

/// A TCP listener of one family.
pub struct Tcp {
    v6: bool,
}

pub const V4: Tcp = Tcp { v6: false };
pub const V6: Tcp = Tcp { v6: true };

/// A handshake on loopback takes microseconds; a full backlog would take
/// seconds of SYN retries.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

impl Tcp {
    fn address(&self, port: u16) -> SocketAddr {
        if self.v6 { (Ipv6Addr::LOCALHOST, port).into() } else { (Ipv4Addr::LOCALHOST, port).into() }
    }
}

impl Object for Tcp {
    fn name(&self) -> &'static str {
        if self.v6 { "tcp6" } else { "tcp" }
    }

    fn about(&self) -> &'static str {
        if self.v6 {
            "TCP listener on ::1; an event is a connection"
        } else {
            "TCP listener on 127.0.0.1; an event is a connection"
        }
    }

    fn listens(&self) -> bool {
        true
    }

    fn needs(&self, _: &Settings) -> Option<&'static str> {
        self.v6.then_some("ipv6")
    }

    fn steers(&self) -> bool {
        true
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let many = settings.objects > 1;
        if settings.sharing == Sharing::Own && (many || settings.group) {
            return Some("sharing = \"own\" is one listener per worker already; leave out objects and group".into());
        }
        if settings.port != 0 && many && !settings.group {
            return Some("several listeners cannot share one port; leave out port, or set group = true".into());
        }
        None
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        let plan = Plan {
            backlog: i32::try_from(settings.backlog).expect("the key table bounds backlog"),
            block,
            reuse: settings.sharing == Sharing::Own || settings.group,
            by_cpu: settings.steering == Steering::IncomingCpu,
        };
        let program = program(settings).during(Call::Bpf)?;
        let mut addresses = Vec::new();
        let mut listeners = Vec::new();
        let mut reserved = None;
        match (settings.sharing, settings.opened_by) {
            (Sharing::Own, OpenedBy::Worker) => {
                // Bound but not listening: holds the port, is in no group.
                let holder = plan.bind(self.address(settings.port))?;
                addresses.push(bound_to(&holder)?);
                reserved = Some(holder);
            }
            (sharing, _) => {
                let count = if sharing == Sharing::Own { settings.workers } else { settings.objects };
                for index in 0..count {
                    let same_port = plan.reuse.then(|| addresses.first().map(SocketAddr::port)).flatten();
                    let socket = plan.bind(self.address(same_port.unwrap_or(settings.port)))?;
                    plan.ask_for_cpu(&socket, index)?;
                    let address = bound_to(&socket)?;
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                    plan.listen(&socket)?;
                    if let (0, Some(program)) = (listeners.len(), &program) {
                        program.attach(socket.as_fd()).during(Call::Setsockopt)?;
                    }
                    listeners.push(Arc::new(OwnedFd::from(socket)));
                }
            }
        }
        let own = settings.sharing == Sharing::Own;
        let door = Arc::new(TcpDoor { plan, own, address: addresses[0], listeners, program });
        Ok(Opened {
            injector: Box::new(Clients { v6: self.v6, addresses, next: 0, open: Vec::new(), _reserved: reserved }),
            door,
        })
    }
}

/// What chooses in the group, if not the hash. Sockets join when they listen, so
/// their numbers are those of the workers.
fn program(settings: &Settings) -> io::Result<Option<Program>> {
    Ok(match settings.steering {
        Steering::Hash | Steering::IncomingCpu => None,
        Steering::CbpfCpu => Some(Program::ClassicCpu(settings.workers)),
        Steering::EbpfCpu => Some(Program::cpu(settings.workers)?),
        Steering::EbpfRoundRobin => Some(Program::rotation(settings.workers)?),
    })
}

/// How each listener is made.
#[derive(Clone, Copy)]
struct Plan {
    backlog: i32,
    block: bool,
    reuse: bool,
    /// Each socket asks for the packets of the CPU that has its number.
    by_cpu: bool,
}

impl Plan {
    fn bind(&self, address: SocketAddr) -> Result<Socket, SetupError> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).during(Call::Socket)?;
        if self.reuse {
            socket.set_reuse_port(true).during(Call::Socket)?;
        }
        socket.set_nonblocking(!self.block).during(Call::Fcntl)?;
        socket.bind(&address.into()).during(Call::Bind)?;
        Ok(socket)
    }

    /// SO_INCOMING_CPU, socket(7). Before listen(2), as servers do.
    fn ask_for_cpu(&self, socket: &Socket, index: u32) -> Result<(), SetupError> {
        if self.by_cpu { socket.set_cpu_affinity(index as usize).during(Call::Setsockopt) } else { Ok(()) }
    }

    fn listen(&self, socket: &Socket) -> Result<(), SetupError> {
        socket.listen(self.backlog).during(Call::Listen)
    }
}

fn bound_to(socket: &Socket) -> Result<SocketAddr, SetupError> {
    let address = socket.local_addr().during(Call::Socket)?;
    Ok(address.as_socket().expect("a TCP socket has an IP address"))
}

struct TcpDoor {
    plan: Plan,
    own: bool,
    address: SocketAddr,
    listeners: Vec<Arc<OwnedFd>>,
    program: Option<Program>,
}

impl Door for TcpDoor {
    fn sources(&self, index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        let mine: Vec<Arc<OwnedFd>> = match (self.own, self.listeners.get(index as usize)) {
            (false, _) => self.listeners.clone(),
            (true, Some(handed)) => vec![handed.clone()],
            (true, None) => {
                let socket = self.plan.bind(self.address)?;
                self.plan.ask_for_cpu(&socket, index)?;
                self.plan.listen(&socket)?;
                // The group begins with the first to listen, and the program is the group's.
                if let (0, Some(program)) = (index, &self.program) {
                    program.attach(socket.as_fd()).during(Call::Setsockopt)?;
                }
                vec![Arc::new(OwnedFd::from(socket))]
            }
        };
        Ok(mine.into_iter().map(|fd| Box::new(Listener { fd, last: None }) as Box<dyn Source>).collect())
    }
}

/// A listening socket of any family, as one worker holds it.
pub(super) struct Listener {
    pub(super) fd: Arc<OwnedFd>,
    /// The connection of the last claim, kept open until the next.
    pub(super) last: Option<OwnedFd>,
}

impl Source for Listener {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        let (connection, tag) = sys::socket::accept(self.fd.as_fd())?;
        self.last = Some(connection);
        Ok(Claim { tag })
    }

    fn asleep(&self) -> Asleep {
        Asleep::on(&[libc::SYS_accept4, libc::SYS_accept], &self.fd)
    }

    fn request(&self) -> Option<Request> {
        Some(Request::Accept)
    }

    fn accepted(&mut self, connection: OwnedFd) -> Claim {
        let tag = sys::socket::peer_port(connection.as_fd());
        self.last = Some(connection);
        Claim { tag }
    }

    fn identity(&self) -> u64 {
        nix::sys::stat::fstat(self.fd.as_fd()).map_or(0, |stat| stat.st_ino)
    }
}

/// The client side.
struct Clients {
    v6: bool,
    addresses: Vec<SocketAddr>,
    next: usize,
    open: Vec<Socket>,
    _reserved: Option<Socket>,
}

impl Clients {
    fn connect(&mut self) -> io::Result<u32> {
        let address = self.addresses[self.next % self.addresses.len()];
        self.next += 1;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // Zero linger: close sends a reset and leaves no TIME_WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_write_timeout(Some(CONNECT_LIMIT))?;
        socket.connect(&address.into())?;
        let port = socket.local_addr()?.as_socket().map_or(0, |a| a.port());
        self.open.push(socket);
        Ok(u32::from(port))
    }
}

impl Injector for Clients {
    fn fire(&mut self) -> Result<u32, SetupError> {
        self.connect().during(Call::Connect)
    }

    fn under_way(&mut self, missing: u64) -> io::Result<bool> {
        // connect() returns on the SYN-ACK; the listener hears of it on the ACK.
        Ok(self.left()? < missing)
    }

    fn left(&mut self) -> io::Result<u64> {
        let table = if self.v6 { "/proc/net/tcp6" } else { "/proc/net/tcp" };
        let text = std::fs::read_to_string(table)?;
        Ok(self.addresses.iter().map(|a| accept_queue(&text, a.port())).sum())
    }

    fn retire(&mut self, left: bool) {
        if !left {
            self.open.clear();
        }
    }
}

/// Length of the accept queues of all listeners on `port`: for a listener the
/// receive queue column of /proc/net/tcp is `sk_ack_backlog` (net/ipv4/tcp_ipv4.c,
/// get_tcp4_sock).
fn accept_queue(table: &str, port: u16) -> u64 {
    const LISTEN: &str = "0A";
    let of_line = |line: &str| -> Option<u64> {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?;
        let state = fields.nth(1)?;
        let queues = fields.next()?;
        let (_, hex_port) = local.rsplit_once(':')?;
        let ours = state == LISTEN && u16::from_str_radix(hex_port, 16).ok()? == port;
        let (_, received) = queues.split_once(':')?;
        if ours { u64::from_str_radix(received, 16).ok() } else { None }
    };
    table.lines().skip(1).filter_map(of_line).sum()
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
        assert_eq!(accept_queue(table, 0x1F90), 5);
        assert_eq!(accept_queue(table, 0x1F91), 9);
        assert_eq!(accept_queue(table, 1), 0);
    }
}

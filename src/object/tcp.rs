//! A TCP listener on loopback, IPv4 or IPv6; one event is one connection.
//!
//! The handshake ends in softirq on the injector's CPU, where `tcp_child_process`
//! calls `sock_def_readable`, which walks the listener's wait queue. Must never
//! let a client close first with FIN: millions of connections would leave as
//! many TIME_WAIT ports. The client resets after the barrier instead, and a
//! worker keeps its end until its next claim, so no close is in the timed path.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use socket2::{Domain, Socket, Type};

use super::Object;
use super::stream::{Clients, Connections, Keep, Listener, is_held};
use crate::cell::contract::{Call, Door, During, Injector, Opened, SetupError, Source};
use crate::experiment::Settings;
use crate::experiment::settings::{OpenedBy, Sharing, Steering, Traffic};
use crate::sys::shared::SharedRows;
use crate::sys::steering::Program;

/// A TCP listener of one family.
pub struct Tcp {
    v6: bool,
}

pub const V4: Tcp = Tcp { v6: false };
pub const V6: Tcp = Tcp { v6: true };

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

    fn has_flows(&self) -> bool {
        true
    }

    fn takes_connections(&self) -> bool {
        true
    }

    fn is_held(&self, settings: &Settings) -> io::Result<bool> {
        is_held(self.v6, settings.port)
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
        let idle = settings.traffic.idle_connections > 0;
        let opening = idle.then(|| SharedRows::new(1)).transpose().during(Call::Mmap)?.map(Arc::new);
        let keep = match &opening {
            Some(word) => Keep::While(word.clone()),
            None if settings.traffic.connections > 0 => Keep::All,
            None => Keep::None,
        };
        let (traffic, address) = (settings.traffic.clone(), addresses[0]);
        let door = Arc::new(TcpDoor { plan, own, keep, traffic, address, listeners, program });
        let clients = Clients::new(self.v6, addresses, reserved, settings.traffic.flows).with_idle(opening);
        Ok(Opened { injector: injector(clients.asking(&settings.traffic), settings), door })
    }
}

/// One event is a connection, or a message on one that stays.
fn injector(clients: Clients, settings: &Settings) -> Box<dyn Injector> {
    match settings.traffic.connections {
        0 => Box::new(clients),
        _ => Box::new(Connections::new(clients, &settings.traffic)),
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
    /// Which accepted connections stay, and are waited on.
    keep: Keep,
    traffic: Traffic,
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
        let listener = |fd| Listener::new(fd, self.keep.clone()).speaking(&self.traffic);
        Ok(mine.into_iter().map(|fd| Box::new(listener(fd)) as Box<dyn Source>).collect())
    }
}

//! Probes of sockets: all on loopback, on ports the kernel chooses.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use super::{PATIENCE, Trying};
use crate::sys::steering::{self, Program};

/// Tries that must all choose the same of two sockets. By a hash that happens
/// once in 2^TRIES.
const TRIES: usize = 12;

pub fn ipv6() -> Result<(), String> {
    let bind = || -> io::Result<()> {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv6Addr::LOCALHOST, 0)).into())
    };
    let hint = |why| format!("{why} (is net.ipv6.conf.lo.disable_ipv6 set, or loopback down?)");
    bind().trying("bind [::1]").map_err(hint)
}

pub fn reuseport() -> Result<(), String> {
    group(Type::STREAM).map(drop)
}

pub fn reuseport_unix_refused() -> Result<(), String> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).trying("socket(AF_UNIX)")?;
    match socket.set_reuse_port(true) {
        Err(_) => Ok(()),
        Ok(()) => Err("setsockopt takes SO_REUSEPORT on AF_UNIX, where it does nothing".into()),
    }
}

pub fn reuseport_cbpf() -> Result<(), String> {
    let [_other, chosen] = group(Type::DGRAM)?;
    steering::choose(chosen.as_fd(), 1).trying("setsockopt(SO_ATTACH_REUSEPORT_CBPF)")?;
    (0..TRIES).try_for_each(|sent| sent_to(&chosen, sent))
}

pub fn reuseport_ebpf() -> Result<(), String> {
    let members = group(Type::DGRAM)?;
    let program = Program::rotation(members.len() as u32).trying("bpf")?;
    program.attach(members[0].as_fd()).trying("setsockopt(SO_ATTACH_REUSEPORT_EBPF)")?;
    (0..TRIES).try_for_each(|sent| sent_to(&members[sent % members.len()], sent))
}

/// Sends datagram number `sent` to the group of `chosen`, which must get it.
fn sent_to(chosen: &Socket, sent: usize) -> Result<(), String> {
    let address = chosen.local_addr().trying("getsockname")?;
    let client = Socket::new(Domain::IPV4, Type::DGRAM, None).trying("socket")?;
    client.send_to(b"x", &address).trying("sendto")?;
    if !readable(chosen)? {
        return Err(format!("datagram {sent} did not go to the socket the program chose"));
    }
    chosen.recv(&mut [std::mem::MaybeUninit::uninit()]).trying("recv").map(drop)
}

pub fn incoming_cpu() -> Result<(), String> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).trying("socket")?;
    socket.set_cpu_affinity(0).trying("setsockopt(SO_INCOMING_CPU)")
}

pub fn incoming_cpu_group() -> Result<(), String> {
    let here = Pinned::new().trying("sched_setaffinity")?;
    let [other, chosen] = group(Type::STREAM)?;
    // Need not exist; it only must not be ours.
    other.set_cpu_affinity(here.cpu + 1).trying("setsockopt(SO_INCOMING_CPU)")?;
    chosen.set_cpu_affinity(here.cpu).trying("setsockopt(SO_INCOMING_CPU)")?;
    let address = chosen.local_addr().trying("getsockname")?;
    for connection in 0..TRIES {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).trying("socket")?;
        // A reset instead of TIME_WAIT.
        client.set_linger(Some(Duration::ZERO)).trying("setsockopt(SO_LINGER)")?;
        client.connect(&address).trying("connect")?;
        if !readable(&chosen)? {
            return Err(format!("connection {connection} went to the socket of another CPU"));
        }
        chosen.accept().trying("accept")?;
    }
    Ok(())
}

pub fn tcp_migrate_req() -> Result<(), String> {
    let file = "/proc/sys/net/ipv4/tcp_migrate_req";
    Path::new(file).metadata().map(drop).trying(file)
}

/// Two sockets on one port of 127.0.0.1; TCP ones listen.
fn group(kind: Type) -> Result<[Socket; 2], String> {
    let member = |port| -> Result<(Socket, u16), String> {
        let socket = Socket::new(Domain::IPV4, kind, None).trying("socket")?;
        socket.set_reuse_port(true).trying("setsockopt(SO_REUSEPORT)")?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).trying("bind 127.0.0.1")?;
        if kind == Type::STREAM {
            socket.listen(TRIES as i32).trying("listen")?;
        }
        let bound = socket.local_addr().trying("getsockname")?;
        Ok((socket, bound.as_socket().expect("an IP socket has a port").port()))
    };
    let (first, port) = member(0)?;
    let (second, _) = member(port)?;
    Ok([first, second])
}

/// Whether something arrives within the patience of a probe.
fn readable(socket: &Socket) -> Result<bool, String> {
    let patience = PollTimeout::try_from(PATIENCE).expect("a tenth of a second fits");
    Ok(poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], patience).trying("poll")? > 0)
}

/// Keeps this thread on one CPU until dropped.
struct Pinned {
    cpu: usize,
    before: CpuSet,
}

impl Pinned {
    fn new() -> nix::Result<Pinned> {
        let before = sched_getaffinity(Pid::from_raw(0))?;
        let mut cpus = (0..CpuSet::count()).filter(|cpu| before.is_set(*cpu).unwrap_or(false));
        let cpu = cpus.next().ok_or(Errno::EINVAL)?;
        let mut one = CpuSet::new();
        one.set(cpu)?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        Ok(Pinned { cpu, before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // The mask was ours a moment ago; a refusal would mean that somebody
        // else narrowed it meanwhile, and then theirs is to stay.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}

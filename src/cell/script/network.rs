//! The network of a script: a namespace of its own, its settings and counters, and
//! how to know that everything that was sent has arrived.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use socket2::SockAddr;

use crate::sys;
use crate::sys::cpus::pin_to;

/// A datagram over loopback takes microseconds, but on a busy machine whoever
/// sends it has to come to its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// A handshake is three packets, each sent when the one before arrives.
const ROUNDS: usize = 3;

/// Moves the cell into a network of its own, which ends with it.
pub fn enter_own() -> Result<(), String> {
    let said = |errno: Errno| format!("unshare: {errno:?}");
    match unshare(CloneFlags::CLONE_NEWNET) {
        // The owner of a new user namespace may make all others in it.
        Err(Errno::EPERM) => unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(said)?,
        other => other.map_err(said)?,
    }
    sys::boot::link_up("lo").map_err(|e| format!("cannot bring lo up: {e}"))
}

/// Writes a setting of the network that we are in.
pub fn set(name: &str, value: &str) -> Result<(), Errno> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::write(path, value).map_err(super::table::errno)
}

/// A counter of the network that we are in; ENOENT where this kernel has none such.
pub fn counter(name: &str) -> Result<u64, Errno> {
    let text = fs::read_to_string("/proc/net/netstat").map_err(super::table::errno)?;
    crate::cell::drops::counter(&text, name).ok_or(Errno::ENOENT)
}

/// Handshakes that were begun for the listener at `address` and are not done: lines of
/// /proc/net/tcp in state 03, SYN_RECV, which lists requests among the sockets
/// (net/ipv4/tcp_ipv4.c, `get_openreq4`).
pub fn half_open(address: &SockAddr) -> Result<u64, Errno> {
    let port = address.as_socket().ok_or(Errno::EAFNOSUPPORT)?.port();
    let text = fs::read_to_string("/proc/self/net/tcp").map_err(super::table::errno)?;
    Ok(requests_for(&text, port))
}

fn requests_for(text: &str, port: u16) -> u64 {
    let begun = |line: &&str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let local = words.next().and_then(|local| local.split_once(':'));
        local.is_some_and(|(_, hex)| u16::from_str_radix(hex, 16) == Ok(port)) && words.nth(1) == Some("03")
    };
    text.lines().filter(begun).count() as u64
}

/// Comes back when every packet that was sent over loopback before, by any process
/// of the cell, has arrived, and what was sent in answer to it.
///
/// Packets over loopback wait in the queue of the CPU that sent them, first come
/// first served (net/core/dev.c, `netif_rx` and `process_backlog`). So a datagram of
/// our own, sent on that CPU, arrives after all of them. Ends on CPU `home`.
pub fn let_arrive(cpus: &[usize], home: usize) -> Result<(), String> {
    let said = |e: std::io::Error| format!("cannot send over loopback: {e}");
    let pinned = |cpu| pin_to(cpu).map_err(|e| format!("cannot run on CPU {cpu}: {e}"));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(said)?;
    socket.connect(socket.local_addr().map_err(said)?).map_err(said)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(said)?;
    let work = || {
        for _ in 0..ROUNDS {
            for cpu in cpus {
                if cpus.len() > 1 {
                    pinned(*cpu)?;
                }
                socket.send(&[0]).map_err(said)?;
                socket.recv(&mut [0]).map_err(said)?;
            }
        }
        Ok(())
    };
    let worked = work();
    if cpus.len() > 1 {
        pinned(home)?;
    }
    worked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_lines_of_the_port_in_syn_recv() {
        let text = "  sl  local_address rem_address   st tx_queue\n\
                    \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
                    \x20  1: 0100007F:1F90 0100007F:A000 03 00000000:00000000\n\
                    \x20  2: 0100007F:1F91 0100007F:A001 03 00000000:00000000\n\
                    \x20  3: 0100007F:A000 0100007F:1F90 02 00000001:00000000\n";
        assert_eq!((requests_for(text, 8080), requests_for(text, 8081), requests_for(text, 0xA000)), (1, 1, 0));
    }

    #[test]
    fn what_was_sent_arrives() {
        let cpus = crate::sys::cpus::allowed().unwrap();
        std::thread::spawn(move || let_arrive(&cpus, cpus[0]).unwrap()).join().unwrap();
    }
}

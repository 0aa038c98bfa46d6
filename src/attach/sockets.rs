//! The listening sockets of a network and who has them, from /proc/PID/net and
//! /proc/PID/fd. Reads what the kernel prints, and connects to nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::cell::drops::counter;

/// TCP_LISTEN of include/net/tcp_states.h.
const LISTEN: &str = "0A";
/// __SO_ACCEPTCON of include/linux/net.h.
const ACCEPTS: u32 = 1 << 16;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(String),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) if path.is_empty() => f.write_str("unix"),
            Address::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// Every listener in the network of process `pid`, by inode.
pub fn listeners(pid: u32) -> BTreeMap<u64, Address> {
    let mut found = BTreeMap::new();
    for name in ["tcp", "tcp6"] {
        let rows = rows(pid, name);
        found.extend(rows.iter().filter(|row| row.listens).map(|row| (row.inode, Address::Tcp(row.local))));
    }
    let unix = fs::read_to_string(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    found.extend(unix.lines().skip(1).filter_map(unix_listener));
    found
}

/// The socket that the server has for a client, if somebody accepted it: until then it
/// stands in the table without an inode.
pub fn accepted(pid: u32, server: SocketAddr, client: SocketAddr) -> Option<u64> {
    let table = if server.is_ipv4() { ["tcp", "tcp6"] } else { ["tcp6", "tcp"] };
    let ours = |row: &Row| row.local.port() == server.port() && same(row.remote, client);
    table.iter().flat_map(|name| rows(pid, name)).find(ours).map(|row| row.inode).filter(|inode| *inode != 0)
}

/// A client by IPv4 at a listener for IPv6 has a mapped address there.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}

/// Sockets among the descriptors of a process: number and inode.
pub fn held(pid: u32) -> io::Result<BTreeMap<u32, u64>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    let one = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let link = fs::read_link(entry.path()).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, inode))
    };
    Ok(entries.filter_map(one).collect())
}

/// Connections that the network of `pid` has taken so far, by whomever: the counter
/// PassiveOpens (RFC 1213), at the end of each handshake.
pub fn passive_opens(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/snmp")).ok()?;
    counter(&text, "PassiveOpens")
}

struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    listens: bool,
    inode: u64,
}

fn rows(pid: u32, name: &str) -> Vec<Row> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap_or_default();
    text.lines().skip(1).filter_map(row).collect()
}

/// `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 ..`
fn row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    Some(Row {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        listens: *fields.get(3)? == LISTEN,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Words of four bytes, each printed as a number of this machine's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(host.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let host = match host.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(host, port))
}

/// `0000: 00000002 00000000 00010000 0001 01 4711 /run/server`
fn unix_listener(line: &str) -> Option<(u64, Address)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let flags = u32::from_str_radix(fields.get(3)?, 16).ok()?;
    let path = fields.get(7).copied().unwrap_or_default();
    (flags & ACCEPTS != 0).then_some((fields.get(6)?.parse().ok()?, Address::Unix(path.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    #[test]
    fn addresses_are_read_in_the_byte_order_of_the_machine() {
        if cfg!(target_endian = "little") {
            assert_eq!(address("0100007F:1F90"), "127.0.0.1:8080".parse().ok());
            assert_eq!(address("00000000000000000000000001000000:0050"), "[::1]:80".parse().ok());
        }
        assert_eq!(address("0100007F"), None);
        assert_eq!(address("01:0050"), None);
    }

    #[test]
    fn a_listener_is_found_and_a_client_is_accepted_when_it_is() {
        let us = std::process::id();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let inode = held(us).unwrap()[&(listener.as_raw_fd() as u32)];
        assert_eq!(listeners(us).get(&inode), Some(&Address::Tcp(at)));
        let client = TcpStream::connect(at).unwrap();
        let name = client.local_addr().unwrap();
        assert_eq!(accepted(us, at, name), None, "it is in the queue");
        let (served, _) = listener.accept().unwrap();
        assert_eq!(accepted(us, at, name), Some(held(us).unwrap()[&(served.as_raw_fd() as u32)]));
        assert!(passive_opens(us).is_some_and(|count| count > 0));
    }
}

//! Which of the server's listeners our own connections go to.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::server::Server;
use super::sockets::Address;

impl Server {
    /// What to say of a server without any.
    pub(super) fn no_listener(&self, called: &str) -> String {
        let family = match self.processes.len() {
            0 | 1 => "has no listening socket".to_owned(),
            n => format!("and the {} processes below it have no listening socket", n - 1),
        };
        match self.port {
            Some(port) => format!("{called} {family} at port {port} (leave out --port to see those it has)"),
            None => format!("{called} {family} (name the server's parent: ss -ltnp, or its pid file)"),
        }
    }

    /// Where to connect to; the others at that port, which get no connection, beside it.
    pub fn target(&self) -> Result<(SocketAddr, Vec<SocketAddr>), String> {
        let network = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        if network("self") != network(&self.parent.to_string()) {
            return Err(format!(
                "process {0} is in another network: --connect cannot reach it (run herd there: nsenter -n -t {0})",
                self.parent
            ));
        }
        choose(self.listening.values())
    }
}

/// The first address of the only port.
fn choose<'a>(listening: impl Iterator<Item = &'a Address>) -> Result<(SocketAddr, Vec<SocketAddr>), String> {
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in listening {
        match address {
            Address::Tcp(at) if !all.contains(at) => all.push(*at),
            _ => {}
        }
    }
    let ports: BTreeSet<u16> = all.iter().map(SocketAddr::port).collect();
    if ports.len() > 1 {
        let list: Vec<String> = all.iter().map(ToString::to_string).collect();
        return Err(format!("--connect goes to one port, and the server has {}: choose with --port", list.join(", ")));
    }
    let (at, others) = all
        .split_first()
        .ok_or("--connect needs a listener for TCP, and the server has none (count with --for instead)")?;
    let host = match at.ip() {
        IpAddr::V4(host) if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(host) if host.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        host => host,
    };
    Ok((SocketAddr::new(host, at.port()), others.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(addresses: &[&str]) -> Result<(SocketAddr, Vec<SocketAddr>), String> {
        let all: Vec<Address> = addresses.iter().map(|at| Address::Tcp(at.parse().unwrap())).collect();
        choose(all.iter())
    }

    #[test]
    fn several_ports_are_refused_and_one_port_is_one() {
        let why = of(&["0.0.0.0:80", "127.0.0.1:81"]).unwrap_err();
        assert!(why.contains("0.0.0.0:80, 127.0.0.1:81: choose with --port"), "{why}");
        // SO_REUSEPORT: two sockets at one address.
        let (at, others) = of(&["0.0.0.0:80", "0.0.0.0:80"]).unwrap();
        assert_eq!((at.to_string().as_str(), others.len()), ("127.0.0.1:80", 0));
        let (at, others) = of(&["[::]:80", "0.0.0.0:80"]).unwrap();
        assert_eq!((at.to_string().as_str(), others.len()), ("[::1]:80", 1));
        assert!(of(&[]).unwrap_err().contains("none"));
    }
}

//! What a load is aimed at: an HTTP server of this machine, and no other unless that is
//! asked for by name.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use socket2::SockAddr;

/// Where the server listens, and what it is asked for.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SockAddr,
    /// As messages name it.
    pub name: String,
    /// What a request says in Host.
    pub host: String,
    pub path: String,
}

impl Target {
    /// Reads `http://HOST:PORT/PATH` or `unix:SOCKET:/PATH`. `anywhere` allows a host
    /// that is not this machine. What is wrong, with the way out, as a message.
    pub fn parse(url: &str, anywhere: bool) -> Result<Target, String> {
        let shape = "write http://127.0.0.1:PORT/PATH, http://[::1]:PORT/PATH or unix:SOCKET:/PATH";
        if let Some(rest) = url.strip_prefix("unix:").or_else(|| url.strip_prefix("http://unix:")) {
            let (socket, path) = rest.split_once(":/").map_or((rest, String::new()), |(s, p)| (s, p.to_owned()));
            let address = SockAddr::unix(socket).map_err(|e| format!("{url:?} is no path of a unix socket: {e}"))?;
            let path = clean(url, &path, shape)?;
            if socket.is_empty() {
                return Err(format!("{url:?} names no socket; {shape}"));
            }
            return Ok(Target { address, name: rest_name(socket), host: "localhost".into(), path: format!("/{path}") });
        }
        if url.starts_with("https://") {
            return Err(format!("{url}: herd load speaks no TLS; aim at the server behind it: {shape}"));
        }
        let Some(rest) = url.strip_prefix("http://") else {
            return Err(format!("{url:?} is no URL of an HTTP server; {shape}"));
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{}", clean(url, path, shape)?);
        if host.contains('@') {
            return Err(format!("{url:?} has a password in it; {shape}"));
        }
        let (name, port) = host_and_port(host).ok_or_else(|| format!("{host:?} is no host with a port; {shape}"))?;
        let found: Vec<SocketAddr> = (name, port)
            .to_socket_addrs()
            .map_err(|e| format!("{name:?} does not resolve: {e} (a number such as 127.0.0.1 needs no resolving)"))?
            .collect();
        let own = own_addresses().map_err(|e| format!("cannot list this machine's addresses: {e}"))?;
        let ours = found.iter().find(|address| is_ours(address.ip(), &own));
        let address = match (ours, found.first()) {
            (Some(address), _) => *address,
            (None, Some(address)) if anywhere => *address,
            (None, Some(address)) => {
                return Err(format!(
                    "{} is not an address of this machine, and a load can take a server down; if it is yours, say \
                     --i-own-this-host",
                    address.ip()
                ));
            }
            (None, None) => return Err(format!("{name:?} has no address")),
        };
        Ok(Target { address: address.into(), name: address.to_string(), host: host.into(), path })
    }

    /// The request as it is sent, one for all clients.
    pub fn request(&self, keep_alive: bool) -> Vec<u8> {
        let (version, how) = if keep_alive { ("1.1", "keep-alive") } else { ("1.0", "close") };
        let (path, host) = (&self.path, &self.host);
        format!("GET {path} HTTP/{version}\r\nHost: {host}\r\nUser-Agent: herd\r\nConnection: {how}\r\n\r\n").into()
    }

    /// A port of ours is needed for each connection.
    pub fn takes_ports(&self) -> bool {
        self.address.as_socket().is_some()
    }
}

/// The path as a request line can have it: a space or an end of line there would be the
/// end of it (RFC 9112, section 3). What follows `#` is the client's own.
fn clean<'a>(url: &str, path: &'a str, shape: &str) -> Result<&'a str, String> {
    if path.contains(|c: char| c.is_ascii_whitespace() || c.is_control()) {
        return Err(format!("{url:?} has a space or a control character in its path (write %20 for a space); {shape}"));
    }
    Ok(path.split('#').next().unwrap_or_default())
}

fn rest_name(socket: &str) -> String {
    format!("unix:{socket}")
}

/// `host:port`, `[v6]:port`; without a port 80.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest {
        "" => 80,
        rest => rest.strip_prefix(':')?.parse().ok().filter(|port| *port > 0)?,
    };
    (!host.is_empty()).then_some((host, port))
}

fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let all = nix::ifaddrs::getifaddrs().map_err(io::Error::from)?;
    let ip = |of: nix::ifaddrs::InterfaceAddress| {
        let storage = of.address?;
        let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    Ok(all.filter_map(ip).collect())
}

/// 0.0.0.0 and :: are this machine to connect(2).
fn is_ours(ip: IpAddr, own: &[IpAddr]) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || ip.is_unspecified() || own.contains(&ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, name: &str, host: &str, path: &str) {
        let target = Target::parse(url, false).unwrap();
        assert_eq!((target.name.as_str(), target.host.as_str(), target.path.as_str()), (name, host, path), "{url}");
    }

    #[test]
    fn urls_of_this_machine() {
        check("http://127.0.0.1:8080/a?b=c#d", "127.0.0.1:8080", "127.0.0.1:8080", "/a?b=c");
        check("http://127.0.0.2", "127.0.0.2:80", "127.0.0.2", "/");
        check("http://[::1]:81?x", "[::1]:81", "[::1]:81", "/?x");
        check("unix:/run/x.sock", "unix:/run/x.sock", "localhost", "/");
        check("unix:/run/my own.sock:/a#b", "unix:/run/my own.sock", "localhost", "/a");
        check("http://unix:/run/x.sock:/status", "unix:/run/x.sock", "localhost", "/status");
    }

    #[track_caller]
    fn check_bad(url: &str, part: &str) {
        let said = Target::parse(url, false).unwrap_err();
        assert!(said.contains(part), "{url}: {said}");
    }

    #[test]
    fn others_are_refused_with_the_way_out() {
        check_bad("http://192.0.2.1/", "--i-own-this-host");
        assert!(Target::parse("http://192.0.2.1/", true).is_ok());
        check_bad("https://127.0.0.1/", "no TLS");
        check_bad("127.0.0.1:80", "is no URL");
        check_bad("http://127.0.0.1:http/", "no host with a port");
        check_bad("http://127.0.0.1:0/", "no host with a port");
        check_bad("http://:80/", "no host with a port");
        check_bad("http://127.0.0.1/a b", "space");
        check_bad("unix:/run/x.sock:/a b", "space");
        check_bad("unix:/run/x.sock:/a\r\nX: y", "control character");
        check_bad("http://me:word@127.0.0.1/", "password");
        check_bad("unix:", "names no socket");
        check_bad("http://no.such.host.invalid/", "does not resolve");
    }
}

//! A unix stream listener, by path or by abstract name; one event is one connection.
//!
//! `unix_stream_connect` queues the connection on the listener and wakes it
//! before connect(2) returns. Must never leave a socket file: the path is
//! unlinked at once, and clients reach the socket through a descriptor of it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use socket2::{Domain, SockAddr, Socket, Type};

use super::Object;
use super::stream::{Keep, Listener};
use crate::cell::contract::{Asks, Begun, Call, Door, During, Injector, Opened, SetupError, Source};
use crate::experiment::Settings;
use crate::experiment::settings::Sharing;

/// A unix stream listener with one kind of name.
pub struct Unix {
    abstract_name: bool,
}

pub const PATH: Unix = Unix { abstract_name: false };
pub const ABSTRACT: Unix = Unix { abstract_name: true };

/// A connect to a full backlog would sleep for ever.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

impl Object for Unix {
    fn name(&self) -> &'static str {
        if self.abstract_name { "unix-abstract" } else { "unix" }
    }

    fn about(&self) -> &'static str {
        if self.abstract_name {
            "unix stream listener with an abstract name"
        } else {
            "unix stream listener on a path (unlinked at once)"
        }
    }

    fn listens(&self) -> bool {
        true
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        if settings.sharing == Sharing::Own || settings.group {
            return Some(
                "unix sockets have no SO_REUSEPORT groups: a name belongs to one socket \
                 (since Linux 6.13 the option itself is refused); use sharing = \"shared\""
                    .into(),
            );
        }
        (settings.port != 0).then(|| "unix sockets have no port; leave out port".into())
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        let mut held = Vec::new();
        for number in 0..settings.objects {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).during(Call::Socket)?;
            socket.set_nonblocking(!block).during(Call::Fcntl)?;
            if self.abstract_name {
                let name = format!("\0herd-{}-{number}", std::process::id());
                let address = SockAddr::unix(&name).during(Call::Bind)?;
                socket.bind(&address).during(Call::Bind)?;
                addresses.push(address);
            } else {
                let (address, inode) = bind_unlinked(&socket)?;
                addresses.push(address);
                held.push(inode);
            }
            let backlog = i32::try_from(settings.backlog).expect("the key table bounds backlog");
            socket.listen(backlog).during(Call::Listen)?;
            listeners.push(Arc::new(OwnedFd::from(socket)));
        }
        Ok(Opened {
            injector: Box::new(Clients {
                addresses,
                next: 0,
                open: Vec::new(),
                listeners: listeners.clone(),
                _held: held,
            }),
            door: Arc::new(UnixDoor { listeners }),
        })
    }
}

/// Binds in a private directory and removes both again. The returned address
/// leads to the inode through a descriptor, so it works after the unlink and
/// nothing is left whatever kills us.
fn bind_unlinked(socket: &Socket) -> Result<(SockAddr, OwnedFd), SetupError> {
    let template = std::env::temp_dir().join("herd-XXXXXX");
    let directory: PathBuf = nix::unistd::mkdtemp(&template).during(Call::TemporaryDirectory)?;
    let path = directory.join("listener");
    let bound = SockAddr::unix(&path)
        .and_then(|address| socket.bind(&address))
        .during(Call::Bind)
        .and_then(|()| open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).during(Call::Bind));
    // Removed on every path; a failure to remove what was never made is no news.
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir(&directory);
    let inode = bound?;
    let address = SockAddr::unix(format!("/proc/self/fd/{}", inode.as_raw_fd())).during(Call::Bind)?;
    Ok((address, inode))
}

struct UnixDoor {
    listeners: Vec<Arc<OwnedFd>>,
}

impl Door for UnixDoor {
    fn sources(&self, _index: u32) -> Result<Vec<Box<dyn Source>>, SetupError> {
        let listeners = self.listeners.iter().cloned();
        Ok(listeners.map(|fd| Box::new(Listener::new(fd, Keep::None)) as Box<dyn Source>).collect())
    }
}

/// The client side.
struct Clients {
    addresses: Vec<SockAddr>,
    next: usize,
    open: Vec<Socket>,
    listeners: Vec<Arc<OwnedFd>>,
    _held: Vec<OwnedFd>,
}

impl Injector for Clients {
    fn fire(&mut self) -> Result<u32, SetupError> {
        let address = &self.addresses[self.next % self.addresses.len()];
        self.next += 1;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).during(Call::Socket)?;
        socket.set_write_timeout(Some(CONNECT_LIMIT)).during(Call::Socket)?;
        socket.connect(address).during(Call::Connect)?;
        self.open.push(socket);
        Ok(0)
    }

    fn begin(&mut self) -> Result<Option<Begun>, SetupError> {
        let address = &self.addresses[self.next % self.addresses.len()];
        self.next += 1;
        // A full queue is EAGAIN at once, since there is no handshake.
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).during(Call::Socket)?;
        socket.connect(address).during(Call::Connect)?;
        Ok(Some(Begun { end: OwnedFd::from(socket), tag: 0, unsent: None, asks: Asks::default() }))
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// Empties the queues to count them: unix listeners show their length to
    /// nobody but sock_diag.
    fn left(&mut self) -> io::Result<u64> {
        let mut taken = 0;
        for listener in &self.listeners {
            while readable(listener)? {
                crate::sys::socket::accept(listener.as_fd())?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    fn retire(&mut self, left: bool) {
        if !left {
            self.open.clear();
        }
    }
}

fn readable(fd: &OwnedFd) -> io::Result<bool> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut entry = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut entry, PollTimeout::ZERO)? == 1)
}

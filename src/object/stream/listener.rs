//! A listening stream socket of any family, as one worker holds it, and the
//! connections that stay with that worker.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use super::connections::Connection;
use crate::cell::contract::{Asleep, Claim, Request, Source};
use crate::sys;
use crate::sys::shared::SharedRows;

/// Which connections stay.
#[derive(Clone)]
pub enum Keep {
    None,
    All,
    /// Those that come while the word is not 0: the client says so, since it alone
    /// knows that it will never ask for anything.
    While(Arc<SharedRows<1>>),
}

impl Keep {
    fn now(&self) -> bool {
        match self {
            Keep::None => false,
            Keep::All => true,
            Keep::While(word) => word.row(0)[0].load(Ordering::Acquire) != 0,
        }
    }
}

/// A listening socket.
pub struct Listener {
    fd: Arc<OwnedFd>,
    /// The connection of the last claim, kept open until the next.
    last: Option<OwnedFd>,
    /// Connections stay, instead.
    keep: Keep,
    kept: Vec<OwnedFd>,
}

impl Listener {
    pub fn new(fd: Arc<OwnedFd>, keep: Keep) -> Listener {
        Listener { fd, last: None, keep, kept: Vec::new() }
    }

    fn took(&mut self, connection: OwnedFd) {
        if self.keep.now() {
            self.kept.push(connection);
        } else {
            self.last = Some(connection);
        }
    }
}

impl Source for Listener {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        let (connection, tag) = sys::socket::accept(self.fd.as_fd())?;
        self.took(connection);
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
        self.took(connection);
        Claim { tag }
    }

    fn reply(&mut self, claim: Claim) -> Result<(), Errno> {
        // One that stays is answered message by message.
        self.last.as_ref().map_or(Ok(()), |connection| answer(connection.as_fd(), claim))
    }

    fn detach(&mut self) -> Option<Box<dyn Source + Send>> {
        self.last.take().map(|fd| Box::new(Connection::new(fd)) as Box<dyn Source + Send>)
    }

    fn connection(&mut self) -> Option<Box<dyn Source + Send>> {
        self.kept.pop().map(|fd| Box::new(Connection::new(fd)) as Box<dyn Source + Send>)
    }

    fn identity(&self) -> u64 {
        nix::sys::stat::fstat(self.fd.as_fd()).map_or(0, |stat| stat.st_ino)
    }
}

/// Four bytes: which event it is about. A fresh socket buffer has room for them.
pub fn answer(connection: BorrowedFd<'_>, claim: Claim) -> Result<(), Errno> {
    let flags = nix::sys::socket::MsgFlags::MSG_NOSIGNAL | nix::sys::socket::MsgFlags::MSG_DONTWAIT;
    nix::sys::socket::send(std::os::fd::AsRawFd::as_raw_fd(&connection), &claim.tag.to_ne_bytes(), flags).map(drop)
}

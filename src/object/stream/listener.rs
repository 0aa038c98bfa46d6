//! A listening stream socket of any family, as one worker holds it, and the
//! connections that stay with that worker.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use super::connections::Connection;
use super::http;
use crate::cell::contract::{Asleep, Claim, Request, Source};
use crate::experiment::settings::Protocol;
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
    /// What the client asks, where it speaks HTTP.
    request: Option<http::Request>,
}

impl Listener {
    /// `keep` says that connections stay.
    pub fn new(fd: Arc<OwnedFd>, keep: Keep) -> Listener {
        Listener { fd, last: None, keep, kept: Vec::new(), request: None }
    }

    /// Its clients speak that.
    pub fn speaking(self, protocol: Protocol) -> Listener {
        Listener { request: (protocol == Protocol::Http).then(http::Request::new), ..self }
    }

    fn took(&mut self, connection: OwnedFd) {
        if let Some(request) = &mut self.request {
            request.clear();
        }
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
        match (&self.last, &mut self.request) {
            (Some(connection), Some(request)) => {
                let answered = request.answer(connection.as_fd());
                if answered != Err(Errno::EAGAIN) {
                    // Whose request is answered, or was none, waits for the end.
                    self.last = None;
                }
                answered
            }
            (Some(connection), None) => answer(connection.as_fd(), claim),
            // One that stays is answered message by message.
            (None, _) => Ok(()),
        }
    }

    fn unasked(&self) -> Option<BorrowedFd<'_>> {
        self.request.as_ref().and(self.last.as_ref()).map(OwnedFd::as_fd)
    }

    fn hang_up(&mut self) {
        self.last = None;
    }

    fn detach(&mut self) -> Option<Box<dyn Source + Send>> {
        let last = Some(self.last.take()?);
        let request = self.request.as_ref().map(|_| http::Request::new());
        // One with a connection and nobody to accept more, so that it answers alike.
        Some(Box::new(Listener { fd: self.fd.clone(), last, keep: Keep::None, kept: Vec::new(), request }))
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
    sys::socket::send_now(connection, &claim.tag.to_ne_bytes()).map(drop)
}

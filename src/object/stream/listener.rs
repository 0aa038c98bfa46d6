//! A listening stream socket of any family, as one worker holds it, and the
//! connections that stay with that worker.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use nix::errno::Errno;

use super::connections::Connection;
use super::guest::Guest;
use super::http;
use crate::cell::contract::{Asleep, Claim, Request, Source};
use crate::experiment::settings::{Protocol, Traffic};
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
    last: Option<Guest>,
    /// Connections stay, instead.
    keep: Keep,
    kept: Vec<OwnedFd>,
    /// Requests that are answered on one connection, where clients speak HTTP.
    speaks: Option<u64>,
}

impl Listener {
    /// `keep` says that connections stay.
    pub fn new(fd: Arc<OwnedFd>, keep: Keep) -> Listener {
        Listener { fd, last: None, keep, kept: Vec::new(), speaks: None }
    }

    /// Its clients speak that.
    pub fn speaking(self, traffic: &Traffic) -> Listener {
        Listener { speaks: (traffic.protocol == Protocol::Http).then_some(traffic.keep_alive), ..self }
    }

    fn took(&mut self, connection: OwnedFd) {
        if self.keep.now() {
            return self.kept.push(connection);
        }
        let place = self.last.take().and_then(Guest::into_request);
        let request = self.speaks.map(|keep_alive| {
            let mut request = place.unwrap_or_else(|| http::Request::new(keep_alive));
            request.clear();
            request
        });
        self.last = Some(Guest::new(connection, request));
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
        self.last.as_mut().map_or(Ok(()), |guest| guest.reply(claim))
    }

    fn unasked(&self) -> Option<BorrowedFd<'_>> {
        self.last.as_ref().and_then(Guest::unasked)
    }

    fn hang_up(&mut self) {
        if let Some(guest) = &mut self.last {
            guest.hang_up();
        }
    }

    fn detach(&mut self) -> Option<Box<dyn Source + Send>> {
        self.last.take().map(|guest| Box::new(guest) as Box<dyn Source + Send>)
    }

    fn guest(&mut self) -> Option<Box<dyn Source + Send>> {
        let asks = self.speaks.is_some_and(|keep_alive| keep_alive > 1);
        if asks && self.last.as_ref().is_some_and(Guest::is_asking) { self.detach() } else { None }
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

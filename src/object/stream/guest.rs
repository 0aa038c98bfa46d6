//! One client's connection as a worker, or its helper, holds it until the client has had
//! all its answers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::http;
use super::listener::answer;
use crate::cell::contract::{Asleep, Claim, Source};

pub struct Guest {
    /// `None` when it has been closed.
    connection: Option<OwnedFd>,
    /// What the client asks, where it speaks HTTP.
    request: Option<http::Request>,
}

impl Guest {
    pub fn new(connection: OwnedFd, request: Option<http::Request>) -> Guest {
        Guest { connection: Some(connection), request }
    }

    /// Closes the connection; the place for a request serves the next one.
    pub fn into_request(self) -> Option<http::Request> {
        self.request
    }

    /// Whether it is open and its client speaks HTTP.
    pub fn is_asking(&self) -> bool {
        self.connection.is_some() && self.request.is_some()
    }
}

impl Source for Guest {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(OwnedFd::as_fd)
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        // Its connection was the claim.
        Err(Errno::EOPNOTSUPP)
    }

    fn asleep(&self) -> Asleep {
        // Nobody sleeps in a claim of it.
        Asleep::default()
    }

    fn identity(&self) -> u64 {
        self.connection.as_ref().and_then(|fd| nix::sys::stat::fstat(fd).ok()).map_or(0, |stat| stat.st_ino)
    }

    fn reply(&mut self, claim: Claim) -> Result<(), Errno> {
        match (&self.connection, &mut self.request) {
            (Some(connection), Some(request)) => {
                let answered = request.answer(connection.as_fd());
                if answered != Err(Errno::EAGAIN) {
                    // Whose requests are answered, or were none, waits for the end.
                    self.connection = None;
                }
                answered
            }
            (Some(connection), None) => answer(connection.as_fd(), claim),
            (None, _) => Ok(()),
        }
    }

    fn go_on(&mut self) -> Option<Result<bool, Errno>> {
        Some(match self.reply(Claim { tag: 0 }) {
            Ok(()) => Ok(true),
            Err(Errno::EAGAIN) => Ok(false),
            Err(errno) => Err(errno),
        })
    }

    fn unasked(&self) -> Option<BorrowedFd<'_>> {
        self.request.as_ref().and(self.connection.as_ref()).map(OwnedFd::as_fd)
    }

    fn hang_up(&mut self) {
        self.connection = None;
    }
}

//! The least of HTTP/1.0 that a client and a worker need to understand foreigners, and
//! foreigners them: one request, one short answer, and the worker closes.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use crate::sys::socket::send_now;

/// What our own clients send.
pub const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
/// What they and all others are answered.
const RESPONSE: &[u8] =
    b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
/// A request longer than this is none.
const LONGEST: usize = 8192;

/// A request as far as it has come.
pub struct Request {
    text: Box<[u8; LONGEST]>,
    length: usize,
}

impl Request {
    pub fn new() -> Request {
        Request { text: Box::new([0; LONGEST]), length: 0 }
    }

    /// Begins the next one.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Reads what has come, and answers if that is all of it.
    ///
    /// All is read before the close behind it: a close over unread bytes would be a
    /// reset (net/ipv4/tcp.c, __tcp_close), which some clients count as an error.
    ///
    /// # Errors
    /// EAGAIN when the client has not said all yet, EPIPE when it has gone before,
    /// EMSGSIZE when it says too much.
    pub fn answer(&mut self, connection: BorrowedFd<'_>) -> Result<(), Errno> {
        let fd = connection.as_raw_fd();
        while !self.is_whole() {
            // Asked for no bytes, sockets of different families say different things.
            if self.length == LONGEST {
                return Err(Errno::EMSGSIZE);
            }
            match recv(fd, &mut self.text[self.length..], MsgFlags::MSG_DONTWAIT)? {
                0 => return Err(Errno::EPIPE),
                more => self.length += more,
            }
        }
        send_now(connection, RESPONSE).map(drop)
    }

    /// Clients that send a body are not for us, so an empty line is the end.
    fn is_whole(&self) -> bool {
        self.text[..self.length].ends_with(b"\r\n\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_request_may_come_in_pieces() {
        let (mut client, worker) = UnixStream::pair().unwrap();
        let mut request = Request::new();
        assert_eq!(request.answer(worker.as_fd()), Err(Errno::EAGAIN));
        client.write_all(&REQUEST[..7]).unwrap();
        assert_eq!(request.answer(worker.as_fd()), Err(Errno::EAGAIN));
        client.write_all(&REQUEST[7..]).unwrap();
        assert_eq!(request.answer(worker.as_fd()), Ok(()));
        drop(worker);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, RESPONSE);
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        let (mut client, worker) = UnixStream::pair().unwrap();
        let mut request = Request::new();
        client.write_all(&[b'x'; LONGEST]).unwrap();
        assert_eq!(request.answer(worker.as_fd()), Err(Errno::EMSGSIZE));
        request.clear();
        client.write_all(b"GET /").unwrap();
        drop(client);
        assert_eq!(request.answer(worker.as_fd()), Err(Errno::EPIPE));
    }

    #[test]
    fn the_length_in_the_answer_is_that_of_its_body() {
        let text = std::str::from_utf8(RESPONSE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}

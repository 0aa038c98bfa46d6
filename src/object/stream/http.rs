//! The least of HTTP that a client and a worker need to understand foreigners, and
//! foreigners them: a request, a short answer, and the worker closes. With keep-alive it
//! answers so many requests first, and says in the last answer that it is the last.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use crate::sys::socket::send_now;

/// What our own clients send.
pub const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";
/// The same where more requests follow on the connection, and the last of these.
pub const REQUEST_ON: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
pub const REQUEST_LAST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// What they and all others are answered.
const RESPONSE: &[u8] =
    b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
/// The same where the connection stays. ab wants the word, wrk the version.
const RESPONSE_ON: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nok\n";
/// A request longer than this is none.
const LONGEST: usize = 8192;

/// A request as far as it has come.
pub struct Request {
    text: Box<[u8; LONGEST]>,
    length: usize,
    /// Answers on one connection, and how many of them are still to come.
    most: u64,
    left: u64,
}

impl Request {
    /// So many are answered on one connection, at least 1.
    pub fn new(keep_alive: u64) -> Request {
        let most = keep_alive.max(1);
        Request { text: Box::new([0; LONGEST]), length: 0, most, left: most }
    }

    /// Begins the first one of another connection.
    pub fn clear(&mut self) {
        (self.length, self.left) = (0, self.most);
    }

    /// Reads what has come, and answers if that is all of it. `Ok` when that was the last
    /// answer.
    ///
    /// All is read before the close behind it: a close over unread bytes would be a
    /// reset (net/ipv4/tcp.c, __tcp_close), which some clients count as an error.
    ///
    /// # Errors
    /// EAGAIN when the client has not said all yet, or when it has been answered and may
    /// ask again; EPIPE when it has gone before, EMSGSIZE when it says too much.
    pub fn answer(&mut self, connection: BorrowedFd<'_>) -> Result<(), Errno> {
        let fd = connection.as_raw_fd();
        while !self.is_whole() {
            // Asked for no bytes, sockets of different families say different things.
            if self.length == LONGEST {
                return Err(Errno::EMSGSIZE);
            }
            // Between two requests a client may go when it likes.
            let between = self.length == 0 && self.left < self.most;
            match recv(fd, &mut self.text[self.length..], MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::ECONNRESET) if between => return Ok(()),
                Ok(0) => return Err(Errno::EPIPE),
                Ok(more) => self.length += more,
                Err(errno) => return Err(errno),
            }
        }
        self.left -= 1;
        if self.left == 0 || !self.stays() {
            return send_now(connection, RESPONSE).map(drop);
        }
        self.length = 0;
        send_now(connection, RESPONSE_ON)?;
        Err(Errno::EAGAIN)
    }

    /// Whether the client wants the connection to stay: from HTTP/1.1 on unless it says no,
    /// before that if it says so.
    fn stays(&self) -> bool {
        let text = &self.text[..self.length];
        let says = |word: &[u8]| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
        match says(b" HTTP/1.0\r\n") {
            true => says(b"Connection: keep-alive\r\n"),
            false => !says(b"Connection: close\r\n"),
        }
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
        let mut request = Request::new(1);
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
        let mut request = Request::new(1);
        client.write_all(&[b'x'; LONGEST]).unwrap();
        assert_eq!(request.answer(worker.as_fd()), Err(Errno::EMSGSIZE));
        request.clear();
        client.write_all(b"GET /").unwrap();
        drop(client);
        assert_eq!(request.answer(worker.as_fd()), Err(Errno::EPIPE));
    }

    #[test]
    fn a_connection_stays_as_long_as_both_want_it() {
        for (asks, answers) in [
            (vec![REQUEST_ON, REQUEST_LAST], vec![RESPONSE_ON, RESPONSE]),
            // The worker has had enough of it.
            (vec![REQUEST_ON; 3], vec![RESPONSE_ON, RESPONSE_ON, RESPONSE]),
            (vec![REQUEST], vec![RESPONSE]),
            (vec![b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", REQUEST], vec![RESPONSE_ON, RESPONSE]),
        ] {
            let (mut client, worker) = UnixStream::pair().unwrap();
            let mut request = Request::new(3);
            let mut answered = Err(Errno::EAGAIN);
            for ask in asks {
                assert_eq!(answered, Err(Errno::EAGAIN));
                client.write_all(ask).unwrap();
                answered = request.answer(worker.as_fd());
            }
            assert_eq!(answered, Ok(()));
            drop(worker);
            let mut text = Vec::new();
            client.read_to_end(&mut text).unwrap();
            assert_eq!(text, answers.concat());
        }
    }

    #[test]
    fn a_client_may_go_between_two_requests() {
        let (mut client, worker) = UnixStream::pair().unwrap();
        let mut request = Request::new(9);
        client.write_all(REQUEST_ON).unwrap();
        assert_eq!(request.answer(worker.as_fd()), Err(Errno::EAGAIN));
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(request.answer(worker.as_fd()), Ok(()));
    }

    #[test]
    fn the_length_in_the_answer_is_that_of_its_body() {
        for text in [RESPONSE, RESPONSE_ON].map(|text| std::str::from_utf8(text).unwrap()) {
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        }
    }
}

//! Where an HTTP answer ends, what its status is, and whether its connection stays.
//! The head is httparse's work; of the body nothing is kept. Touches no socket.

use super::chunks::Chunks;

/// A longer head than this is none.
const LONGEST: usize = 64 * 1024;
/// As many lines of a head are read.
const LINES: usize = 100;

/// An answer that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    pub status: u16,
    /// The server will take another request on this connection.
    pub stays: bool,
}

/// What came is no HTTP answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad;

#[derive(Clone, Copy, Debug)]
enum Body {
    Left(u64),
    Chunks(Chunks),
    UntilClose,
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
pub struct Answer {
    /// A head that did not come whole.
    head: Vec<u8>,
    /// Of an answer whose head is whole.
    body: Option<(Whole, Body)>,
}

impl Answer {
    /// Nothing of it has come.
    pub fn is_fresh(&self) -> bool {
        self.head.is_empty() && self.body.is_none()
    }

    /// Reads on. `Some` when that was all of it; it is then ready for the next one.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<Whole>, Bad> {
        if self.head.is_empty() {
            // Most heads come whole, and are read where they are.
            return self.go_on(bytes);
        }
        let mut head = std::mem::take(&mut self.head);
        head.extend_from_slice(bytes);
        self.go_on(&head)
    }

    fn go_on(&mut self, mut bytes: &[u8]) -> Result<Option<Whole>, Bad> {
        while self.body.is_none() {
            let Some((length, status, found)) = head(bytes)? else {
                if bytes.len() > LONGEST {
                    return Err(Bad);
                }
                self.head.extend_from_slice(bytes);
                return Ok(None);
            };
            bytes = &bytes[length..];
            // An interim answer (100 Continue, 103 Early Hints): the real one follows.
            if status >= 200 {
                self.body = Some(found);
            } else if bytes.is_empty() {
                return Ok(None);
            }
        }
        self.rest(bytes)
    }

    fn rest(&mut self, bytes: &[u8]) -> Result<Option<Whole>, Bad> {
        let (whole, body) = self.body.as_mut().ok_or(Bad)?;
        let (whole, over) = (
            *whole,
            match body {
                Body::UntilClose => None,
                Body::Left(left) => {
                    let used = (*left).min(bytes.len() as u64);
                    *left -= used;
                    (*left == 0).then_some(used as usize)
                }
                Body::Chunks(chunks) => chunks.read(bytes).map_err(|_| Bad)?,
            },
        );
        match over {
            None => Ok(None),
            // Nobody asked for more.
            Some(used) if used < bytes.len() => Err(Bad),
            Some(_) => {
                self.body = None;
                Ok(Some(whole))
            }
        }
    }

    /// The server has closed its end: the end of an answer whose length it did not say.
    pub fn closed(self) -> Option<Whole> {
        match self.body {
            Some((whole, Body::UntilClose)) => Some(whole),
            _ => None,
        }
    }
}

type Head = (usize, u16, (Whole, Body));

/// The length of the head, its status and what follows; `None` if it is not whole.
fn head(bytes: &[u8]) -> Result<Option<Head>, Bad> {
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut read = httparse::Response::new(&mut lines);
    let httparse::Status::Complete(length) = read.parse(bytes).map_err(|_| Bad)? else {
        return Ok(None);
    };
    let status = read.code.ok_or(Bad)?;
    // HTTP/1.1 connections stay unless closed, those of 1.0 are closed unless they stay.
    let mut stays = read.version == Some(1);
    let mut body = Body::UntilClose;
    for line in read.headers.iter() {
        let has =
            |word: &[u8]| line.value.split(|b| *b == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word));
        if line.name.eq_ignore_ascii_case("content-length") && !matches!(body, Body::Chunks(_)) {
            let text = std::str::from_utf8(line.value).map_err(|_| Bad)?;
            body = Body::Left(text.trim().parse().map_err(|_| Bad)?);
        } else if line.name.eq_ignore_ascii_case("transfer-encoding") && has(b"chunked") {
            body = Body::Chunks(Chunks::default());
        } else if line.name.eq_ignore_ascii_case("connection") {
            stays = if has(b"close") { false } else { stays || has(b"keep-alive") };
        }
    }
    if matches!(status, 204 | 304) {
        body = Body::Left(0);
    }
    stays &= !matches!(body, Body::UntilClose);
    Ok(Some((length, status, (Whole { status, stays }, body))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole, in two pieces cut anywhere, and byte by byte, it comes to the same.
    #[track_caller]
    fn check(text: &str, want: Result<Option<Whole>, Bad>) {
        let bytes = text.as_bytes();
        assert_eq!(Answer::default().read(bytes), want, "whole");
        for cut in 1..bytes.len() {
            let mut answer = Answer::default();
            let first = answer.read(&bytes[..cut]);
            let got = if first == Ok(None) { answer.read(&bytes[cut..]) } else { first };
            if want.is_ok() {
                assert_eq!(got, want, "cut at {cut}");
            }
        }
    }

    fn whole(status: u16, stays: bool) -> Result<Option<Whole>, Bad> {
        Ok(Some(Whole { status, stays }))
    }

    #[test]
    fn the_end_is_where_the_head_says() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", whole(200, true));
        check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n", whole(200, false));
        check("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n", whole(200, false));
        check("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nok\n", whole(200, true));
        check("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n", whole(404, true));
        check("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", whole(304, true));
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", whole(204, true));
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", Ok(None));
    }

    #[test]
    fn an_answer_without_a_length_ends_with_its_connection() {
        let mut answer = Answer::default();
        assert_eq!(answer.read(b"HTTP/1.1 200 OK\r\n\r\nsome"), Ok(None));
        assert_eq!(answer.closed(), Some(Whole { status: 200, stays: false }));
        // One that is cut short is no answer.
        let mut answer = Answer::default();
        assert_eq!(answer.read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome"), Ok(None));
        assert_eq!(answer.closed(), None);
    }

    #[test]
    fn one_after_the_other_on_one_connection() {
        let mut answer = Answer::default();
        for _ in 0..3 {
            assert_eq!(answer.read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), Ok(None));
            assert_eq!(answer.read(b"ok\n"), whole(200, true));
            assert!(answer.is_fresh());
        }
    }

    #[test]
    fn what_is_no_answer_is_said() {
        check("SSH-2.0-OpenSSH_9.2\r\n", Err(Bad));
        check("HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\n", Err(Bad));
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\n", Err(Bad));
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nok\n", Err(Bad));
        let mut answer = Answer::default();
        let endless = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; LONGEST]].concat();
        assert_eq!(answer.read(&endless), Err(Bad));
    }
}

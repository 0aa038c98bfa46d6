//! How visits come to their end: answered, cut off, refused, out of patience, or answered
//! with what is no HTTP; and when there is no server any more.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::{Stop, Visitors};
use crate::client::answer::Whole;
use crate::client::latency::note;
use crate::sys::clock::now_ns;

/// So many in a row without an answer, or two for each client where that is more, and
/// the server is given up.
const IN_A_ROW: u64 = 100;

impl Visitors<'_> {
    pub(super) fn heard(&mut self, place: usize) {
        let Some(client) = self.places.get_mut(place) else { return };
        if client.unsent {
            return self.say(place);
        }
        let heard = recv(client.end.as_raw_fd(), &mut self.buffer[..], MsgFlags::MSG_DONTWAIT);
        match heard {
            Err(Errno::EAGAIN) => {}
            // Nothing was asked: the server closes one that stayed, or is none.
            _ if client.idle => {
                self.places.take(place);
                self.idle.retain(|idle| *idle != place);
            }
            Ok(0) => {
                let answer = std::mem::take(&mut client.answer);
                let fresh = answer.is_fresh();
                match answer.closed() {
                    Some(whole) => self.answered(place, whole),
                    None if fresh => self.cut_off(place, Errno::ECONNRESET),
                    None => self.fail(place, Errno::ECONNRESET),
                }
            }
            Err(errno) if client.answer.is_fresh() => self.cut_off(place, errno),
            Err(errno) => self.fail(place, errno),
            Ok(length) => match client.answer.read(&self.buffer[..length]) {
                Ok(None) => {}
                Ok(Some(whole)) => self.answered(place, whole),
                Err(_) => {
                    let said: String = self.buffer[..length.min(40)].escape_ascii().to_string();
                    let counts = self.leave(place) >= self.seen.began_ns;
                    self.seen.errors.bad_answer += u64::from(counts);
                    self.unanswered(format!("it answers \"{said}\", which is no HTTP"), self.soon(true));
                }
            },
        }
    }

    fn answered(&mut self, place: usize, whole: Whole) {
        // When this one has its answer: with many at once, those before it took time.
        let now = now_ns();
        self.ever += 1;
        self.in_a_row = 0;
        self.starved = false;
        let client = &mut self.places[place];
        if client.intended >= self.seen.began_ns {
            self.seen.answered += 1;
            self.seen.last_ns = now;
            note(&mut self.seen.latency, now.saturating_sub(client.intended));
            note(&mut self.seen.from_making, now.saturating_sub(client.made));
            if whole.status >= 400 {
                *self.seen.errors.status.entry(whole.status).or_default() += 1;
            }
        }
        if self.keep_alive && whole.stays {
            client.served += 1;
            client.idle = true;
            self.places.rest(place);
            self.idle.push(place);
        } else {
            self.leave(place);
        }
    }

    /// A client leaves; returns when it was to start.
    fn leave(&mut self, place: usize) -> u64 {
        self.starved = false;
        self.places.take(place).map_or(0, |client| client.intended)
    }

    /// The connection ended before anything of the answer came.
    pub(super) fn cut_off(&mut self, place: usize, errno: Errno) {
        let client = &self.places[place];
        if client.served == 0 {
            return self.fail(place, errno);
        }
        // No more requests after a signal, nor once more: this one stays under way.
        if self.stop.is_some() {
            self.leave(place);
            return;
        }
        // A server may close a connection that stays whenever nothing is asked on it, and
        // what was asked just then was not looked at: once more, on a new one.
        let (intended, made) = (client.intended, client.made);
        self.leave(place);
        self.seen.again += 1;
        // Made when it was, for its latency; but the patience of a new connection is new, or
        // it would give up out of turn.
        if let Err(e) = self.connect(intended, made, now_ns() + self.patience_ns) {
            self.lost(intended, e.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw));
        }
    }

    fn fail(&mut self, place: usize, errno: Errno) {
        let intended = self.leave(place);
        self.lost(intended, errno);
    }

    pub(super) fn lost(&mut self, intended: u64, errno: Errno) {
        if intended >= self.seen.began_ns {
            let errors = &mut self.seen.errors;
            *match errno {
                Errno::ECONNREFUSED | Errno::EAGAIN | Errno::ENOENT => &mut errors.refused,
                Errno::ECONNRESET | Errno::EPIPE => &mut errors.reset,
                _ => &mut errors.failed,
            } += 1;
        }
        let nobody = matches!(errno, Errno::ECONNREFUSED | Errno::ENOENT | Errno::EACCES);
        self.unanswered(errno.desc().into(), self.soon(nobody));
    }

    /// So many in a row, and there is no server any more: one, where none was ever seen.
    fn soon(&self, sure: bool) -> u64 {
        if sure && self.ever == 0 { 1 } else { IN_A_ROW.max(2 * self.most) }
    }

    /// One more without an answer: what it got instead, and how many of them in a row
    /// are enough.
    pub(super) fn unanswered(&mut self, what: String, enough: u64) {
        self.in_a_row += 1;
        if self.in_a_row >= enough && self.stop.is_none() {
            self.stop = Some(Stop::Gone(what));
        }
    }
}

//! How clients come to their end: answered, cut off, refused, or out of patience.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::{Client, HEARS, Traffic};
use crate::cell::tally::Tally;
use crate::sys::clock::now_ns;
use crate::sys::socket::send_now;

impl Traffic {
    /// Something came to a client: its answer, or its end.
    pub(super) fn heard(&mut self, place: usize, tally: &mut Tally) {
        let Some(client) = self.clients.get_mut(place) else {
            return;
        };
        let mut answer = [0; 512];
        let end = client.end.as_raw_fd();
        // All of it: a fresh socket buffer has room.
        let heard = match client.unsent.map(|request| send_now(client.end.as_fd(), request)) {
            None => recv(end, &mut answer, MsgFlags::MSG_DONTWAIT),
            Some(Err(errno)) => Err(errno),
            Some(Ok(_)) => {
                client.unsent = None;
                match self.ears.change(&client.end, HEARS, place as u64) {
                    Ok(()) => return,
                    Err(errno) => Err(errno),
                }
            }
        };
        if heard == Err(Errno::EAGAIN) {
            return;
        }
        if matches!(heard, Ok(1..)) && self.ask_on(place) {
            return;
        }
        // When this one has its answer: with many at once, those before it took time.
        let now = now_ns();
        let client = self.clients.take(place).expect("looked at above");
        self.flight.ends(now);
        self.starved = false;
        match heard {
            Ok(1..) => self.served(client.intended, now),
            // Where nobody answers, a worker that closes its end has had it.
            Ok(_) if !self.replies => {
                self.forget(client.tag, place);
                return self.served(client.intended, now);
            }
            Err(Errno::ECONNREFUSED) => self.seen.refused += 1,
            Ok(_) | Err(Errno::ECONNRESET | Errno::EPIPE) => self.seen.reset += 1,
            Err(_) => self.seen.failed += 1,
        }
        if !matches!(heard, Ok(1..)) {
            self.abandon(&client, place, tally);
        }
    }

    /// A client that has its answer asks for more, if it is to; its next latency counts
    /// from here.
    fn ask_on(&mut self, place: usize) -> bool {
        let client = &mut self.clients[place];
        if client.asks.more == 0 {
            return false;
        }
        client.asks.more = if self.cut { 0 } else { client.asks.more - 1 };
        let now = now_ns();
        let intended = std::mem::replace(&mut client.intended, now);
        let text = if client.asks.more == 0 { client.asks.last } else { client.asks.next };
        // Its buffer is empty: all before was answered. One that has gone is heard of next.
        let _ = send_now(client.end.as_fd(), text);
        self.clients.begin(place, now + self.patience_ns);
        self.answered(intended, now);
        true
    }

    /// Answers on a connection that stays; each is the number of its message.
    pub(super) fn answers(&mut self, end: i32) {
        let mut buffer = [0; 1024];
        let Ok(length) = recv(end, &mut buffer, MsgFlags::MSG_DONTWAIT) else {
            return;
        };
        let now = now_ns();
        // Four bytes that were sent at once come at once on loopback.
        for answer in buffer[..length].chunks_exact(4) {
            let number = u32::from_ne_bytes(answer.try_into().expect("chunks of four"));
            if let Some(intended) = self.messages.remove(&number) {
                self.flight.ends(now);
                self.served(intended, now);
            }
        }
    }

    /// Ends the clients whose patience is over.
    pub(super) fn give_up(&mut self, now: u64, tally: &mut Tally) {
        while let Some((place, client)) = self.clients.expired(now) {
            self.flight.ends(now);
            self.starved = false;
            self.seen.timed_out += 1;
            self.abandon(&client, place, tally);
        }
        // Messages that were answered are let go at once, as clients are.
        while let Some((_, number)) =
            self.deadlines.front().copied().filter(|due| due.0 <= now || !self.messages.contains_key(&due.1))
        {
            self.deadlines.pop_front();
            if self.messages.remove(&number).is_some() {
                self.flight.ends(now);
                self.seen.timed_out += 1;
            }
        }
    }

    /// Makes no more events, and gives those that are open so long to end. Who would ask
    /// many times more asks once: only that request tells the server to close.
    pub fn cut_short(&mut self, grace_ns: u64) {
        self.cut = true;
        self.pacer.stop();
        let last = now_ns() + grace_ns;
        self.clients.hurry(last);
        self.deadlines.iter_mut().for_each(|due| due.0 = due.0.min(last));
    }

    /// A client that was not served; a claim of it is no longer waited for, and its
    /// port may soon be another's.
    fn abandon(&mut self, client: &Client, place: usize, tally: &mut Tally) {
        self.forget(client.tag, place);
        if client.tag != 0 {
            tally.open.close(client.tag);
        }
    }

    /// A claim with that tag is not this client's any more.
    fn forget(&mut self, tag: u32, place: usize) {
        if let Some(places) = self.places.get_mut(&tag) {
            places.retain(|other| *other != place);
        }
    }
}

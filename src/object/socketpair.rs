//! A pair of connected unix sockets whose reading end all workers share; one
//! event is one datagram, or one byte of a stream.
//!
//! They look alike and are not. Datagram readers sleep in
//! `__skb_wait_for_more_packets` (net/core/datagram.c), which queues them
//! exclusively: `sock_def_readable` wakes one. Stream readers sleep in
//! `unix_stream_data_wait` (net/unix/af_unix.c), which calls `prepare_to_wait`:
//! each byte wakes all of them, and the losers queue up for the socket's iolock.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use socket2::{Domain, Socket, Type};

use super::Object;
use super::two_ends::{Ends, Reading, Tags, open_each, refuse_address, refuse_more_than};
use crate::cell::contract::{Call, During, Opened, SetupError};
use crate::experiment::Settings;

/// socketpair(AF_UNIX).
pub struct Pair {
    stream: bool,
}

pub const DATAGRAM: Pair = Pair { stream: false };
pub const STREAM: Pair = Pair { stream: true };

/// What one message costs the sender's buffer, headers and all, is less than 1 KiB.
const COST: usize = 1024;
const ROOM: u64 = 200;

impl Object for Pair {
    fn name(&self) -> &'static str {
        if self.stream { "unix-pair" } else { "unix-dgram" }
    }

    fn about(&self) -> &'static str {
        if self.stream {
            "unix stream pair, read by all workers; an event is one byte"
        } else {
            "unix datagram pair, read by all workers; an event is one datagram"
        }
    }

    fn takes_requests(&self, _: &Settings) -> bool {
        true
    }

    fn sends_signals(&self, _: &Settings) -> bool {
        true
    }

    fn queues(&self) -> bool {
        true
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let full = || refuse_more_than(ROOM, settings, "a socket buffer of the default size holds 200 messages");
        refuse_address(settings, self.name()).or_else(full)
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        let kind = if self.stream { Type::STREAM } else { Type::DGRAM };
        let how = Reading { size: if self.stream { 1 } else { 4 }, tagged: !self.stream, by_uring: true };
        open_each(settings, |number| {
            let (theirs, ours) = Socket::pair(Domain::UNIX, kind, None).during(Call::Socketpair)?;
            theirs.set_nonblocking(!block).during(Call::Fcntl)?;
            // A full buffer must be an error, not a coordinator asleep.
            ours.set_nonblocking(true).during(Call::Fcntl)?;
            // The kernel doubles it, and caps it at net.core.wmem_max.
            ours.set_send_buffer_size(ROOM as usize * COST / 2).during(Call::Setsockopt)?;
            let mut tags = Tags::of_object(number);
            let stream = self.stream;
            let fire = move || {
                let tag = if stream { 0 } else { tags.next() };
                let message = tag.to_ne_bytes();
                ours.send(if stream { &message[..1] } else { &message }).during(Call::Send)?;
                Ok(tag)
            };
            Ok(Ends::new(Arc::new(OwnedFd::from(theirs)), how, number, fire))
        })
    }
}

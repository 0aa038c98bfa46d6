//! A channel on which one worker gives connections to the others: a pair of
//! unix sockets and SCM_RIGHTS (unix(7)).
//!
//! SOCK_SEQPACKET: one message is one connection, whoever receives it, and a
//! full queue makes the giver sleep instead of losing anything. Nothing here
//! allocates, since it runs between a worker's return and its claim.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::shared::SharedRows;

/// Both ends, and who has come for one already.
pub struct Handover {
    giver: OwnedFd,
    taker: OwnedFd,
    seats: SharedRows<1>,
}

/// Room for one control message with one descriptor, aligned as its header.
#[repr(C, align(8))]
struct Control([u8; 64]);

const ONE: libc::c_uint = size_of::<RawFd>() as libc::c_uint;

impl Handover {
    pub fn new() -> io::Result<Handover> {
        let (giver, taker) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(io::Error::from)?;
        Ok(Handover { giver, taker, seats: SharedRows::new(1)? })
    }

    /// How many workers, of any process, have asked before.
    pub fn take_seat(&self) -> u64 {
        self.seats.row(0)[0].fetch_add(1, Ordering::Relaxed)
    }

    pub fn giver(&self) -> BorrowedFd<'_> {
        self.giver.as_fd()
    }

    pub fn taker(&self) -> BorrowedFd<'_> {
        self.taker.as_fd()
    }
}

/// Sends `connection` away; ours may then be closed.
pub fn give(giver: BorrowedFd<'_>, connection: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut byte = 0u8;
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    let message = message(&mut part, &mut control);
    // SAFETY: the message names one part and the control buffer, all of them
    // live; the buffer is aligned for a header and has CMSG_SPACE(4) bytes, so
    // the first header and its data lie inside it.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(ONE) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(connection.as_raw_fd());
        libc::sendmsg(giver.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    Errno::result(sent).map(drop)
}

/// Sleeps until a connection comes. EMFILE when there was no room for it.
pub fn take(taker: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut byte = 0u8;
    let mut part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let mut control = Control([0; 64]);
    let mut message = message(&mut part, &mut control);
    // SAFETY: as in give; the kernel writes at most the lengths named there.
    let got = unsafe { libc::recvmsg(taker.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    Errno::result(got)?;
    // SAFETY: the kernel has set the control length; CMSG_FIRSTHDR gives a header
    // inside the buffer or null, and SCM_RIGHTS has a descriptor behind it, which
    // was made for us alone.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
            return Err(Errno::EMFILE);
        }
        Ok(OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()))
    }
}

/// A message of one part with room for one descriptor.
fn message(part: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: all zeroes is a valid msghdr: no name, no parts, no control.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE only computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(ONE) } as _;
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_taken() {
        let channel = Handover::new().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        give(channel.giver(), file.as_fd()).unwrap();
        let got = take(channel.taker()).unwrap();
        let inode = |fd: BorrowedFd<'_>| nix::sys::stat::fstat(fd).unwrap().st_ino;
        assert_eq!(inode(got.as_fd()), inode(file.as_fd()));
        assert_ne!(got.as_raw_fd(), file.as_raw_fd());
    }

    #[test]
    fn seats_are_counted() {
        let channel = Handover::new().unwrap();
        assert_eq!((channel.take_seat(), channel.take_seat()), (0, 1));
    }
}

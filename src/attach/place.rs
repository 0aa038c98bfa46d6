//! Where a thread sleeps, and whether that is at a listener: its call and arguments, the
//! list of its epoll instance, and for poll and select the list in its memory, which is
//! only read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::cell::contract::{EPOLL_WAIT, POLL, SELECT};
use crate::sighting::{Place, RingRequest, Waits};
use crate::sys::calls::ACCEPT;

/// EPOLLEXCLUSIVE of include/uapi/linux/eventpoll.h.
const EXCLUSIVE: u64 = 1 << 28;
/// IORING_ENTER_REGISTERED_RING of include/uapi/linux/io_uring.h.
const REGISTERED: u64 = 1 << 4;
/// IORING_OP_ACCEPT; IORING_OP_POLL_ADD and IORING_OP_EPOLL_WAIT.
const ACCEPT_REQUEST: u8 = 13;
const POLL_REQUESTS: [u8; 2] = [6, 59];
/// Requests that move data of connections there are, or make one: READV, WRITEV, both
/// FIXED, SENDMSG, RECVMSG, CONNECT, READ, WRITE, SEND, RECV, both zero-copy sends, the
/// multishot read, the zero-copy receive.
const DATA_REQUESTS: [u8; 15] = [1, 2, 4, 5, 9, 10, 16, 22, 23, 26, 27, 47, 48, 49, 58];
/// More descriptors than this in one poll or select are not looked at.
const MOST: usize = 1 << 16;

/// Calls in which servers sleep for other reasons.
const CALLS: &[(i64, &str)] = &[
    (libc::SYS_read, "read"),
    (libc::SYS_readv, "readv"),
    (libc::SYS_write, "write"),
    (libc::SYS_recvfrom, "recv"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_sendto, "send"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_wait4, "wait4"),
    (libc::SYS_waitid, "waitid"),
    (libc::SYS_rt_sigsuspend, "sigsuspend"),
    (libc::SYS_rt_sigtimedwait, "sigtimedwait"),
    (libc::SYS_nanosleep, "nanosleep"),
    (libc::SYS_clock_nanosleep, "clock_nanosleep"),
    (libc::SYS_restart_syscall, "restart_syscall"),
];

/// A process, as far as it says where its threads sleep.
pub struct Holder<'a> {
    pub pid: u32,
    /// Its sockets, by descriptor.
    pub sockets: &'a BTreeMap<u32, u64>,
    /// Those that listen, of the ones we ask about.
    pub listening: &'a dyn Fn(u64) -> bool,
}

/// Where a thread sleeps, and the descriptor of its epoll instance.
pub struct Spot {
    pub place: Place,
    pub epoll: Option<u32>,
}

impl Spot {
    pub(super) fn new(waits: Waits, call: impl Into<String>) -> Spot {
        let place =
            Place { waits, call: call.into(), listeners: Vec::new(), exclusive: None, instance: None, request: None };
        Spot { place, epoll: None }
    }

    fn at(mut self, listeners: Vec<u64>, exclusive: Option<bool>) -> Spot {
        if listeners.is_empty() {
            self.place.waits = Waits::Elsewhere;
        } else {
            self.place.exclusive = exclusive;
        }
        self.place.listeners = listeners;
        self
    }
}

/// Where the thread sleeps that is in this call, as `Task::call` gives it.
pub fn spot(holder: &Holder<'_>, call: Option<&[i64]>) -> Spot {
    let Some(call) = call else {
        return Spot::new(Waits::Elsewhere, "running");
    };
    let argument = |at: usize| call.get(at + 1).copied().unwrap_or(0) as u64;
    let number = call.first().copied().unwrap_or(-1);
    // A descriptor is an int: the upper half of the register means nothing.
    let fd = argument(0) as u32;
    if ACCEPT.contains(&number) {
        let found = holder.listener(fd).into_iter().collect();
        return Spot::new(Waits::Accept, format!("accept on {fd}")).at(found, Some(true));
    }
    if EPOLL_WAIT.contains(&number) || number == libc::SYS_epoll_pwait2 {
        let (found, exclusive) = holder.in_epoll(fd);
        let mut spot = Spot::new(Waits::Epoll, format!("epoll_wait on {fd}")).at(found, exclusive);
        spot.epoll = Some(fd);
        return spot;
    }
    if POLL.contains(&number) {
        let found = holder.in_poll(argument(0), argument(1) as usize);
        return Spot::new(Waits::Poll, "poll").at(found, Some(false));
    }
    if SELECT.contains(&number) {
        let found = holder.in_select(argument(1), argument(0) as usize);
        return Spot::new(Waits::Select, "select").at(found, Some(false));
    }
    if number == libc::SYS_io_uring_enter {
        // Of a ring that is registered with the kernel we have no descriptor.
        let registered = argument(3) & REGISTERED != 0;
        let asked = if registered { Asked::Unknown } else { asked(&holder.fdinfo(fd)) };
        let all = holder.sockets.values().copied().filter(|inode| (holder.listening)(*inode));
        let found = if asked == Asked::Others { Vec::new() } else { all.collect() };
        // The number of a registered ring is an index, and no descriptor.
        let call = if registered { "io_uring_enter".into() } else { format!("io_uring_enter on {fd}") };
        let mut spot = Spot::new(Waits::IoUring, call).at(found, None);
        if let Asked::For(request) = asked {
            spot.place.request = Some(request);
        }
        return spot;
    }
    if let Some(name) = lock(number, argument(1)) {
        return Spot::new(Waits::Lock, name);
    }
    let known = CALLS.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
    Spot::new(Waits::Elsewhere, known.unwrap_or_else(|| format!("call {number}")))
}

/// The calls in which one waits for a lock; `second` tells the kinds of fcntl apart.
fn lock(number: i64, second: u64) -> Option<&'static str> {
    let fcntl = [libc::F_SETLKW, libc::F_OFD_SETLKW];
    match number {
        libc::SYS_futex => Some("futex"),
        libc::SYS_flock => Some("flock"),
        libc::SYS_fcntl if fcntl.contains(&(second as i32)) => Some("fcntl lock"),
        libc::SYS_semop | libc::SYS_semtimedop => Some("semop"),
        _ => None,
    }
}

impl Holder<'_> {
    /// The listener behind a descriptor, if it is one.
    fn listener(&self, fd: u32) -> Option<u64> {
        self.sockets.get(&fd).copied().filter(|inode| (self.listening)(*inode))
    }

    /// Listeners in an epoll instance, and whether all are there with EPOLLEXCLUSIVE.
    fn in_epoll(&self, fd: u32) -> (Vec<u64>, Option<bool>) {
        let text = self.fdinfo(fd);
        let watched = text.lines().filter_map(watched);
        let found = watched.filter_map(|(fd, events, inode)| {
            // Its descriptor may be closed here by now; the inode stands since Linux 4.13.
            let inode = inode.filter(|inode| (self.listening)(*inode)).or_else(|| self.listener(fd))?;
            Some((inode, events & EXCLUSIVE != 0))
        });
        let found: Vec<(u64, bool)> = found.collect();
        let exclusive = found.iter().all(|(_, exclusive)| *exclusive);
        (found.into_iter().map(|(inode, _)| inode).collect(), Some(exclusive))
    }

    /// What the kernel says of a descriptor; nothing where there is none.
    fn fdinfo(&self, fd: u32) -> String {
        fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", self.pid)).unwrap_or_default()
    }

    /// Listeners in an array of `struct pollfd`.
    fn in_poll(&self, address: u64, count: usize) -> Vec<u64> {
        let bytes = self.memory(address, count.min(MOST) * 8);
        let fds = bytes.chunks_exact(8).map(|entry| u32::from_ne_bytes([entry[0], entry[1], entry[2], entry[3]]));
        fds.filter_map(|fd| self.listener(fd)).collect()
    }

    /// Listeners in an fd_set to read, of so many bits.
    fn in_select(&self, address: u64, bits: usize) -> Vec<u64> {
        if address == 0 {
            return Vec::new();
        }
        // Whole words of 8 bytes: on big endian a bit's byte depends on the word.
        let bytes = self.memory(address, bits.min(MOST).div_ceil(64) * 8);
        let set = |fd: &usize| {
            let word = bytes.get(fd / 64 * 8..fd / 64 * 8 + 8).and_then(|word| word.try_into().ok());
            word.is_some_and(|word| u64::from_ne_bytes(word) >> (fd % 64) & 1 == 1)
        };
        (0..bits.min(MOST)).filter(set).filter_map(|fd| self.listener(fd as u32)).collect()
    }

    /// Empty where we may not look.
    fn memory(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let read =
            File::open(format!("/proc/{}/mem", self.pid)).and_then(|file| file.read_exact_at(&mut bytes, address));
        if read.is_ok() { bytes } else { Vec::new() }
    }
}

/// What a ring waits for that is armed as a poll, as an accept is which finds no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    For(RingRequest),
    /// Only for data of connections that it has.
    Others,
    /// The kernel does not say: an old one, a registered ring, a request in a thread of
    /// its own.
    Unknown,
}

/// `PollList:` and a line `  op=13, task_works=0` for each (io_uring/fdinfo.c); the
/// numbers are those of include/uapi/linux/io_uring.h.
fn asked(text: &str) -> Asked {
    let operations: Vec<u8> = text
        .lines()
        .skip_while(|line| !line.starts_with("PollList:"))
        .filter_map(|line| line.trim_start().strip_prefix("op=")?.split(',').next()?.parse().ok())
        .collect();
    match operations.as_slice() {
        [] => Asked::Unknown,
        all if all.contains(&ACCEPT_REQUEST) => Asked::For(RingRequest::Accept),
        all if all.iter().any(|operation| POLL_REQUESTS.contains(operation)) => Asked::For(RingRequest::Poll),
        all if all.iter().all(|operation| DATA_REQUESTS.contains(operation)) => Asked::Others,
        _ => Asked::Unknown,
    }
}

/// `tfd:        6 events: 10000019 data: .. pos:0 ino:4711 sdev:8` (proc_pid_fdinfo(5)):
/// descriptor, events, inode.
fn watched(line: &str) -> Option<(u32, u64, Option<u64>)> {
    let rest = line.strip_prefix("tfd:")?;
    let mut words = rest.split_ascii_whitespace();
    let fd = words.next()?.parse().ok()?;
    let events = words.nth(1).and_then(|events| u64::from_str_radix(events, 16).ok())?;
    let inode = rest.split_ascii_whitespace().find_map(|word| word.strip_prefix("ino:"));
    Some((fd, events, inode.and_then(|inode| u64::from_str_radix(inode, 16).ok())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::{AsRawFd, OwnedFd};

    use crate::sys::ring::{Operation, Ring, Setup};

    #[test]
    fn the_list_of_an_epoll_instance_is_read() {
        let line = "tfd:        6 events: 10000019 data:         55aa0000  pos:0 ino:1f sdev:8";
        assert_eq!(watched(line), Some((6, 0x1000_0019, Some(0x1f))));
        assert_eq!(watched("tfd: 6 events: 19 data: 0"), Some((6, 0x19, None)));
        assert_eq!(watched("pos:\t0"), None);
    }

    #[test]
    fn what_a_ring_waits_for_is_read() {
        let ring = |operations: &str| format!("pos:\t0\nUserBufs:\t0\nPollList:\n{operations}CqOverflowList:\n");
        let line = |operation: u32| format!("  op={operation}, task_works=0\n");
        assert_eq!(asked(&ring(&line(13))), Asked::For(RingRequest::Accept));
        assert_eq!(asked(&ring(&line(6))), Asked::For(RingRequest::Poll));
        // Its clients' data beside the listener; data alone (IORING_OP_RECV).
        assert_eq!(asked(&ring(&(line(27) + &line(13)))), Asked::For(RingRequest::Accept));
        assert_eq!(asked(&ring(&line(27))), Asked::Others);
        assert_eq!(asked(&ring(&(line(27) + &line(59)))), Asked::For(RingRequest::Poll));
        // One that is not known may be for connections.
        assert_eq!(asked(&ring(&(line(27) + &line(99)))), Asked::Unknown);
        for unknown in ["", "pos:\t0\n", &ring("")] {
            assert_eq!(asked(unknown), Asked::Unknown, "{unknown}");
        }
    }

    /// The kernel's own words, on rings of ours.
    #[test]
    fn who_waits_at_a_ring_for_connections_is_told_from_who_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let us = std::process::id();
        let sockets = super::super::sockets::held(us).unwrap();
        let inode = sockets[&(listener.as_raw_fd() as u32)];
        let holder = Holder { pid: us, sockets: &sockets, listening: &|other| other == inode };
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        let found = |requests: Vec<(OwnedFd, Operation)>, flags: i64| {
            let mut ring =
                Ring::new(4, Setup::Plain).inspect_err(|e| eprintln!("skipped: io_uring_setup: {e}")).ok()?;
            for (mark, (fd, operation)) in requests.into_iter().enumerate() {
                let request = ring.add(fd, operation, mark);
                ring.ask(request).unwrap();
            }
            ring.enter(0).unwrap();
            let call = [libc::SYS_io_uring_enter, i64::from(ring.as_raw_fd()), 0, 1, flags];
            let place = spot(&holder, Some(&call)).place;
            Some((place.waits, place.request, place.listeners))
        };
        let ours = || OwnedFd::from(listener.try_clone().unwrap());
        let pipe = || reader.try_clone().unwrap();
        let Some(accept) = found(vec![(ours(), Operation::Accept), (pipe(), Operation::Read(1))], 0) else { return };
        assert_eq!(accept, (Waits::IoUring, Some(RingRequest::Accept), vec![inode]));
        let poll = found(vec![(ours(), Operation::Poll(libc::EPOLLIN as u32))], 0).unwrap();
        assert_eq!(poll, (Waits::IoUring, Some(RingRequest::Poll), vec![inode]));
        let data = found(vec![(pipe(), Operation::Read(1))], 0).unwrap();
        assert_eq!(data, (Waits::Elsewhere, None, vec![]), "it waits for something else");
        // What cannot be seen may be the listener.
        let registered = found(vec![(pipe(), Operation::Read(1))], REGISTERED as i64).unwrap();
        assert_eq!(registered, (Waits::IoUring, None, vec![inode]));
    }

    /// In our own process: what a call with these arguments would wait at.
    #[test]
    fn lists_in_memory_are_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let us = std::process::id();
        let sockets = super::super::sockets::held(us).unwrap();
        let fd = listener.as_raw_fd() as u32;
        let inode = sockets[&fd];
        let holder = Holder { pid: us, sockets: &sockets, listening: &|other| other == inode };
        let list = [libc::pollfd { fd: fd as i32, events: libc::POLLIN, revents: 0 }];
        let call = [POLL[0], list.as_ptr() as i64, 1];
        assert_eq!(spot(&holder, Some(&call)).place.listeners, [inode]);
        let mut set = vec![0u64; fd as usize / 64 + 1];
        set[fd as usize / 64] |= 1 << (fd % 64);
        let call = [SELECT[0], i64::from(fd) + 1, set.as_ptr() as i64];
        let found = spot(&holder, Some(&call)).place;
        assert_eq!((found.waits, found.listeners, found.exclusive), (Waits::Select, vec![inode], Some(false)));
        // Nothing of interest in it, and an address that nobody has.
        let call = [SELECT[0], 64, 8];
        assert_eq!(spot(&holder, Some(&call)).place.waits, Waits::Elsewhere);
        let call = [libc::SYS_accept4, i64::from(fd)];
        assert_eq!(spot(&holder, Some(&call)).place.exclusive, Some(true));
        assert_eq!(spot(&holder, None).place.call, "running");
    }
}

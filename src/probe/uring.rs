//! Probes of io_uring(7): each submits the request itself and looks at what
//! completes.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{PATIENCE, Trying};
use crate::sys::ring::{Completion, Operation, Ring, Setup};

const EPOLLIN: u32 = 1;
const EPOLLEXCLUSIVE: u32 = 1 << 28;

fn ring() -> Result<Ring, String> {
    made(Setup::Plain)
}

fn made(setup: Setup) -> Result<Ring, String> {
    Ring::new(2, setup).trying("io_uring_setup").map_err(|why| {
        let off = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
        match off.trim() {
            "" | "0" => why,
            level => format!("{why} (kernel.io_uring_disabled = {level})"),
        }
    })
}

pub fn setup() -> Result<(), String> {
    ring().map(drop)
}

pub fn single_issuer() -> Result<(), String> {
    made(Setup::SingleIssuer).map(drop)
}

pub fn defer_taskrun() -> Result<(), String> {
    made(Setup::DeferTaskrun).map(drop)
}

pub fn accept() -> Result<(), String> {
    accepted(false).map(drop)
}

pub fn multishot_accept() -> Result<(), String> {
    match accepted(true)? {
        true => Ok(()),
        false => Err("the request ends with its first connection".into()),
    }
}

/// Accepts a connection that waits already. Returns whether more would come.
fn accepted(multishot: bool) -> Result<bool, String> {
    // Abstract: no file is left, and no network is needed.
    let anywhere = SocketAddr::from_abstract_name(unique()).trying("an abstract name")?;
    let listener = UnixListener::bind_addr(&anywhere).trying("bind")?;
    let _client = UnixStream::connect_addr(&anywhere).trying("connect")?;
    let mut ring = ring()?;
    let operation = if multishot { Operation::AcceptMany } else { Operation::Accept };
    let request = ring.add(listener.into(), operation, 0);
    submit(&mut ring, request)?;
    await_any(&[ring.as_fd()])?;
    let more = match completions(&mut ring)?.pop() {
        Some((Completion::Accepted(_), more)) => more,
        Some((Completion::Failed(errno), _)) => return Err(errno).trying("IORING_OP_ACCEPT"),
        other => return Err(format!("IORING_OP_ACCEPT: {other:?}")),
    };
    if more {
        // A ring ends its requests some time after it was closed, and they hold
        // the listener: end this one first.
        ring.cancel(request);
        ring.enter(0).trying("io_uring_enter")?;
        await_any(&[ring.as_fd()])?;
        completions(&mut ring)?;
    }
    Ok(more)
}

fn submit(ring: &mut Ring, request: usize) -> Result<(), String> {
    ring.ask(request).and_then(|()| ring.enter(0)).trying("io_uring_enter")
}

/// Everything completed by now, and whether its request stays.
fn completions(ring: &mut Ring) -> Result<Vec<(Completion, bool)>, String> {
    // Completions are posted when the submitter enters the kernel.
    ring.enter(0).trying("io_uring_enter")?;
    let mut bytes = Vec::new();
    Ok(std::iter::from_fn(|| ring.take(&mut bytes)).map(|done| (done.completion, done.more)).collect())
}

/// A name for an abstract socket that no other probe has.
fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("herd-probe-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

pub fn poll_exclusive() -> Result<(), String> {
    let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).trying("eventfd")?;
    let mut rings = [ring()?, ring()?];
    for ring in &mut rings {
        let fd = event.as_fd().try_clone_to_owned().trying("fcntl(F_DUPFD_CLOEXEC)")?;
        let request = ring.add(fd, Operation::Poll(EPOLLIN | EPOLLEXCLUSIVE), 0);
        submit(ring, request)?;
    }
    event.write(1).trying("write")?;
    await_any(&[rings[0].as_fd(), rings[1].as_fd()])?;
    let mut polled = 0;
    for ring in &mut rings {
        for (completion, _) in completions(ring)? {
            match completion {
                Completion::Polled(_) => polled += 1,
                Completion::Failed(errno) => return Err(errno).trying("IORING_OP_POLL_ADD"),
                other => return Err(format!("IORING_OP_POLL_ADD: {other:?}")),
            }
        }
    }
    // Ends the request that is left, as it holds the eventfd.
    event.write(1).trying("write")?;
    match polled {
        1 => Ok(()),
        n => Err(format!("one event completed {n} of 2 requests")),
    }
}

/// Waits until one of the rings has a completion.
fn await_any(rings: &[BorrowedFd<'_>]) -> Result<(), String> {
    let mut fds: Vec<PollFd<'_>> = rings.iter().map(|ring| PollFd::new(*ring, PollFlags::POLLIN)).collect();
    let patience = PollTimeout::try_from(PATIENCE).expect("a tenth of a second fits");
    match poll(&mut fds, patience).trying("poll")? {
        0 => Err(format!("no completion within {} ms", PATIENCE.as_millis())),
        _ => Ok(()),
    }
}

//! A pipe or a FIFO, from either side: workers read from the empty one, or write
//! to the full one.
//!
//! Readers sleep in `anon_pipe_read` on `pipe->rd_wait`, writers in
//! `anon_pipe_write` on `pipe->wr_wait`, both by
//! `wait_event_interruptible_exclusive` (fs/pipe.c; `pipe_read` and `pipe_write`
//! before Linux 6.15): one wakes, and goes to the back of the queue. Before
//! 0ddad21d3e99 (Linux 5.6) both slept on one queue and all woke. A reader of a
//! full pipe wakes a writer only where it has freed a page, since aaec5a95d596
//! (Linux 6.14); before that, with every read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::PollFlags;
use nix::sys::stat::Mode;
use nix::unistd::{SysconfVar, mkdtemp, mkfifo, pipe2, read, sysconf, write};

use super::two_ends::{Ends, Reading, kept, open_each, ready, refuse_address, refuse_more_than};
use super::{Object, mode};
use crate::cell::contract::{Asleep, Call, Claim, During, Injector, Interest, Opened, SetupError, Source};
use crate::experiment::Settings;

/// A pipe, with a name or without.
pub struct Pipe {
    fifo: bool,
}

pub const PIPE: Pipe = Pipe { fifo: false };
pub const FIFO: Pipe = Pipe { fifo: true };

const READ: &str = "read";
const WRITE: &str = "write";
const WRITE_EIGHTHS: &str = "write-eighths";
const READING: Reading = Reading { size: 1, tagged: false, by_uring: true };
/// One page: what a pipe holds for sure, however many its owner has open.
const BYTES: u64 = 4096;
/// Pages in a pipe of the default size.
const PAGES: u64 = 16;
/// Neither end blocks, until the workers' end is told to.
const FLAGS: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NONBLOCK);

impl Object for Pipe {
    fn name(&self) -> &'static str {
        if self.fifo { "fifo" } else { "pipe" }
    }

    fn about(&self) -> &'static str {
        if self.fifo {
            "pipe with a name (unlinked at once); an event is one byte"
        } else {
            "pipe; an event is one byte"
        }
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (READ, "workers read one byte; an event is a byte written"),
            (WRITE, "workers write a page to the full pipe; an event is a page read out of it"),
            (WRITE_EIGHTHS, "the same, but the page is read out in eight parts"),
        ]
    }

    fn takes_requests(&self, settings: &Settings) -> bool {
        mode(self, settings) == READ
    }

    fn sends_signals(&self, _: &Settings) -> bool {
        true
    }

    fn queues(&self) -> bool {
        true
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        let full = || match mode(self, settings) {
            READ => refuse_more_than(BYTES, settings, "a pipe holds 4096 bytes for sure"),
            _ => refuse_more_than(PAGES, settings, "a pipe has 16 pages to free"),
        };
        refuse_address(settings, self.name()).or_else(full)
    }

    fn open(&self, settings: &Settings, block: bool) -> Result<Opened, SetupError> {
        let mode = mode(self, settings);
        open_each(settings, |number| {
            let (reader, writer) = if self.fifo { fifo()? } else { pipe2(FLAGS).during(Call::Pipe)? };
            if block {
                let theirs = if mode == READ { &reader } else { &writer };
                fcntl(theirs, FcntlArg::F_SETFL(OFlag::empty())).during(Call::Fcntl)?;
            }
            match mode {
                READ => Ok(Ends::new(Arc::new(reader), READING, number, move || {
                    write(&writer, b"x").during(Call::Write)?;
                    Ok(0)
                })),
                _ => full(reader, writer, kept(settings), if mode == WRITE { 1 } else { 8 }, number),
            }
        })
    }
}

/// Opens both ends of a FIFO in a private directory and removes both names.
fn fifo() -> Result<(OwnedFd, OwnedFd), SetupError> {
    let template = std::env::temp_dir().join("herd-XXXXXX");
    let directory = mkdtemp(&template).during(Call::TemporaryDirectory)?;
    let path = directory.join("fifo");
    let ends = mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).during(Call::Fifo).and_then(|()| {
        // In this order: without a reader, a writer that does not block gets ENXIO.
        let reader = open(&path, OFlag::O_RDONLY | FLAGS, Mode::empty()).during(Call::Fifo)?;
        let writer = open(&path, OFlag::O_WRONLY | FLAGS, Mode::empty()).during(Call::Fifo)?;
        Ok((reader, writer))
    });
    // Removed on every path; a failure to remove what was never made is no news.
    let _ = std::fs::remove_file(&path);
    let _ = std::fs::remove_dir(&directory);
    ends
}

/// A pipe with room for `pages` pages, all of them full.
fn full(reader: OwnedFd, writer: OwnedFd, pages: u64, parts: usize, number: u64) -> Result<Ends, SetupError> {
    let page = sysconf(SysconfVar::PAGE_SIZE).during(Call::Other)?.unwrap_or(4096);
    let size = i32::try_from(page * pages.next_power_of_two() as i64).unwrap_or(i32::MAX);
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(size)).during(Call::Fcntl)?;
    let page = usize::try_from(page).expect("a page has a size");
    let writer = Arc::new(writer);
    let mut end = Writer { fd: writer.clone(), page: vec![b'x'; page].into(), identity: number };
    fill(&mut end).during(Call::Write)?;
    let bytes = end.page.clone();
    let injector = Drain { reader, part: vec![0; page / parts], parts, end };
    let hold = Box::new(move || -> Box<dyn Source> {
        Box::new(Writer { fd: writer.clone(), page: bytes.clone(), identity: number })
    });
    Ok(Ends { hold, injector: Box::new(injector) })
}

/// Writes until nothing more fits. Returns how many pages did.
fn fill(end: &mut Writer) -> io::Result<u64> {
    let mut written = 0;
    while ready(end.fd.as_fd(), PollFlags::POLLOUT)? {
        end.claim()?;
        written += 1;
    }
    Ok(written)
}

/// The end to write to, as one worker holds it. A page takes a buffer of its own,
/// never the rest of another, so that a page read out lets exactly one in.
struct Writer {
    fd: Arc<OwnedFd>,
    page: Arc<[u8]>,
    identity: u64,
}

impl Source for Writer {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn interest(&self) -> Interest {
        Interest::Writable
    }

    fn claim(&mut self) -> Result<Claim, Errno> {
        write(&self.fd, &self.page)?;
        Ok(Claim { tag: 0 })
    }

    fn asleep(&self) -> Asleep {
        Asleep::on(&[libc::SYS_write], &self.fd)
    }

    fn identity(&self) -> u64 {
        self.identity
    }
}

/// Makes room for one page.
struct Drain {
    reader: OwnedFd,
    part: Vec<u8>,
    parts: usize,
    end: Writer,
}

impl Injector for Drain {
    fn fire(&mut self) -> Result<u32, SetupError> {
        for _ in 0..self.parts {
            read(&self.reader, &mut self.part).during(Call::Read)?;
        }
        Ok(0)
    }

    fn under_way(&mut self, _missing: u64) -> io::Result<bool> {
        Ok(false)
    }

    /// Rooms that nobody has written to.
    fn left(&mut self) -> io::Result<u64> {
        fill(&mut self.end)
    }

    fn retire(&mut self, _left: bool) {}
}

//! poll(2) on descriptors it owns, without building a list for every call.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;

/// Descriptors to poll for input.
pub struct PollSet {
    /// Keeps the descriptors of `entries` open.
    _owned: Vec<OwnedFd>,
    entries: Vec<libc::pollfd>,
}

impl PollSet {
    pub fn new(owned: Vec<OwnedFd>) -> PollSet {
        let entries = owned.iter().map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
        PollSet { entries: entries.collect(), _owned: owned }
    }

    /// Sleeps without a limit until one is ready; appends the numbers of all
    /// that are to `ready`. Errors are poll(2)'s.
    pub fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), Errno> {
        // SAFETY: the list is live, exclusively ours, and its length is given.
        let count = unsafe { libc::poll(self.entries.as_mut_ptr(), self.entries.len() as libc::nfds_t, -1) };
        Errno::result(count)?;
        let hits = self.entries.iter().enumerate().filter(|(_, e)| e.revents != 0);
        ready.extend(hits.map(|(i, _)| i));
        Ok(())
    }
}

//! poll(2) and ppoll(2) without building a list for every call: on descriptors it owns, and
//! on those of others that come and go.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// Descriptors to poll.
pub struct PollSet {
    /// Keeps the descriptors of the first `entries` open.
    _owned: Vec<OwnedFd>,
    entries: Vec<libc::pollfd>,
}

impl PollSet {
    /// Each descriptor with the events to ask for, such as POLLIN.
    pub fn new(watched: Vec<(OwnedFd, libc::c_short)>) -> PollSet {
        let entries =
            watched.iter().map(|(fd, events)| libc::pollfd { fd: fd.as_raw_fd(), events: *events, revents: 0 });
        PollSet { entries: entries.collect(), _owned: watched.into_iter().map(|(fd, _)| fd).collect() }
    }

    /// One more, with this number: behind all others, or in the place of one that was removed.
    /// It stays its owner's, who says when it is closed ([`PollSet::remove`]); until then
    /// poll(2) would say POLLNVAL of it.
    pub fn put(&mut self, number: usize, fd: RawFd, events: libc::c_short) {
        let entry = libc::pollfd { fd, events, revents: 0 };
        match self.entries.get_mut(number) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
    }

    /// The one with this number is closed; poll(2) passes over the place.
    pub fn remove(&mut self, number: usize) {
        self.entries[number] = libc::pollfd { fd: -1, events: 0, revents: 0 };
    }

    /// Sleeps without a limit until one is ready; appends the numbers of all
    /// that are to `ready`. Errors are poll(2)'s.
    pub fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), Errno> {
        self.poll(-1, ready)
    }

    /// As [`PollSet::wait`], but does not sleep: there may be none.
    pub fn look(&mut self, ready: &mut Vec<usize>) -> Result<(), Errno> {
        self.poll(0, ready)
    }

    fn poll(&mut self, timeout: libc::c_int, ready: &mut Vec<usize>) -> Result<(), Errno> {
        // SAFETY: the list is live, exclusively ours, and its length is given.
        let count = unsafe { libc::poll(self.entries.as_mut_ptr(), self.entries.len() as libc::nfds_t, timeout) };
        self.collect(count, ready)
    }

    /// [`PollSet::wait`] by ppoll(2), with no signal mask.
    pub fn wait_by_ppoll(&mut self, ready: &mut Vec<usize>) -> Result<(), Errno> {
        let (forever, no_mask) = (std::ptr::null(), std::ptr::null());
        let (list, length) = (self.entries.as_mut_ptr(), self.entries.len() as libc::nfds_t);
        // SAFETY: the list is live, exclusively ours, and its length is given.
        let count = unsafe { libc::ppoll(list, length, forever, no_mask) };
        self.collect(count, ready)
    }

    fn collect(&self, count: libc::c_int, ready: &mut Vec<usize>) -> Result<(), Errno> {
        Errno::result(count)?;
        let hits = self.entries.iter().enumerate().filter(|(_, e)| e.revents != 0);
        ready.extend(hits.map(|(i, _)| i));
        Ok(())
    }
}

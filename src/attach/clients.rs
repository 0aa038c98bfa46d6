//! Connections of our own, each from one quiet moment of the server to the next, so that
//! what it cost is known exactly. They send nothing and end in order, since a reset ends
//! some servers; what the end wakes is counted apart.

use std::collections::{BTreeMap, HashMap};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::counter::Counts;
use super::quiet::PATIENCE;
use super::server::Server;
use super::sockets;
use super::stop::Stop;
use crate::sighting::{Ending, Sighting};
use crate::sys::cpus;
use crate::sys::spin::yield_cpu;

/// What the rounds came to.
pub struct Rounds {
    target: SocketAddr,
    /// More addresses at that port, where we do not connect.
    others: Vec<SocketAddr>,
    done: u64,
    /// By the index of the thread.
    counts: HashMap<usize, Counts>,
    wakeups: BTreeMap<u64, u64>,
    between: u64,
    /// The last client, which has said that it will send nothing.
    open: Option<TcpStream>,
    run: Run,
    /// Rounds in which more than our own connection came.
    disturbed: u64,
}

impl Rounds {
    pub fn new(target: SocketAddr, others: Vec<SocketAddr>) -> Rounds {
        Rounds {
            target,
            others,
            done: 0,
            counts: HashMap::new(),
            wakeups: BTreeMap::new(),
            between: 0,
            open: None,
            run: Run::default(),
            disturbed: 0,
        }
    }

    /// Makes `count` connections, one after the other.
    pub fn run(&mut self, server: &mut Server, stop: &mut Stop, count: u64) -> Ending {
        // The handshake of loopback ends in softirq on the client's CPU. With us bound to
        // it, the walk over the wait queue is over whenever we run.
        if let Some(cpu) = cpus::allowed().ok().and_then(|cpus| cpus.last().copied()) {
            let _ = cpus::pin_to(cpu);
        }
        let mut last: Option<Vec<Counts>> = None;
        for _ in 0..count {
            if let Some(ending) = stop.asked() {
                return ending;
            }
            match self.round(server, stop, last.take()) {
                Ok(after) => last = Some(after),
                Err(ending) => return ending,
            }
        }
        // What the end of the last one woke.
        if self.close(server, stop).is_ok()
            && let Some(before) = last
        {
            let now = server.take();
            self.between += sum(server, &now, &before);
        }
        Ending::Done
    }

    fn round(
        &mut self,
        server: &mut Server,
        stop: &mut Stop,
        last: Option<Vec<Counts>>,
    ) -> Result<Vec<Counts>, Ending> {
        self.close(server, stop)?;
        server.look();
        let before = server.take();
        if let Some(last) = last {
            self.between += sum(server, &before, &last);
        }
        let opens = sockets::passive_opens(server.parent);
        let broken = |what: String| Ending::Broken(format!("connection {}: {what}", self.done + 1));
        let client = TcpStream::connect_timeout(&self.target, PATIENCE)
            .map_err(|e| broken(format!("cannot connect to {}: {e}", self.target)))?;
        let name = client.local_addr().map_err(|e| broken(e.to_string()))?;
        let socket = self.await_accept(server.parent, &client, name, stop)?;
        server.quiet(stop)?;
        server.look();
        let mut after = server.take();
        if let Some(socket) = socket.filter(|_| !server.knows_accepts()) {
            credit(server, socket, &mut after);
        }
        let (mut cost, mut got, mut winner) = (0, 0, None);
        for (index, now) in after.iter().enumerate() {
            let change = now.since(before.get(index).copied().unwrap_or_default());
            if server.is_worker(index) {
                cost += change.for_connections();
            }
            if let Some(accepts) = change.accepts.filter(|accepts| *accepts > 0) {
                got += accepts;
                winner = Some(index);
            }
            let so_far = self.counts.entry(index).or_default();
            *so_far = so_far.and(change);
        }
        *self.wakeups.entry(cost).or_default() += 1;
        self.done += 1;
        self.run.next(winner);
        // Without accepts only the whole network can be asked.
        let came = opens.zip(sockets::passive_opens(server.parent)).map(|(before, now)| now - before);
        let came = if server.knows_accepts() { got } else { came.unwrap_or(1) };
        self.disturbed += u64::from(came > 1);
        // Servers wait for a request; this tells them that none will come.
        let _ = client.shutdown(Shutdown::Write);
        self.open = Some(client);
        Ok(after)
    }

    /// Ends the last client, and waits until all sleep.
    fn close(&mut self, server: &mut Server, stop: &mut Stop) -> Result<(), Ending> {
        server.quiet(stop)?;
        if let Some(client) = self.open.take() {
            // If the server keeps its end, a reset frees the port.
            let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
            drop(client);
            server.quiet(stop)?;
        }
        Ok(())
    }

    /// Waits until somebody has or had the connection; returns its socket, which a server
    /// that closes at once may have taken out of the table before we look.
    fn await_accept(
        &self,
        parent: u32,
        client: &TcpStream,
        name: SocketAddr,
        stop: &mut Stop,
    ) -> Result<Option<u64>, Ending> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(inode) = sockets::accepted(parent, self.target, name) {
                return Ok(Some(inode));
            }
            if heard(client) {
                // It may have been accepted since we looked, and still be open.
                return Ok(sockets::accepted(parent, self.target, name));
            }
            if let Some(ending) = stop.asked() {
                return Err(ending);
            }
            if Instant::now() > deadline {
                return Err(Ending::Broken(format!(
                    "connection {}: nobody accepted it within {} s (are all workers stuck, or does the listener wait \
                     for data: TCP_DEFER_ACCEPT?)",
                    self.done + 1,
                    PATIENCE.as_secs()
                )));
            }
            yield_cpu();
        }
    }

    /// Puts the exact counts in the place of those over the whole time.
    pub fn tell(self, server: &Server, seen: &mut Sighting) {
        for worker in &mut seen.workers {
            let index = server.watched.iter().position(|watched| watched.tid == worker.tid);
            let counts = index.and_then(|index| self.counts.get(&index)).copied().unwrap_or_default();
            worker.wakeups = counts.wakeups;
            worker.connections = counts.accepts;
            worker.empties = counts.empties;
            worker.turns = counts.turns();
        }
        seen.own_connections = true;
        seen.connections = Some(self.done);
        seen.connections_from = "made by herd, one at a time, each from quiet to quiet";
        seen.wakeups_of_connections = self.wakeups;
        seen.longest_run = self.run.longest();
        seen.wakeups_between = self.between;
        if let Some(other) = self.others.first() {
            seen.warnings.push(format!(
                "herd connected to {} alone; the server listens at {other} as well, where nothing was tried",
                self.target
            ));
        }
        if self.disturbed > 0 {
            seen.warnings.push(format!(
                "other clients connected during {} of {} connections, {}: their wakeups are counted as well",
                self.disturbed,
                self.done,
                if server.knows_accepts() { "to this server" } else { "to this server or another in its network" }
            ));
        }
    }
}

/// Who got the last one, how many in a row, and the most there were.
#[derive(Default)]
struct Run {
    last: Option<usize>,
    length: u64,
    longest: u64,
}

impl Run {
    /// One more connection. Where nobody is known to have got it, it says nothing.
    fn next(&mut self, winner: Option<usize>) {
        if winner.is_none() {
            return;
        }
        self.length = if winner == self.last { self.length + 1 } else { 1 };
        self.last = winner;
        self.longest = self.longest.max(self.length);
    }

    /// `None` without a connection of which we know who got it.
    fn longest(&self) -> Option<u64> {
        (self.longest > 0).then_some(self.longest)
    }
}

/// Whether anything came from the server, which only who had the connection can send: the
/// end of the stream, data before it, or a reset.
fn heard(client: &TcpStream) -> bool {
    let mut fds = [PollFd::new(client.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(count) if count > 0)
}

/// Wakeups of the workers between two readings.
fn sum(server: &Server, after: &[Counts], before: &[Counts]) -> u64 {
    let change = |(index, now): (usize, &Counts)| now.since(before.get(index).copied().unwrap_or_default()).wakeups;
    after.iter().enumerate().filter(|(index, _)| server.is_worker(*index)).map(change).sum()
}

/// Where the source does not see accept: the process that has the socket took it, if it
/// has one thread alone.
fn credit(server: &Server, socket: u64, after: &mut [Counts]) {
    let has = |pid: u32| sockets::held(pid).is_ok_and(|held| held.values().any(|inode| *inode == socket));
    let of = |pid: u32| server.watched.iter().filter(move |watched| watched.pid == pid && !watched.went);
    for (index, watched) in server.watched.iter().enumerate().filter(|(_, watched)| !watched.went) {
        let pid = watched.pid;
        if after[index].accepts.is_none() && of(pid).count() == 1 && has(pid) {
            after[index].accepts = Some(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_run_is_not_ended_by_a_connection_without_a_winner() {
        let mut run = Run::default();
        run.next(None);
        assert_eq!(run.longest(), None);
        for winner in [Some(1), Some(1), None, Some(1), Some(2), None] {
            run.next(winner);
        }
        assert_eq!(run.longest(), Some(3));
    }

    #[test]
    fn a_client_sees_that_somebody_had_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!heard(&client), "it is in the queue");
        let (served, _) = listener.accept().unwrap();
        assert!(!heard(&client), "it is served");
        drop(served);
        // On loopback the end arrives within close(2).
        assert!(heard(&client));
    }
}

//! Connections of our own, each from one quiet moment of the server to the next, so that
//! what it cost is known exactly. They send nothing and end in order, since a reset ends
//! some servers; what the end wakes is counted apart.

use std::collections::{BTreeMap, HashMap};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::counter::Counts;
use super::quiet::PATIENCE;
use super::server::Server;
use super::sockets;
use super::stop::Stop;
use crate::sighting::{Ending, Sighting, Turns};
use crate::sys::cpus;
use crate::sys::spin::yield_cpu;

/// What the rounds came to.
pub struct Rounds {
    target: SocketAddr,
    done: u64,
    /// By the index of the thread.
    counts: HashMap<usize, Counts>,
    wakeups: BTreeMap<u64, u64>,
    between: u64,
    /// The last client, which has said that it will send nothing.
    open: Option<TcpStream>,
    /// Who got the last one, how many in a row, and the most there were.
    run: (Option<usize>, u64, u64),
    /// Rounds in which more than our own connection came.
    disturbed: u64,
}

impl Rounds {
    pub fn new(target: SocketAddr) -> Rounds {
        Rounds {
            target,
            done: 0,
            counts: HashMap::new(),
            wakeups: BTreeMap::new(),
            between: 0,
            open: None,
            run: (None, 0, 0),
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
        let socket = self.await_accept(server.parent, name, stop)?;
        server.quiet(stop)?;
        server.look();
        let mut after = server.take();
        if !server.source.knows_accepts() {
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
        let (last, length, longest) = self.run;
        let length = if winner == last { length + 1 } else { 1 };
        self.run = (winner, length, longest.max(length));
        // Without accepts only the whole network can be asked.
        let came = opens.zip(sockets::passive_opens(server.parent)).map(|(before, now)| now - before);
        let came = if server.source.knows_accepts() { got } else { came.unwrap_or(1) };
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

    /// Waits until somebody has the connection; returns its socket.
    fn await_accept(&self, parent: u32, client: SocketAddr, stop: &mut Stop) -> Result<u64, Ending> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(inode) = sockets::accepted(parent, self.target, client) {
                return Ok(inode);
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
            let index = server.watched.iter().position(|watched| watched.task.tid == worker.tid);
            let counts = index.and_then(|index| self.counts.get(&index)).copied().unwrap_or_default();
            worker.wakeups = counts.wakeups;
            worker.connections = counts.accepts;
            worker.empties = counts.empties;
            worker.turns = counts.sorted.map(|sorted| Turns {
                took: sorted.took,
                refused: sorted.refused,
                hidden: sorted.hidden,
                other: counts.wakeups.saturating_sub(sorted.took + sorted.refused + sorted.hidden),
            });
        }
        seen.own_connections = true;
        seen.connections = Some(self.done);
        seen.connections_from = "made by herd, one at a time, each from quiet to quiet";
        seen.wakeups_of_connections = self.wakeups;
        seen.longest_run = self.run.0.map(|_| self.run.2);
        seen.wakeups_between = self.between;
        if self.disturbed > 0 {
            seen.warnings.push(format!(
                "other clients connected during {} of {} connections, {}: their wakeups are counted as well",
                self.disturbed,
                self.done,
                if server.source.knows_accepts() {
                    "to this server"
                } else {
                    "to this server or another in its network"
                }
            ));
        }
    }
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
    let of = |pid: u32| server.watched.iter().filter(move |watched| watched.task.pid == pid && !watched.went);
    for (index, watched) in server.watched.iter().enumerate().filter(|(_, watched)| !watched.went) {
        let pid = watched.task.pid;
        if of(pid).count() == 1 && has(pid) {
            after[index].accepts = Some(1);
        }
    }
}

//! Who of the threads is a worker, and all that was seen, as plain data.

use super::place::Spot;
use super::server::{Server, Watched, has_listener};
use super::sockets;
use crate::results::Environment;
use crate::sighting::{Ending, Listener, Sighting, Waits, Worker};

impl Server {
    /// Whether a thread serves the listeners: it was seen there, has accepted, or waits
    /// for its turn to go there.
    pub fn is_worker(&self, index: usize) -> bool {
        let watched = &self.watched[index];
        serves(watched) || self.aside(watched) != (0, 0)
    }

    /// In how many looks it waited for its turn, at a lock and without one. Servers have locks for many things, so
    /// not every lock counts: it must be that of somebody who goes to the listener at
    /// other times, or one between processes.
    fn aside(&self, watched: &Watched) -> (u64, u64) {
        let pid = watched.pid;
        let aside = (watched.at_lock, watched.without);
        if !has_listener(self.sockets.get(&pid), &self.listening) {
            return (0, 0);
        }
        if serves(watched) {
            return aside;
        }
        let alone = self.watched.iter().filter(|other| other.pid == pid && !other.went).count() == 1;
        if pid == self.parent || !alone || !self.has_a_twin_at_the_listener(watched) {
            return (0, 0);
        }
        aside
    }

    /// Whether a process of the same name and parent was seen at a listener.
    fn has_a_twin_at_the_listener(&self, watched: &Watched) -> bool {
        let parent = |watched: &Watched| self.processes.get(&watched.pid).map(|process| process.parent);
        let twin = |other: &&Watched| other.name == watched.name && parent(other) == parent(watched);
        self.watched.iter().filter(twin).any(serves)
    }

    /// All of it. The counts are those since the beginning.
    pub fn describe(&self, environment: Environment, ending: Ending, elapsed_ns: u64) -> Sighting {
        let (workers, others): (Vec<usize>, Vec<usize>) =
            (0..self.watched.len()).partition(|index| self.is_worker(*index));
        let parent = self.processes.get(&self.parent);
        let connections_from = match (self.source.knows_accepts(), self.uses_rings()) {
            (true, false) => "what accept gave to the workers",
            (_, true) => "all that came in this network: io_uring shows no accept",
            _ => "all that came in this network: /proc shows no accept",
        };
        Sighting {
            herd: env!("CARGO_PKG_VERSION"),
            environment,
            parent: self.parent,
            name: parent.map(|process| process.name.clone()).unwrap_or_default(),
            source: self.source.name(),
            sources_refused: self.refused.clone(),
            own_connections: false,
            elapsed_ns,
            ending,
            listeners: self.listeners(),
            workers: workers.iter().map(|index| self.worker(&self.watched[*index])).collect(),
            other_threads: others.len(),
            other_wakeups: others.iter().map(|index| self.watched[*index].now.wakeups).sum(),
            looks: self.looks,
            most_at_listener: self.most_at_listener,
            connections: self.accepted(),
            connections_from,
            wakeups_of_connections: Default::default(),
            longest_run: None,
            wakeups_between: 0,
            warnings: self.warnings(&workers),
        }
    }

    fn listeners(&self) -> Vec<Listener> {
        let there = || self.sockets.iter().filter(|(pid, _)| self.alive.contains(pid));
        let held = |inode: &u64| there().filter(|(_, all)| all.values().any(|other| other == inode)).count();
        let one = |(inode, address): (&u64, &sockets::Address)| Listener {
            inode: *inode,
            address: address.to_string(),
            processes: held(inode),
        };
        self.listening.iter().map(one).collect()
    }

    fn worker(&self, watched: &Watched) -> Worker {
        let counts = watched.now;
        let (looks_at_lock, looks_without) = self.aside(watched);
        Worker {
            pid: watched.pid,
            tid: watched.tid,
            name: watched.name.clone(),
            place: watched.place.clone().unwrap_or_else(|| Spot::new(Waits::Elsewhere, "running").place),
            looks_at_listener: watched.at_listener,
            looks_at_lock,
            looks_without,
            came: watched.came,
            went: watched.went,
            wakeups: counts.wakeups,
            turns: counts.turns(),
            connections: counts.accepts,
            empties: counts.empties,
            cpu_ns: watched.cpu,
        }
    }

    fn warnings(&self, workers: &[usize]) -> Vec<String> {
        let mut found = Vec::new();
        let of = |what: fn(&Watched) -> bool| workers.iter().filter(|index| what(&self.watched[**index])).count();
        let (came, went) = (of(|watched| watched.came), of(|watched| watched.went));
        if came + went > 0 {
            found.push(format!(
                "{came} workers came and {went} went while herd counted (a reload?): they are counted from when they \
                 were seen"
            ));
        }
        if let Some(why) = self.uncounted.values().next() {
            found.push(format!(
                "{} threads or processes are not counted, the first of them: {why}",
                self.uncounted.len()
            ));
        }
        let missed = self.source.missed();
        if missed > 0 {
            found.push(format!(
                "the kernel skipped {missed} runs of the BPF programs (another user of BPF): counts may be short"
            ));
        }
        if !self.source.knows_accepts() {
            found.push(
                "proc counts all sleeps, those on locks of the kernel as well: wakeups are an upper bound".into(),
            );
        }
        found
    }
}

/// Whether it was seen at a listener, or has called accept while we counted.
fn serves(watched: &Watched) -> bool {
    watched.at_listener > 0 || watched.now.accepts.unwrap_or(0) + watched.now.empties.unwrap_or(0) > 0
}

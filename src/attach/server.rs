//! The server: its processes and threads, where they sleep, and their counts. Finds who
//! comes and goes while it counts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::counter::{Counts, Source};
use super::place::{Holder, spot};
use super::processes::{self, Process};
use super::sockets::{self, Address};
use super::stop::Stop;
use super::{Refusal, Request};
use crate::cell::task::Task;
use crate::sighting::{Ending, Place, Waits};
use crate::sys::same_file::same_file;

/// How often we look who is there, and where they sleep.
const TICK: Duration = Duration::from_millis(50);
/// At most one part in so many of the time goes into looking.
const LOOKS_PART: u32 = 10;
/// So many threads may come while we count; more are not counted.
const SPARE: usize = 1024;
/// With more threads than this their files are opened for each look.
const KEEP: usize = 200;

/// One thread and what is known of it.
pub struct Watched {
    pub task: Task,
    pub name: String,
    base: Counts,
    pub now: Counts,
    base_cpu: u64,
    pub cpu: u64,
    pub place: Option<Place>,
    pub at_listener: u64,
    pub at_lock: u64,
    /// In an epoll instance without the listener that its process holds.
    pub without: u64,
    pub came: bool,
    pub went: bool,
}

/// All of it.
pub struct Server {
    pub(super) parent: u32,
    port: Option<u16>,
    /// All that were seen, and those there at the last look.
    pub(super) processes: BTreeMap<u32, Process>,
    pub(super) alive: BTreeSet<u32>,
    pub(super) listening: BTreeMap<u64, Address>,
    pub(super) sockets: BTreeMap<u32, BTreeMap<u32, u64>>,
    pub(super) source: Source,
    pub(super) refused: Vec<String>,
    pub(super) watched: Vec<Watched>,
    /// Epoll instances: process, descriptor, number.
    instances: Vec<(u32, u32, u32)>,
    pub(super) opens: Option<u64>,
    pub(super) looks: u64,
    pub(super) most_at_listener: u64,
    /// Threads that the source refused, and why.
    pub(super) uncounted: BTreeMap<u32, String>,
    opened: bool,
}

impl Server {
    /// Finds the server below `request.parent` and begins to count.
    pub fn open(request: &Request) -> Result<Server, Refusal> {
        let parent = request.parent;
        let process = processes::process(parent).map_err(|e| Refusal(format!("no process {parent}: {e}")))?;
        let called = format!("process {parent} ({})", process.name);
        if process.kernel {
            return Err(Refusal(format!("{called} is a thread of the kernel: it serves no connections")));
        }
        if matches!(process.state, 'Z' | 'X') {
            return Err(Refusal(format!("{called} has ended; nobody has waited for it yet")));
        }
        let mut server = Server {
            parent,
            port: request.port,
            processes: BTreeMap::new(),
            alive: BTreeSet::new(),
            listening: BTreeMap::new(),
            sockets: BTreeMap::new(),
            source: Source::Proc,
            refused: Vec::new(),
            watched: Vec::new(),
            instances: Vec::new(),
            opens: sockets::passive_opens(parent),
            looks: 0,
            most_at_listener: 0,
            uncounted: BTreeMap::new(),
            opened: false,
        };
        server.find_processes().map_err(Refusal)?;
        if server.listening.is_empty() {
            return Err(Refusal(server.no_listener(&called)));
        }
        let threads: usize = server.alive.iter().map(|pid| processes::threads(*pid).len()).sum();
        let opened = Source::open(request.count_with.as_deref(), threads + SPARE, parent);
        (server.source, server.refused) = opened.map_err(Refusal)?;
        server.find_threads();
        if server.watched.is_empty() {
            return Err(Refusal(format!("{called} ended before it could be looked at")));
        }
        server.opened = true;
        Ok(server)
    }

    fn no_listener(&self, called: &str) -> String {
        let family = match self.processes.len() {
            0 | 1 => "has no listening socket".to_owned(),
            n => format!("and the {} processes below it have no listening socket", n - 1),
        };
        match self.port {
            Some(port) => format!("{called} {family} at port {port} (leave out --port to see those it has)"),
            None => format!("{called} {family} (name the server's parent: ss -ltnp, or its pid file)"),
        }
    }

    pub fn source(&self) -> &'static str {
        self.source.name()
    }

    pub fn threads(&self) -> usize {
        self.watched.len()
    }

    /// Reads who is there and what they listen on.
    fn find_processes(&mut self) -> Result<(), String> {
        let found = processes::below(self.parent);
        self.alive = found.iter().map(|process| process.pid).collect();
        let mut fresh = false;
        for process in found {
            let pid = process.pid;
            let listens = |sockets: &BTreeMap<u32, u64>| sockets.values().any(|i| self.listening.contains_key(i));
            if !self.sockets.get(&pid).is_some_and(listens) {
                fresh |= !self.sockets.contains_key(&pid);
                match sockets::held(pid) {
                    Ok(held) => drop(self.sockets.insert(pid, held)),
                    Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                        return Err(format!(
                            "cannot look into process {pid} ({}): {e} (it is somebody else's, or may not be \
                             traced: run herd as root)",
                            process.name
                        ));
                    }
                    // It has ended.
                    Err(_) => continue,
                }
            }
            self.processes.insert(pid, process);
        }
        if fresh {
            let all = sockets::listeners(self.parent);
            let held: BTreeSet<u64> = self.sockets.values().flat_map(|sockets| sockets.values().copied()).collect();
            let wanted = |address: &Address| match (self.port, address) {
                (None, _) => true,
                (Some(port), Address::Tcp(at)) => at.port() == port,
                _ => false,
            };
            self.listening.extend(all.into_iter().filter(|(inode, at)| held.contains(inode) && wanted(at)));
        }
        Ok(())
    }

    /// Watches threads that are not watched yet, and notes who has gone.
    fn find_threads(&mut self) {
        let known: BTreeSet<u32> = self.watched.iter().filter(|w| !w.went).map(|w| w.task.tid).collect();
        let mut alive = BTreeSet::new();
        for pid in self.alive.clone() {
            for tid in processes::threads(pid) {
                alive.insert(tid);
                if !known.contains(&tid) && !self.uncounted.contains_key(&tid) {
                    self.watch(pid, tid);
                }
            }
        }
        for watched in self.watched.iter_mut().filter(|w| !alive.contains(&w.task.tid)) {
            watched.went = true;
        }
    }

    fn watch(&mut self, pid: u32, tid: u32) {
        let slot = self.watched.len();
        // It may have ended by now.
        let Ok(task) = Task::new(pid, tid, slot < KEEP) else { return };
        if let Err(why) = self.source.watch(slot, tid) {
            self.uncounted.insert(tid, why);
            return;
        }
        let base = self.source.read(slot, &task).unwrap_or_default();
        let cpu = cpu(&task).unwrap_or(0);
        self.watched.push(Watched {
            name: processes::name(pid, tid),
            task,
            base,
            now: Counts::default(),
            base_cpu: cpu,
            cpu: 0,
            place: None,
            at_listener: 0,
            at_lock: 0,
            without: 0,
            came: self.opened,
            went: false,
        });
    }

    /// Looks who is there by now. Errors are of processes that came just now.
    pub fn refresh(&mut self) {
        // What we may not look into was refused at the beginning.
        let _ = self.find_processes();
        self.find_threads();
    }

    /// Reads all counts; those who have gone keep what they had.
    pub fn take(&mut self) -> Vec<Counts> {
        for (slot, watched) in self.watched.iter_mut().enumerate() {
            if let Ok(counts) = self.source.read(slot, &watched.task) {
                watched.now = counts.since(watched.base);
            }
            if let Some(cpu) = cpu(&watched.task) {
                watched.cpu = cpu.saturating_sub(watched.base_cpu);
            }
        }
        self.watched.iter().map(|watched| watched.now).collect()
    }

    /// Looks where everybody sleeps.
    pub fn look(&mut self) {
        let mut at_listener = Vec::new();
        for index in 0..self.watched.len() {
            let watched = &self.watched[index];
            if watched.went {
                continue;
            }
            let arrivals = arrivals(&watched.task);
            let Ok(call) = watched.task.call() else { continue };
            let (place, without) = self.place_of(index, call.as_deref());
            let watched = &mut self.watched[index];
            if !place.listeners.is_empty() {
                at_listener.push((index, arrivals));
                watched.at_listener += 1;
                watched.place = Some(place);
                continue;
            }
            watched.at_lock += u64::from(place.waits == Waits::Lock);
            watched.without += u64::from(without);
            if watched.at_listener == 0 {
                watched.place = Some(place);
            }
        }
        // Who has not run since we saw it is still there: these are there all at once.
        let still = |(index, before): &&(usize, Option<u64>)| arrivals(&self.watched[*index].task) == *before;
        let together = at_listener.iter().filter(still).count() as u64;
        self.most_at_listener = self.most_at_listener.max(together);
        self.looks += 1;
    }

    /// Where a thread sleeps, and whether in an epoll instance that lacks its listener.
    fn place_of(&mut self, index: usize, call: Option<&[i64]>) -> (Place, bool) {
        let pid = self.watched[index].task.pid;
        let Some(sockets) = self.sockets.get(&pid) else {
            let nothing = Holder { pid, sockets: &BTreeMap::new(), listening: &|_| false };
            return (spot(&nothing, call).place, false);
        };
        let listening = |inode: u64| self.listening.contains_key(&inode);
        let holder = Holder { pid, sockets, listening: &listening };
        let mut found = spot(&holder, call);
        let holds = sockets.values().any(|inode| listening(*inode));
        if let Some(fd) = found.epoll {
            found.place.instance = Some(self.instance(pid, fd));
        }
        let without = found.epoll.is_some() && holds && found.place.listeners.is_empty();
        (found.place, without)
    }

    /// A number for an epoll instance, the same for all descriptors of it.
    fn instance(&mut self, pid: u32, fd: u32) -> u32 {
        if let Some((.., number)) = self.instances.iter().find(|known| (known.0, known.1) == (pid, fd)) {
            return *number;
        }
        let same = |known: &&(u32, u32, u32)| same_file((known.0, known.1), (pid, fd)).unwrap_or(false);
        let next = self.instances.iter().map(|known| known.2 + 1).max().unwrap_or(0);
        let number = self.instances.iter().find(same).map_or(next, |known| known.2);
        self.instances.push((pid, fd, number));
        number
    }

    /// Counts until the time is over, or so many connections were accepted.
    pub fn count(&mut self, stop: &mut Stop, time: Duration, events: Option<u64>) -> Ending {
        let deadline = Instant::now() + time;
        let mut tick = TICK;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let ending = stop.wait(left.min(tick));
            if ending.is_none() {
                let begun = Instant::now();
                self.refresh();
                self.look();
                // Of very many threads the looks must not become a load of their own.
                tick = TICK.max(begun.elapsed() * LOOKS_PART);
            }
            self.take();
            let enough = events.is_some_and(|wanted| self.accepted().is_some_and(|count| count >= wanted));
            match ending {
                Some(ending) => return ending,
                None if left.is_zero() || enough => return Ending::Done,
                None => {}
            }
        }
    }

    /// Connections so far: what accept gave, or what the network took.
    pub fn accepted(&self) -> Option<u64> {
        if self.source.knows_accepts() && !self.uses_rings() {
            return Some(self.watched.iter().filter_map(|watched| watched.now.accepts).sum());
        }
        Some(sockets::passive_opens(self.parent)?.saturating_sub(self.opens?))
    }

    /// Whether a thread may accept by io_uring, where no call of accept shows.
    pub fn uses_rings(&self) -> bool {
        let rings = |watched: &Watched| watched.place.as_ref().is_some_and(|place| place.waits == Waits::IoUring);
        self.watched.iter().any(rings)
    }

    /// Where to connect to: the first listener for TCP.
    pub fn target(&self) -> Result<SocketAddr, String> {
        let network = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        if network("self") != network(&self.parent.to_string()) {
            return Err(format!(
                "process {0} is in another network: --connect cannot reach it (run herd there: nsenter -n -t {0})",
                self.parent
            ));
        }
        let tcp = self.listening.values().find_map(|address| match address {
            Address::Tcp(at) => Some(*at),
            Address::Unix(_) => None,
        });
        let at = tcp.ok_or("--connect needs a listener for TCP, and the server has none (count with --for instead)")?;
        let host = match at.ip() {
            IpAddr::V4(host) if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(host) if host.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host,
        };
        Ok(SocketAddr::new(host, at.port()))
    }
}

fn cpu(task: &Task) -> Option<u64> {
    Some(task.runs().ok()??.cpu_ns)
}

/// `None` where the kernel does not count them.
pub(super) fn arrivals(task: &Task) -> Option<u64> {
    task.runs().ok()?.map(|runs| runs.arrivals).filter(|count| *count > 0)
}

//! The server: its processes and threads, where they sleep, and their counts. Finds who
//! comes and goes while it counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::counter::{Counts, Source};
use super::place::{Holder, spot};
use super::processes::{self, Process};
use super::sockets::{self, Address};
use super::stop::Stop;
use super::{Refusal, Request};
use crate::cell::task::Task;
use crate::sighting::{Ending, Place, Waits};
use crate::sys::clock::thread_cpu_ns;
use crate::sys::same_file::same_file;

/// How often we look who is there, and where they sleep.
const TICK: Duration = Duration::from_millis(50);
/// .. and how seldom at most.
const SELDOM: Duration = Duration::from_millis(250);
/// Up to that, at most one part in so many of the time goes into looking.
const LOOKS_PART: u64 = 10;
/// So many threads may come while we count; more are not counted.
const SPARE: usize = 1024;
/// With more threads than this their files are opened for each look.
const KEEP: usize = 200;

/// One thread and what is known of it.
pub struct Watched {
    pub pid: u32,
    pub tid: u32,
    /// Its files, until it has gone and was read for the last time.
    task: Option<Task>,
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
    /// Seen waiting for connections by io_uring.
    pub rings: bool,
    pub came: bool,
    pub went: bool,
}

/// All of it.
pub struct Server {
    pub(super) parent: u32,
    pub(super) port: Option<u16>,
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
    /// Threads that cannot be counted and processes that we may not look into, and why.
    pub(super) uncounted: BTreeMap<u32, String>,
    /// So many threads can be counted.
    slots: usize,
    opened: bool,
}

/// Whether one of a process's sockets is a listener of the server.
pub(super) fn has_listener(sockets: Option<&BTreeMap<u32, u64>>, listening: &BTreeMap<u64, Address>) -> bool {
    sockets.is_some_and(|all| all.values().any(|inode| listening.contains_key(inode)))
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
            slots: 0,
            opened: false,
        };
        server.find_processes().map_err(Refusal)?;
        if server.listening.is_empty() {
            return Err(Refusal(server.no_listener(&called)));
        }
        let threads: usize = server.alive.iter().map(|pid| processes::threads(*pid).map_or(0, |all| all.len())).sum();
        server.slots = threads + SPARE;
        let opened = Source::open(request.count_with.as_deref(), server.slots, parent);
        (server.source, server.refused) = opened.map_err(Refusal)?;
        server.find_threads();
        if server.watched.is_empty() {
            return Err(Refusal(format!("{called} ended before it could be looked at")));
        }
        server.opened = true;
        Ok(server)
    }

    pub fn source(&self) -> &'static str {
        self.source.name()
    }

    pub fn threads(&self) -> usize {
        self.watched.len()
    }

    /// Reads who is there and what they listen on.
    fn find_processes(&mut self) -> Result<(), String> {
        let found = processes::below(self.parent).map_err(|e| format!("cannot read /proc: {e}"))?;
        self.alive = found.iter().map(|process| process.pid).collect();
        let mut fresh = false;
        for process in found {
            let pid = process.pid;
            if self.uncounted.contains_key(&pid) && !self.sockets.contains_key(&pid) {
                self.alive.remove(&pid);
                continue;
            }
            if !has_listener(self.sockets.get(&pid), &self.listening) {
                match sockets::held(pid) {
                    Ok(held) => {
                        // A worker may open its listener some time after it came.
                        fresh |= self.sockets.get(&pid) != Some(&held);
                        self.sockets.insert(pid, held);
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
                        let why = format!(
                            "cannot look into process {pid} ({}): {e} (it is somebody else's, or may not be \
                             traced: run herd as root)",
                            process.name
                        );
                        if !self.opened {
                            return Err(why);
                        }
                        // A helper of another user: the others are counted on.
                        self.alive.remove(&pid);
                        self.uncounted.insert(pid, why);
                        continue;
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

    /// Watches threads that are not watched yet, and notes who has gone. Where a list
    /// cannot be read nobody has gone.
    fn find_threads(&mut self) {
        let known: BTreeSet<u32> = self.watched.iter().filter(|w| !w.went).map(|w| w.tid).collect();
        let mut alive = BTreeSet::new();
        for pid in self.alive.clone() {
            let Ok(threads) = processes::threads(pid) else { return };
            for tid in threads {
                alive.insert(tid);
                if !known.contains(&tid) && !self.uncounted.contains_key(&tid) {
                    self.watch(pid, tid);
                }
            }
        }
        for watched in self.watched.iter_mut().filter(|w| !alive.contains(&w.tid)) {
            watched.went = true;
        }
    }

    fn watch(&mut self, pid: u32, tid: u32) {
        let slot = self.watched.len();
        if slot >= self.slots {
            self.uncounted.insert(tid, format!("there is room for {} threads", self.slots));
            return;
        }
        let task = match Task::new(pid, tid, slot < KEEP) {
            Ok(task) => task,
            // It has ended by now.
            Err(e) if processes::has_gone(&e) => return,
            Err(e) => return drop(self.uncounted.insert(tid, e.to_string())),
        };
        if let Err(why) = self.source.watch(slot, tid) {
            // A source says of a thread that has ended what it says of others.
            if task.sleeps().map_or_else(|e| !processes::has_gone(&e), |_| true) {
                self.uncounted.insert(tid, why);
            }
            return;
        }
        let base = self.source.read(slot, &task).unwrap_or_default();
        let cpu = cpu(&task).unwrap_or(0);
        self.watched.push(Watched {
            pid,
            tid,
            name: processes::name(pid, tid),
            task: Some(task),
            base,
            now: Counts::default(),
            base_cpu: cpu,
            cpu: 0,
            place: None,
            at_listener: 0,
            at_lock: 0,
            without: 0,
            rings: false,
            came: self.opened,
            went: false,
        });
    }

    /// Looks who is there by now; where that cannot be seen it stays as it was.
    pub fn refresh(&mut self) {
        let before = self.alive.clone();
        if self.find_processes().is_err() {
            self.alive = before;
            return;
        }
        self.find_threads();
        // A server may make a process for each client.
        let seen: BTreeSet<u32> = self.watched.iter().map(|watched| watched.pid).collect();
        let alive = &self.alive;
        self.sockets.retain(|pid, _| alive.contains(pid) || seen.contains(pid));
        self.processes.retain(|pid, _| alive.contains(pid) || seen.contains(pid));
    }

    /// Reads all counts. Those who have gone are read once more, and keep what they had.
    pub fn take(&mut self) -> Vec<Counts> {
        for (slot, watched) in self.watched.iter_mut().enumerate() {
            let Some(task) = &watched.task else { continue };
            if let Ok(counts) = self.source.read(slot, task) {
                let counts = counts.since(watched.base);
                watched.now = if watched.rings { counts.unsorted() } else { counts };
            }
            if let Some(cpu) = cpu(task) {
                watched.cpu = cpu.saturating_sub(watched.base_cpu);
            }
            if watched.went {
                watched.task = None;
                self.source.forget(slot);
            }
        }
        self.watched.iter().map(|watched| watched.now).collect()
    }

    /// Looks where everybody sleeps.
    pub fn look(&mut self) {
        let mut at_listener = Vec::new();
        for index in 0..self.watched.len() {
            let Some(task) = self.watched[index].there() else { continue };
            let mark = mark(task);
            let Ok(call) = task.call() else { continue };
            let (place, without) = self.place_of(index, call.as_deref());
            let watched = &mut self.watched[index];
            if !place.listeners.is_empty() {
                at_listener.push((index, mark));
                watched.at_listener += 1;
                watched.rings |= place.waits == Waits::IoUring;
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
        let still = |(index, before): &&(usize, Option<u64>)| self.watched[*index].there().and_then(mark) == *before;
        let together = at_listener.iter().filter(still).count() as u64;
        self.most_at_listener = self.most_at_listener.max(together);
        self.looks += 1;
    }

    /// Where a thread sleeps, and whether in an epoll instance that lacks its listener.
    fn place_of(&mut self, index: usize, call: Option<&[i64]>) -> (Place, bool) {
        let pid = self.watched[index].pid;
        let Some(sockets) = self.sockets.get(&pid) else {
            let nothing = Holder { pid, sockets: &BTreeMap::new(), listening: &|_| false };
            return (spot(&nothing, call).place, false);
        };
        let listening = |inode: u64| self.listening.contains_key(&inode);
        let holder = Holder { pid, sockets, listening: &listening };
        let mut found = spot(&holder, call);
        let holds = has_listener(Some(sockets), &self.listening);
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
                // Our own time: on a busy machine we wait long for a CPU and load it little.
                let begun = thread_cpu_ns();
                self.refresh();
                self.look();
                // Of very many threads the looks must not become a load of their own.
                let pause = Duration::from_nanos((thread_cpu_ns() - begun) * LOOKS_PART);
                tick = pause.clamp(TICK, SELDOM);
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
        if self.knows_accepts() {
            return Some(self.watched.iter().filter_map(|watched| watched.now.accepts).sum());
        }
        Some(sockets::passive_opens(self.parent)?.saturating_sub(self.opens?))
    }

    /// Whether a thread may accept by io_uring, where no call of accept shows.
    pub fn uses_rings(&self) -> bool {
        self.watched.iter().any(|watched| watched.rings)
    }

    /// Whether we know of each thread which connections it got.
    pub fn knows_accepts(&self) -> bool {
        self.source.knows_accepts() && !self.uses_rings()
    }
}

impl Watched {
    /// Its files, if it has not gone.
    pub(super) fn there(&self) -> Option<&Task> {
        self.task.as_ref().filter(|_| !self.went)
    }
}

fn cpu(task: &Task) -> Option<u64> {
    Some(task.runs().ok()??.cpu_ns)
}

/// A number that moves when a thread has run: its arrivals on a CPU, or where the kernel
/// does not count them its sleeps. `None` where neither can be read.
pub(super) fn mark(task: &Task) -> Option<u64> {
    let arrivals = task.runs().ok().flatten().map(|runs| runs.arrivals).filter(|count| *count > 0);
    arrivals.or_else(|| task.switches().ok().map(|switches| switches.voluntary))
}

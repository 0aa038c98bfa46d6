//! Finds the processes of one test, and only those: each test marks the
//! environment of what it starts, and children inherit the mark. Zombies have
//! no environment any more; they are followed by number and start time.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const NAME: &str = "HERD_TEST_MARK";

/// A mark no other test has.
pub struct Mark(String);

/// One process as /proc shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub state: char,
    pub threads: u32,
    /// Clock ticks since boot: tells a process from a later one of that number.
    started: u64,
    /// Runs `herd __cell`, or was forked by it.
    pub cell: bool,
}

impl Process {
    /// Reads /proc/PID/stat; `None` when the process is gone.
    pub fn read(pid: i32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Process {
            pid,
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            threads: fields.get(17)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            cell: command.split(|b| *b == 0).any(|word| word == b"__cell"),
        })
    }

    /// What has become of it: gone, or the state it is in now.
    pub fn now(&self) -> Option<char> {
        Process::read(self.pid).filter(|p| p.started == self.started).map(|p| p.state)
    }

    /// Voluntary context switches of all its threads.
    pub fn sleeps(&self) -> u64 {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return 0;
        };
        let of_thread = |path: std::path::PathBuf| -> Option<u64> {
            let status = std::fs::read_to_string(path.join("status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        threads.filter_map(|entry| of_thread(entry.ok()?.path())).sum()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid), signal).unwrap_or_else(|e| panic!("kill {self:?}: {e}"));
    }
}

/// The processes of one run, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub coordinator: Option<Process>,
    pub workers: Vec<Process>,
    pub others: Vec<Process>,
}

impl Tree {
    /// Voluntary context switches of all workers.
    pub fn sleeps(&self) -> u64 {
        self.workers.iter().map(Process::sleeps).sum()
    }

    /// Has a coordinator, and not that of `old`.
    pub fn is_another_than(&self, old: &Tree) -> bool {
        let pid = |tree: &Tree| tree.coordinator.as_ref().map(|c| c.pid);
        pid(self).is_some() && pid(self) != pid(old)
    }
}

impl Mark {
    pub fn new() -> Mark {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Mark(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Marks what `command` will start.
    pub fn on<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env(NAME, &self.0)
    }

    /// All living marked processes.
    pub fn living(&self) -> Vec<Process> {
        let entry = format!("{NAME}={}", self.0);
        let pids = std::fs::read_dir("/proc").unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(|pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|b| *b == 0).any(|word| word == entry.as_bytes())
        })
        .filter_map(Process::read)
        .filter(|p| !matches!(p.state, 'Z' | 'X'))
        .collect()
    }

    /// The living ones, sorted by what they are.
    pub fn tree(&self) -> Tree {
        let all = self.living();
        let by_pid: BTreeMap<i32, &Process> = all.iter().map(|p| (p.pid, p)).collect();
        let mut tree = Tree::default();
        for process in &all {
            let below_cell = by_pid.get(&process.parent).is_some_and(|parent| parent.cell);
            match (process.cell, below_cell) {
                (true, false) => tree.coordinator = Some(process.clone()),
                (true, true) => tree.workers.push(process.clone()),
                _ => tree.others.push(process.clone()),
            }
        }
        tree
    }

    /// The tree once it has that many worker processes.
    #[track_caller]
    pub fn with_workers(&self, count: usize) -> Tree {
        super::until(Duration::from_secs(20), || {
            let tree = self.tree();
            if tree.coordinator.is_some() && tree.workers.len() == count { Ok(tree) } else { Err(format!("{tree:?}")) }
        })
    }

    /// Fails unless within `limit` nothing marked lives and each of `known` is
    /// gone. Zombies are dead: whoever adopted them reaps them; they are returned.
    #[track_caller]
    pub fn ends_within(&self, limit: Duration, known: &Tree) -> usize {
        let known = known.coordinator.iter().chain(&known.workers);
        let known: Vec<&Process> = known.collect();
        super::until(limit, || {
            let living = self.living();
            let states: Vec<char> = known.iter().filter_map(|p| p.now()).collect();
            let zombies = states.iter().filter(|s| **s == 'Z').count();
            if living.is_empty() && zombies == states.len() {
                Ok(zombies)
            } else {
                Err(format!("alive: {living:?}, states of those known: {states:?}"))
            }
        })
    }
}

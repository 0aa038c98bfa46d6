//! What the processes of the workers cost, with all children and threads that they
//! made to serve clients: from /proc and the CPU clocks of processes.
//!
//! Helpers end when they like, so the census first waits until those that serve a
//! client have gone, threads too; children are then zombies, whose figures /proc still has.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use super::job::Helpers;
use super::task::{Switches, runs_of, switches_of};
use crate::observation::ServerFacts;
use crate::sys;
use crate::sys::stat;

/// The processes of the workers and who helps them.
pub(super) struct Census<'a> {
    processes: BTreeSet<u32>,
    /// Threads of these processes that are workers.
    workers: u64,
    helpers: Option<&'a Helpers>,
}

/// What was used up to one moment, by children that were not reaped, too.
#[derive(Clone, Copy, Default)]
pub(super) struct Used {
    cpu_ns: u64,
    faults: u64,
    helpers: u64,
    voluntary: u64,
    involuntary: u64,
}

/// A child of a worker.
struct Child {
    pid: u32,
    zombie: bool,
}

impl<'a> Census<'a> {
    /// The process of each worker, as often as it has one.
    pub fn new(workers: impl Iterator<Item = u32>, helpers: Option<&'a Helpers>) -> Census<'a> {
        let all: Vec<u32> = workers.collect();
        Census { workers: all.len() as u64, processes: all.into_iter().collect(), helpers }
    }

    /// Used so far by the workers' processes and by all children they ever had.
    pub fn used(&self) -> Used {
        self.used_with(&self.children())
    }

    fn used_with(&self, children: &[Child]) -> Used {
        let helped = self.helpers.map(Helpers::read).unwrap_or_default();
        let pids = || self.processes.iter().copied();
        let mut used = Used {
            cpu_ns: helped.cpu_ns + pids().map(cpu_ns).sum::<u64>(),
            faults: pids().map(|pid| faults(pid, true)).sum(),
            helpers: helped.made,
            voluntary: helped.voluntary,
            involuntary: helped.involuntary,
        };
        // Not reaped, so not among what their parents have had of children.
        for child in children {
            let Switches { voluntary, involuntary } = switches_of(&read(child.pid, "status")).unwrap_or_default();
            used.voluntary += voluntary;
            used.involuntary += involuntary;
            used.cpu_ns += runs_of(&read(child.pid, "schedstat")).map_or(0, |runs| runs.cpu_ns);
            used.faults += faults(child.pid, false);
        }
        used
    }

    /// What was used since `before`, and what there is now. `limit` is how long helpers
    /// may take to end.
    pub fn take(&self, before: Used, limit: Duration) -> Result<ServerFacts, String> {
        let children = self.wait_for_helpers(limit)?;
        let now = self.used_with(&children);
        let living = || children.iter().filter(|child| !child.zombie).map(|child| child.pid);
        let pids = || self.processes.iter().copied().chain(living());
        // Of a child that was reaped meanwhile two files tell, which round in two ways.
        Ok(ServerFacts {
            cpu_ns: now.cpu_ns.saturating_sub(before.cpu_ns),
            faults: now.faults.saturating_sub(before.faults),
            helpers: now.helpers - before.helpers,
            helper_voluntary: now.voluntary.saturating_sub(before.voluntary),
            helper_involuntary: now.involuntary.saturating_sub(before.involuntary),
            tasks: pids().map(threads).sum(),
            memory_kib: pids().map(memory_kib).sum(),
        })
    }

    /// Until all helpers that serve a client have done so and have ended: after its last
    /// word a thread takes a moment to go. Returns the children there are.
    fn wait_for_helpers(&self, limit: Duration) -> Result<Vec<Child>, String> {
        let Some(helpers) = self.helpers else {
            return Ok(Vec::new());
        };
        let deadline = Instant::now() + limit;
        loop {
            let helped = helpers.read();
            if helped.busy == 0 {
                let children = self.children();
                let living = children.iter().filter(|child| !child.zombie).count() as u64;
                let threads: u64 = self.processes.iter().copied().map(threads).sum();
                if living + threads.saturating_sub(self.workers) <= helped.silent {
                    return Ok(children);
                }
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{} helpers had not ended {} ms after the last event",
                    helped.busy,
                    limit.as_millis()
                ));
            }
            sys::spin::yield_cpu();
        }
    }

    /// One look at all processes: the kernel lists children only where it was built to.
    fn children(&self) -> Vec<Child> {
        if self.helpers.is_none() {
            return Vec::new();
        }
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let child = |pid: u32| {
            let stat = read(pid, "stat");
            let parent: u32 = stat::field(&stat, 4)?;
            let zombie = stat::state(&stat)? == 'Z';
            self.processes.contains(&parent).then_some(Child { pid, zombie })
        };
        pids.filter_map(child).collect()
    }
}

fn read(pid: u32, name: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default()
}

/// CPU time of all threads it has or had (clock_getcpuclockid(3)).
fn cpu_ns(pid: u32) -> u64 {
    let time = clock_getcpuclockid(Pid::from_raw(pid as i32)).and_then(clock_gettime);
    time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// Page faults of all threads it has or had, and of children it has reaped.
fn faults(pid: u32, reaped: bool) -> u64 {
    let stat = read(pid, "stat");
    let fields: &[usize] = if reaped { &[10, 11, 12, 13] } else { &[10, 12] };
    fields.iter().filter_map(|number| stat::field::<u64>(&stat, *number)).sum()
}

fn threads(pid: u32) -> u64 {
    stat::field(&read(pid, "stat"), 20).unwrap_or(0)
}

/// Its part of the memory it has mapped (PSS), without what it shares with us to be
/// counted; 0 where the kernel does not say.
fn memory_kib(pid: u32) -> u64 {
    let text = read(pid, "smaps_rollup");
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    of("Pss:").unwrap_or(0).saturating_sub(of("Pss_Shmem:").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_something() {
        let us = std::process::id();
        let census = Census::new([us].into_iter(), None);
        let used = census.used();
        assert!(used.cpu_ns > 0 && used.faults > 0);
        let found = census.take(used, Duration::from_secs(1)).unwrap();
        assert!(found.tasks >= 1 && found.memory_kib > 0 && found.helpers == 0, "{found:?}");
    }
}

//! The workers of a cell: starts P processes of T threads, in registration
//! order, and ends them.
//!
//! Must never leave one behind: each dies with the coordinator (PDEATHSIG), and
//! dropping the crew kills and reaps what is left.

use std::ffi::CString;
use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::contract::{Call, During, SetupError};
use super::ledger::{Ledger, Phase, Slot};
use super::task::{Look, Task};
use crate::experiment::Settings;
use crate::experiment::settings::{Affinity, Cpu, Policy, Scheduling};
use crate::sys;

/// Stack of a worker thread: the loop is shallow.
const STACK: usize = 64 * 1024;
/// Above this many workers their /proc files are opened for each read.
const KEEP_FILES: u32 = 1024;

/// Look for dead workers once in so many failed tries.
pub const TRIES_PER_CHECK: u32 = 64;

/// What every worker needs; built before the fork.
pub struct Kit<'a> {
    pub settings: &'a Settings,
    pub ledger: &'a Ledger,
    /// What worker `index` does, with its slot; returns only when it failed.
    pub work: &'a (dyn Fn(Slot<'_>, u32) + Sync),
    /// The CPUs this cell may use.
    pub cpus: &'a [usize],
    /// Process id of the coordinator.
    pub coordinator: u32,
}

/// Why the workers could not be brought to their waits.
#[derive(Debug)]
pub enum CrewError {
    /// A call in worker `worker` was refused.
    Refused { worker: u32, error: SetupError },
    /// Anything else; nothing can be measured.
    Broken(String),
}

impl From<String> for CrewError {
    fn from(reason: String) -> Self {
        CrewError::Broken(reason)
    }
}

impl From<io::Error> for CrewError {
    fn from(e: io::Error) -> Self {
        CrewError::Broken(e.to_string())
    }
}

/// Running worker processes.
pub struct Crew {
    processes: Vec<Pid>,
    /// Workers per process.
    threads: u32,
    /// Those that were to die.
    killed: Vec<Pid>,
}

impl Crew {
    /// Forks all processes. Every worker then sleeps at its gate.
    pub fn start(kit: &Kit<'_>) -> Result<Crew, String> {
        let placement = kit.settings.placement();
        let mut crew = Crew { processes: Vec::new(), threads: placement.threads, killed: Vec::new() };
        let coordinator = nix::unistd::getpid();
        for process in 0..placement.processes {
            let first = process * placement.threads;
            let pid = sys::fork::fork_running(|| {
                if sys::fork::die_with(coordinator).is_err() || sys::signal::default_termination().is_err() {
                    return 1;
                }
                run_threads(kit, first, placement.threads);
                0
            })
            .map_err(|e| {
                format!(
                    "cannot start worker process {process} of {}: {e} (see `ulimit -u` and pids.max)",
                    placement.processes
                )
            })?;
            crew.processes.push(pid);
        }
        Ok(crew)
    }

    /// Opens the gates one by one: worker i+1 registers only when worker i has
    /// been seen asleep. So registration order and order of falling asleep are
    /// both the worker numbers.
    pub fn line_up(&self, kit: &Kit<'_>, limit: Duration) -> Result<Vec<Task>, CrewError> {
        let mut tasks = Vec::new();
        for index in 0..kit.ledger.workers() {
            let slot = kit.ledger.slot(index);
            let mut task = None;
            let mut opened = false;
            let deadline = Instant::now() + limit;
            for tries in 1u32.. {
                if slot.phase() == Phase::Gone {
                    return Err(CrewError::Refused { worker: index, error: slot.failure() });
                }
                if let (None, Some((pid, tid))) = (&task, slot.task()) {
                    task = Some(Task::new(pid, tid, kit.ledger.workers() <= KEEP_FILES)?);
                }
                if task.is_some() && !opened {
                    slot.give_turns(1, 0);
                    opened = true;
                }
                let waiting = slot.phase() == Phase::Waiting;
                if let (Some(task), true) = (&task, waiting)
                    && task.look(&slot.asleep())? == Look::Asleep
                {
                    break;
                }
                if tries.is_multiple_of(TRIES_PER_CHECK)
                    && let Err(died) = self.check_alive()
                {
                    // A refused call is told in the ledger before the process ends.
                    let refused = slot.phase() == Phase::Gone;
                    return Err(if refused {
                        CrewError::Refused { worker: index, error: slot.failure() }
                    } else {
                        died.into()
                    });
                }
                if Instant::now() > deadline {
                    let state = task.as_ref().map_or("not started".into(), Task::describe);
                    return Err(CrewError::Broken(format!(
                        "worker {index} did not reach its wait within {} ms ({state})",
                        limit.as_millis()
                    )));
                }
                sys::spin::yield_cpu();
            }
            tasks.extend(task);
        }
        Ok(tasks)
    }

    /// Whether all live; an error names the first worker process found dead.
    ///
    /// It stays a zombie: reaped here, its number could belong to somebody else
    /// by the time the crew is killed.
    pub fn check_alive(&self) -> Result<(), String> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let state = match self.killed.is_empty() {
            true => waitid(Id::All, flags),
            // The killed ones would always be found first.
            false => {
                let living = self.processes.iter().filter(|pid| !self.killed.contains(pid));
                let mut states = living.map(|pid| waitid(Id::Pid(*pid), flags));
                states.find(|state| *state != Ok(WaitStatus::StillAlive)).unwrap_or(Ok(WaitStatus::StillAlive))
            }
        };
        let how = match state {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, format!("was killed by {signal}")),
            Ok(WaitStatus::Exited(pid, code)) => (pid, format!("ended with code {code}")),
            Ok(_) => return Ok(()),
            Err(errno) => return Err(format!("waitid: {errno}")),
        };
        Err(format!("{} (process {}) {}", self.workers_of(how.0), how.0, how.1))
    }

    /// Kills the process of worker `index`; it is dead on return, and stays a zombie
    /// for the reason given at [`Crew::check_alive`].
    pub fn kill(&mut self, index: u32) -> Result<(), Errno> {
        let pid = self.processes[(index / self.threads) as usize];
        kill(pid, Signal::SIGKILL)?;
        self.killed.push(pid);
        loop {
            match waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Err(Errno::EINTR) => {}
                other => return other.map(drop),
            }
        }
    }

    /// Stops the process of worker `index`; it is stopped on return.
    pub fn stop(&self, index: u32) -> Result<(), Errno> {
        let pid = self.processes[(index / self.threads) as usize];
        kill(pid, Signal::SIGSTOP)?;
        loop {
            // Death would be told as well, and is found by `check_alive`.
            match waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
                Err(Errno::EINTR) => {}
                other => return other.map(drop),
            }
        }
    }

    /// Lets it run again.
    pub fn resume(&self, index: u32) -> Result<(), Errno> {
        kill(self.processes[(index / self.threads) as usize], Signal::SIGCONT)
    }

    /// The workers that live in process `pid`, in words.
    fn workers_of(&self, pid: Pid) -> String {
        let Some(at) = self.processes.iter().position(|known| *known == pid) else {
            return "a process beside the workers".into();
        };
        let at = at as u32;
        let (first, last) = (at * self.threads, (at + 1) * self.threads - 1);
        if first == last { format!("worker {first}") } else { format!("workers {first} to {last}") }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // A pid cannot be reused before we have reaped it, so this hits only ours.
        for pid in &self.processes {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        for pid in &self.processes {
            let _ = waitpid(*pid, None);
        }
    }
}

/// The body of a worker process: its first worker on the main thread, so that a
/// process of one thread is exactly that.
fn run_threads(kit: &Kit<'_>, first: u32, threads: u32) {
    if threads > 1 {
        widen_descriptor_table(threads.saturating_mul(4 + 2 * kit.settings.objects));
    }
    std::thread::scope(|scope| {
        for index in first + 1..first + threads {
            let spawned =
                std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || run_one(kit, index));
            if let Err(e) = spawned {
                kit.ledger
                    .slot(index)
                    .gone(&SetupError { call: Call::Thread, errno: Errno::from_raw(e.raw_os_error().unwrap_or(0)) });
            }
        }
        run_one(kit, first);
    });
}

/// Makes room for `descriptors` more before there are threads. A table that
/// threads share grows under `synchronize_rcu` (fs/file.c, `expand_fdtable`): a
/// sleep inside accept(2) that counts as a wakeup where D is not told from S.
fn widen_descriptor_table(descriptors: u32) {
    let Ok(any) = std::fs::File::open("/dev/null") else {
        return;
    };
    let lowest = i32::try_from(descriptors).unwrap_or(i32::MAX);
    // Refused above the limit: then the table cannot grow there either.
    if let Ok(high) = nix::fcntl::fcntl(&any, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(lowest)) {
        let _ = nix::unistd::close(high);
    }
}

/// The name of every worker thread of the cell with that coordinator. A source
/// that filters by name must see workers only, and only ours.
pub fn comm(coordinator: u32) -> String {
    format!("herd-w{coordinator}")
}

fn run_one(kit: &Kit<'_>, index: u32) {
    let slot = kit.ledger.slot(index);
    let name = CString::new(comm(kit.coordinator)).expect("no NUL in digits");
    // Only the perf source needs it, and that one checks its sum.
    let _ = nix::sys::prctl::set_name(&name);
    if let Err(error) = place(kit, index) {
        return slot.gone(&error);
    }
    (kit.work)(slot, index);
}

/// Puts the calling worker on its CPU, and in its place among others there.
fn place(kit: &Kit<'_>, index: u32) -> Result<(), SetupError> {
    let cpus = kit.cpus;
    let Scheduling { cpu, policy, nice } = kit.settings.for_worker(index).scheduling;
    let cpu = match (cpu, kit.settings.affinity) {
        (Cpu::Number(cpu), _) => Some(cpu as usize),
        (Cpu::Last, _) => cpus.last().copied(),
        (Cpu::Any, Affinity::Spread) => Some(cpus[index as usize % cpus.len()]),
        (Cpu::Any, Affinity::One) => Some(cpus[0]),
        (Cpu::Any, Affinity::None) => None,
    };
    cpu.map_or(Ok(()), sys::cpus::pin_to).during(Call::Affinity)?;
    if nice != 0 {
        sys::cpus::set_nice(nice).during(Call::Nice)?;
    }
    let (policy, priority) = match policy {
        Policy::Other => return Ok(()),
        Policy::Batch => (libc::SCHED_BATCH, 0),
        Policy::Idle => (libc::SCHED_IDLE, 0),
        Policy::Fifo => (libc::SCHED_FIFO, 1),
        Policy::Rr => (libc::SCHED_RR, 1),
    };
    sys::cpus::set_policy(policy, priority).during(Call::Policy)
}

//! The states of a task, one task for each: made so, then looked at in /proc.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};

use super::child::{Child, alone};
use super::figures::{Figures, Trouble, refused};
use super::{Study, here, mode};
use crate::experiment::Settings;
use crate::sys;
use crate::sys::fork::Alone;
use crate::sys::stat;

/// How long a task may take to its state.
const SETTLES: Duration = Duration::from_secs(5);
/// A state is believed when it was read so often in a row.
const LOOKS: u32 = 5;
/// A task on the CPU that nobody ends does so itself.
const SPINS: Duration = Duration::from_secs(30);

pub struct States;

impl Study for States {
    fn name(&self) -> &'static str {
        "states"
    }

    fn about(&self) -> &'static str {
        "one task in each state of /proc/PID/stat: R, S, D, T, Z"
    }

    fn modes(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("running", "a process in an endless loop"),
            ("ready", "two of them on one CPU: at any moment only one can run"),
            ("reading", "a process in read(2) of an empty pipe"),
            ("vfork", "a process whose vfork child has not ended"),
            ("stopped", "a process that got SIGSTOP"),
            ("zombie", "a process that has ended and was not waited for"),
        ]
    }

    fn tasks(&self) -> Option<u32> {
        Some(1)
    }

    fn figures(&self) -> &'static [&'static str] {
        &["state_r", "state_s", "state_d", "state_t", "state_z"]
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        here::pin_to_last()?;
        let alone = alone()?;
        match mode(self, settings) {
            "ready" => spinners(&alone, figures, 2),
            "reading" => sleeper(&alone, figures, 'S'),
            "vfork" => vfork(&alone, figures),
            "stopped" => sleeper(&alone, figures, 'T'),
            "zombie" => {
                let child = Child::start(&alone, figures, || 0)?;
                look(&[child.pid()], 'Z', figures)?;
                child.wait(figures).map(drop)
            }
            _ => spinners(&alone, figures, 1),
        }
    }
}

fn spinners(alone: &Alone, figures: &mut Figures, count: usize) -> Result<(), Trouble> {
    let children: Vec<Child> =
        (0..count).map(|_| Child::spinner(alone, figures, SPINS)).collect::<Result<_, Trouble>>()?;
    let pids: Vec<Pid> = children.iter().map(Child::pid).collect();
    look(&pids, 'R', figures)?;
    children.into_iter().try_for_each(|child| child.end(figures))
}

/// Sleeps in read; `state` is T where it is to be stopped there.
fn sleeper(alone: &Alone, figures: &mut Figures, state: char) -> Result<(), Trouble> {
    let (child, to) = Child::sleeper(alone, figures)?;
    settle(child.pid(), 'S')?;
    if state == 'T' {
        child.signal(Signal::SIGSTOP)?;
    }
    look(&[child.pid()], state, figures)?;
    if state == 'T' {
        child.signal(Signal::SIGCONT)?;
    }
    child.ends_by_a_byte(to, figures)
}

/// A parent that waits for its vfork child is in D: only SIGKILL would end that sleep.
fn vfork(alone: &Alone, figures: &mut Figures) -> Result<(), Trouble> {
    let (from, to) = pipe2(OFlag::O_CLOEXEC).map_err(refused("pipe2"))?;
    let parent = Child::start(alone, figures, || {
        let made = sys::vfork::Vfork::default().run(Some(from.as_fd()));
        let ended = made.and_then(|pid| waitpid(pid, None));
        i32::from(!matches!(ended, Ok(WaitStatus::Exited(_, 0))))
    })?;
    look(&[parent.pid()], 'D', figures)?;
    // Its child: it exits with 0 only if that was made and has ended.
    figures.made(1);
    parent.ends_by_a_byte(to, figures)?;
    figures.reaped(1);
    Ok(())
}

/// The state letter, and where it sleeps as far as the kernel tells us.
fn state(pid: Pid) -> Result<char, Trouble> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    let text = text.map_err(|e| Trouble::Broken(format!("/proc/{pid}/stat: {e}")))?;
    stat::state(&text).ok_or_else(|| Trouble::Broken(format!("/proc/{pid}/stat has no state: {text:?}")))
}

/// Looks until the state was `wanted` so often in a row, or for as long as it may take.
/// What it was last is the answer either way.
fn settle(pid: Pid, wanted: char) -> Result<char, Trouble> {
    let began = Instant::now();
    let (mut last, mut times) = (state(pid)?, 0);
    while times < LOOKS && began.elapsed() < SETTLES {
        times = if last == wanted { times + 1 } else { 0 };
        sys::spin::yield_cpu();
        last = state(pid)?;
    }
    Ok(last)
}

/// Counts the states of all.
fn look(pids: &[Pid], wanted: char, figures: &mut Figures) -> Result<(), Trouble> {
    let mut seen = Vec::new();
    for pid in pids {
        seen.push(settle(*pid, wanted)?);
    }
    for (name, letter) in [("r", 'R'), ("s", 'S'), ("d", 'D'), ("t", 'T'), ("z", 'Z')] {
        figures.add(&format!("state_{name}"), seen.iter().filter(|state| **state == letter).count() as f64);
    }
    // Readable for one's own processes, if kallsyms may be seen; else 0.
    let place = std::fs::read_to_string(format!("/proc/{}/wchan", pids[0])).unwrap_or_default();
    match place.trim() {
        "" | "0" => {}
        place => figures.say(&format!("in {place}")),
    }
    Ok(())
}

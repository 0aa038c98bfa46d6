//! What /proc says about one worker: where it sleeps, how often it ran, how
//! often it gave up the CPU. Needs no privilege for our own children.
//!
//! Must never interpret: it says what the kernel printed.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::contract::{Asleep, Place};
use crate::sys::stat;

/// One look at a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Off the CPU, in the wait under test.
    Asleep,
    /// On a run queue, or on its way there or back.
    Running,
    /// Off the CPU, but in another place.
    Elsewhere(String),
}

/// Context switches of one task, from `/proc/PID/task/TID/status`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Sleeps, interruptible or not.
    pub voluntary: u64,
    /// Preemptions.
    pub involuntary: u64,
}

/// Time on the CPU and arrivals there, from `/proc/PID/task/TID/schedstat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    pub cpu_ns: u64,
    pub arrivals: u64,
}

/// A proc file that is kept open, or opened for each read where there are too
/// many workers for that.
struct Proc {
    path: String,
    open: Option<File>,
}

impl Proc {
    fn new(pid: u32, tid: u32, name: &str, keep: bool) -> io::Result<Proc> {
        let path = format!("/proc/{pid}/task/{tid}/{name}");
        let file = open(&path)?;
        Ok(Proc { path, open: keep.then_some(file) })
    }

    /// A name may be cut in the middle of a character.
    fn read<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Cow<'b, str>> {
        let length = match &self.open {
            Some(file) => file.read_at(buffer, 0)?,
            None => open(&self.path)?.read_at(buffer, 0)?,
        };
        Ok(String::from_utf8_lossy(&buffer[..length]))
    }
}

fn open(path: &str) -> io::Result<File> {
    File::open(path).map_err(|e| {
        if std::path::Path::new("/proc/self/stat").exists() {
            io::Error::new(e.kind(), format!("cannot read {path}: {e}"))
        } else {
            io::Error::new(e.kind(), "/proc is not mounted (mount -t proc proc /proc)")
        }
    })
}

/// The files of one worker.
pub struct Task {
    pub pid: u32,
    pub tid: u32,
    syscall: Proc,
    stat: Proc,
    schedstat: Option<Proc>,
    status: Proc,
}

impl Task {
    /// Opens the files of thread `tid` of process `pid`; keeps them open if `keep`.
    pub fn new(pid: u32, tid: u32, keep: bool) -> io::Result<Task> {
        Ok(Task {
            pid,
            tid,
            syscall: Proc::new(pid, tid, "syscall", keep)?,
            stat: Proc::new(pid, tid, "stat", keep)?,
            // Not there without CONFIG_SCHED_INFO.
            schedstat: Proc::new(pid, tid, "schedstat", keep).ok(),
            status: Proc::new(pid, tid, "status", keep)?,
        })
    }

    /// Whether it sleeps in `expected`. The kernel prints the call only after
    /// `wait_task_inactive` has proved, twice, that the task is off the CPU
    /// (lib/syscall.c, `task_current_syscall`). That proof has a hole: a task in
    /// TASK_WAKING, woken but still on its way to another CPU's run queue, is off
    /// the CPU too. Its state letter is R, so that is asked as well.
    pub fn look(&self, expected: &Asleep) -> io::Result<Look> {
        let mut buffer = [0; 256];
        match look_of(&self.syscall.read(&mut buffer)?, expected) {
            Look::Asleep if !self.sleeps()? => Ok(Look::Running),
            look => Ok(look),
        }
    }

    /// The call it sleeps in, its number first and then its arguments; `None` while it
    /// runs or is being woken. Proved as in [`Task::look`]; no call is number -1.
    pub fn call(&self) -> io::Result<Option<Vec<i64>>> {
        let mut buffer = [0; 256];
        let text = self.syscall.read(&mut buffer)?.trim().to_owned();
        if text == "running" || text.is_empty() || !self.sleeps()? {
            return Ok(None);
        }
        let mut fields = text.split_ascii_whitespace();
        let number = fields.next().and_then(|field| field.parse().ok());
        let arguments = fields.take(6).map_while(|field| u64::from_str_radix(field.strip_prefix("0x")?, 16).ok());
        Ok(number.map(|number: i64| std::iter::once(number).chain(arguments.map(|a| a as i64)).collect()))
    }

    /// Whether its state is S. Alone this proves nothing of a task that has run:
    /// the state is set before the task leaves the CPU.
    pub fn sleeps(&self) -> io::Result<bool> {
        let mut buffer = [0; 512];
        Ok(stat::state(&self.stat.read(&mut buffer)?) == Some('S'))
    }

    /// Whether its state is T, stopped by a signal.
    pub fn stopped(&self) -> io::Result<bool> {
        let mut buffer = [0; 512];
        Ok(stat::state(&self.stat.read(&mut buffer)?) == Some('T'))
    }

    /// `None` where the kernel does not keep it.
    pub fn runs(&self) -> io::Result<Option<Runs>> {
        let Some(schedstat) = &self.schedstat else {
            return Ok(None);
        };
        let mut buffer = [0; 128];
        Ok(runs_of(&schedstat.read(&mut buffer)?))
    }

    pub fn switches(&self) -> io::Result<Switches> {
        let mut buffer = [0; 4096];
        switches_of(&self.status.read(&mut buffer)?)
            .ok_or_else(|| io::Error::other(format!("{} names no context switches", self.status.path)))
    }

    /// State, wait channel and kernel stack, for the report of a lost wakeup.
    pub fn describe(&self) -> String {
        let read = |name: &str| {
            let path = format!("/proc/{}/task/{}/{name}", self.pid, self.tid);
            String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
        };
        let syscall = read("syscall");
        let stack: Vec<String> = read("stack").lines().map(frame).collect();
        let state = stat::state(&read("stat")).unwrap_or('?');
        let at = match stack.is_empty() {
            true => read("wchan"),
            false => stack.join(" < "),
        };
        format!("pid {} tid {} state {state} syscall {} in {at}", self.pid, self.tid, syscall.trim())
    }
}

/// `[<0>] do_epoll_wait+0x1/0x2` without address and offset.
fn frame(line: &str) -> String {
    let name = line.rsplit(' ').next().unwrap_or(line);
    name.split('+').next().unwrap_or(name).to_owned()
}

fn look_of(text: &str, expected: &Asleep) -> Look {
    let text = text.trim();
    if text == "running" {
        return Look::Running;
    }
    let mut fields = text.split_ascii_whitespace();
    let call = fields.next().and_then(|n| n.parse::<i64>().ok());
    let first = fields.next().and_then(|n| u64::from_str_radix(n.trim_start_matches("0x"), 16).ok());
    let here = |place: &Place| {
        // A descriptor is an int: the upper half of the register means nothing.
        let right_first = place.first.is_none_or(|want| first.is_some_and(|f| f as u32 == want as u32));
        call == Some(place.call) && right_first
    };
    if expected.places().iter().any(here) { Look::Asleep } else { Look::Elsewhere(text.to_owned()) }
}

pub(super) fn runs_of(text: &str) -> Option<Runs> {
    let mut fields = text.split_ascii_whitespace().map(str::parse::<u64>);
    let cpu_ns = fields.next()?.ok()?;
    let arrivals = fields.nth(1)?.ok()?;
    Some(Runs { cpu_ns, arrivals })
}

pub(super) fn switches_of(text: &str) -> Option<Switches> {
    // The two lines are the last of the file.
    let value = |name: &str| -> Option<u64> {
        let at = text.rfind(name)?;
        text[at + name.len()..].split_ascii_whitespace().next()?.parse().ok()
    };
    Some(Switches {
        involuntary: value("\nnonvoluntary_ctxt_switches:")?,
        voluntary: value("\nvoluntary_ctxt_switches:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_look(text: &str, first: Option<u64>, want: Look) {
        let expected = Asleep::at(&[232, 281], first);
        assert_eq!(look_of(text, &expected), want);
    }

    #[test]
    fn a_look_needs_the_call_and_the_descriptor() {
        check_look("232 0x4 0x7f 0x1 0xffffffff 0x0 0x8 0x7ffd 0x7f0\n", Some(4), Look::Asleep);
        check_look("281 0x4 0x7f\n", Some(4), Look::Asleep);
        check_look("232 0x4 0x7f\n", None, Look::Asleep);
        check_look("running\n", Some(4), Look::Running);
        check_look("232 0x5 0x7f\n", Some(4), Look::Elsewhere("232 0x5 0x7f".into()));
        check_look("202 0x4 0x7f\n", Some(4), Look::Elsewhere("202 0x4 0x7f".into()));
        // Blocked outside a system call, as in a page fault.
        check_look("-1 0x7ffd 0x7f0\n", Some(4), Look::Elsewhere("-1 0x7ffd 0x7f0".into()));
        check_look("", Some(4), Look::Elsewhere(String::new()));
    }

    #[test]
    fn status_and_schedstat_are_read() {
        let status = "Name:\therd\nvoluntary_ctxt_switches:\t17\nnonvoluntary_ctxt_switches:\t3\n";
        let want = Switches { voluntary: 17, involuntary: 3 };
        assert_eq!(switches_of(status), Some(want));
        assert_eq!(switches_of("Name:\therd\n"), None);
        assert_eq!(runs_of("123 45 6\n"), Some(Runs { cpu_ns: 123, arrivals: 6 }));
        assert_eq!(runs_of("0 0\n"), None);
        assert_eq!(frame("[<0>] do_epoll_wait+0x1/0x2"), "do_epoll_wait");
    }
}

//! The process of one cell: this program once more, or a copy of this process.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};

use crate::cell::Plan;
use crate::cell::plan::COMMAND;
use crate::sys;

/// What a cell's process does: the plan, and where its one line goes. Not for a plan with
/// `step`, which needs a stdin of its own.
pub type Body = fn(&Plan, &mut dyn Write) -> io::Result<()>;

enum Kind {
    Program(Child),
    Copy(Pid),
}

/// A cell's process, and where it says its result.
pub struct Process {
    kind: Kind,
    /// One line of JSON.
    pub says: File,
}

impl Process {
    /// # Errors
    /// When it cannot be started; none is left behind then.
    pub fn start(plan: &Plan, body: Option<Body>) -> io::Result<Process> {
        match body {
            // Its end of the pipe is not needed: nobody watches.
            None => program(plan).map(|(process, _)| process),
            Some(body) => copy(plan, body),
        }
    }

    /// Of a plan with `step`, with the pipe that wants a byte for each round.
    ///
    /// # Errors
    /// As of [`Process::start`].
    pub fn stepping(plan: &Plan) -> io::Result<(Process, ChildStdin)> {
        program(plan)
    }

    pub fn pid(&self) -> Pid {
        match &self.kind {
            Kind::Program(child) => Pid::from_raw(child.id() as i32),
            Kind::Copy(pid) => *pid,
        }
    }

    /// Waits for its end; says how it ended.
    pub fn wait(&mut self) -> io::Result<String> {
        match &mut self.kind {
            Kind::Program(child) => Ok(child.wait()?.to_string()),
            Kind::Copy(pid) => Ok(match waitpid(*pid, None)? {
                WaitStatus::Signaled(_, signal, _) => format!("signal: {} ({signal})", signal as i32),
                WaitStatus::Exited(_, code) => format!("exit status: {code}"),
                other => format!("{other:?}"),
            }),
        }
    }
}

fn program(plan: &Plan) -> io::Result<(Process, ChildStdin)> {
    let spawned = Command::new("/proc/self/exe").arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|e| match std::fs::exists("/proc/self/stat") {
        Ok(true) => e,
        _ => io::Error::new(e.kind(), "/proc is not mounted (mount -t proc proc /proc)"),
    })?;
    let mut text = serde_json::to_vec(plan)?;
    text.push(b'\n');
    let mut stdin = child.stdin.take().expect("stdin is piped");
    if let Err(e) = stdin.write_all(&text) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(e);
    }
    let says: OwnedFd = child.stdout.take().expect("stdout is piped").into();
    Ok((Process { kind: Kind::Program(child), says: says.into() }, stdin))
}

fn copy(plan: &Plan, body: Body) -> io::Result<Process> {
    let (says, told) = pipe2(OFlag::O_CLOEXEC)?;
    let pid = sys::fork::fork_running(|| match body(plan, &mut File::from(told)) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("herd: cell: {e}");
            1
        }
    })?;
    Ok(Process { kind: Kind::Copy(pid), says: says.into() })
}

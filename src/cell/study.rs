//! A cell that is a study: one more process, which measures and says its figures, while
//! this one waits with a limit. It is killed when its time is over or somebody asks us to
//! stop, and whomever it made dies with it.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{getpid, pipe2};

use super::coordinator::invalid;
use super::plan::Plan;
use crate::observation::{End, Figure, Observation};
use crate::study::{self, Figures, Said, Trouble};
use crate::sys;
use crate::sys::fork::Owned;

/// How long a study may take at least, whatever limit_ms says.
const LIMIT_MS: u64 = 30_000;
/// How often this process looks whether it is to stop, in milliseconds.
const LOOKS_MS: u16 = 50;

/// Runs the study of the plan. Everybody is gone when it returns.
pub fn observe(plan: &Plan) -> Observation {
    let began = Instant::now();
    let mut found = match said(plan) {
        Ok(said) => observation(said),
        Err(end) => Observation::empty(end),
    };
    found.elapsed_ns = began.elapsed().as_nanos() as u64;
    found
}

fn said(plan: &Plan) -> Result<Said, End> {
    crate::sys::descriptors::raise_limit();
    let (from, to) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| invalid(format!("pipe2: {errno}")))?;
    let us = getpid();
    let host = sys::fork::fork_running(|| match sys::fork::die_with(us) {
        Ok(()) => i32::from(measure(plan, &to).is_err()),
        Err(_) => 1,
    });
    let host = Owned::new(host.map_err(|e| invalid(format!("cannot start the study's process: {e}")))?);
    drop(to);
    let limit = Duration::from_millis(plan.settings.limit_ms.max(LIMIT_MS));
    let text = listen(&from, limit)?;
    // It has nothing more to say.
    drop(host);
    serde_json::from_str(&text).map_err(|_| invalid(format!("the study's process ended without a word{text}")))
}

/// The study's own process.
fn measure(plan: &Plan, to: &OwnedFd) -> std::io::Result<()> {
    // Some are made to crash.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let study = study::find(&plan.settings.study.name).expect("checked in the plan");
    let mut figures = Figures::default();
    let outcome = study.run(&plan.settings, &mut figures);
    let text = serde_json::to_string(&figures.close(outcome))?;
    std::fs::File::from(to.try_clone()?).write_all(text.as_bytes())
}

/// Reads until the other end is closed.
fn listen(from: &OwnedFd, limit: Duration) -> Result<String, End> {
    let mut file = std::fs::File::from(from.try_clone().map_err(|e| invalid(e.to_string()))?);
    let (began, mut text) = (Instant::now(), Vec::new());
    loop {
        if sys::signal::termination_asked() {
            return Err(End::Interrupted);
        }
        if began.elapsed() > limit {
            return Err(invalid(format!("the study did not end within {} s", limit.as_secs())));
        }
        let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, LOOKS_MS) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(errno) => return Err(invalid(format!("poll: {errno}"))),
        }
        let mut chunk = [0; 65_536];
        match file.read(&mut chunk) {
            Ok(0) => return Ok(String::from_utf8_lossy(&text).into_owned()),
            Ok(length) => text.extend_from_slice(&chunk[..length]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(invalid(format!("cannot read from the study: {e}"))),
        }
    }
}

fn observation(said: Said) -> Observation {
    let end = match said.trouble {
        None => End::Complete,
        Some(Trouble::Unable(reason)) => End::Unable { reason },
        Some(Trouble::Refused { call, errno }) => End::Refused { worker: None, call, errno },
        Some(Trouble::Broken(reason)) => invalid(reason),
    };
    let figures = said.samples.into_iter().filter_map(|(name, samples)| Some((name, Figure::of(samples)?)));
    Observation {
        figures: figures.collect(),
        omitted: said.omitted,
        said: said.words,
        warnings: said.notes,
        ..Observation::empty(end)
    }
}

//! One worker of many dereferences a null pointer: who is left?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::child::{Child, alone};
use super::figures::{Figures, Trouble, refused};
use super::{Study, Takes, here};
use crate::experiment::Settings;
use crate::experiment::settings::PlacementKind;
use crate::sys::futex;
use crate::sys::region::crash;
use crate::sys::shared::SharedRows;
use crate::sys::stat;
use crate::sys::threads::Crowd;

/// The one that crashes, counted from 0.
const THIRD: usize = 2;
const STACK: usize = 64 * 1024;
/// Memory of one process, page tables and kernel stack included, in KiB.
const PROCESS_KIB: u64 = 300;

pub struct CrashOne;

/// Row 0 has who is there, row 1 the gate of the one, row 2 that of the others.
type Board = SharedRows<8>;

impl Study for CrashOne {
    fn name(&self) -> &'static str {
        "crash-one"
    }

    fn about(&self) -> &'static str {
        "the third of all workers reads address 0; who survives, as threads and as processes"
    }

    fn takes(&self) -> &'static [Takes] {
        &[Takes::Placement]
    }

    fn figures(&self) -> &'static [&'static str] {
        &["survivors"]
    }

    fn refuse(&self, settings: &Settings) -> Option<String> {
        if settings.workers as usize <= THIRD {
            return Some("it is the third worker that crashes; choose workers = 3 or more".into());
        }
        let exact = matches!(settings.placement, PlacementKind::Exact(_));
        exact.then(|| "crash-one has threads or processes; choose placement = \"threads\" or \"processes\"".into())
    }

    fn run(&self, settings: &Settings, figures: &mut Figures) -> Result<(), Trouble> {
        let workers = settings.workers as usize;
        let board: Arc<Board> = Arc::new(here::shared(3)?);
        match settings.placement {
            PlacementKind::Threads => threads(&board, workers, figures),
            _ => processes(&board, workers, figures),
        }
    }
}

/// Says that it is there, waits, and crashes if it is the one.
fn worker(board: &Board, index: usize) {
    word(board, 0).fetch_add(1, Ordering::AcqRel);
    futex::wait_while(word(board, if index == THIRD { 1 } else { 2 }), 0);
    if index == THIRD {
        // A core limit of 0 does not stop helpers behind a pipe (core(5)); this does.
        let _ = nix::sys::prctl::set_dumpable(false);
        crash();
    }
}

fn word(board: &Board, row: usize) -> &AtomicU64 {
    &board.row(row)[0]
}

fn all_there(board: &Board, workers: usize) -> Result<(), Trouble> {
    here::all_there(word(board, 0), workers as u64, "workers have started")
}

fn died(status: WaitStatus) -> Result<(), Trouble> {
    match status {
        WaitStatus::Signaled(_, Signal::SIGSEGV, _) => Ok(()),
        other => Err(Trouble::Broken(format!("the worker did not crash: {other:?}"))),
    }
}

fn threads(board: &Arc<Board>, workers: usize, figures: &mut Figures) -> Result<(), Trouble> {
    let alone = alone()?;
    let process = Child::start(&alone, figures, || {
        let theirs = Arc::clone(board);
        let mut crowd = Crowd::new(STACK, move |index, _| worker(&theirs, index));
        for _ in 0..workers {
            if crowd.add().is_err() {
                return 2;
            }
        }
        crowd.join();
        0
    })?;
    let pid = process.pid();
    all_there(board, workers)?;
    figures.made(workers as u64);
    futex::store_and_wake(word(board, 1), 1);
    // Comes back when the process has ended, and leaves it a zombie whose tasks can be
    // looked at.
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).map_err(refused("waitid"))?;
    let left = living(pid)?;
    died(process.wait(figures)?)?;
    figures.reaped(workers as u64);
    figures.add("survivors", left as f64);
    Ok(())
}

/// The tasks of a process that are neither dead nor zombies.
fn living(pid: Pid) -> Result<usize, Trouble> {
    let unread = |e: std::io::Error| Trouble::Broken(format!("/proc/{pid}/task: {e}"));
    let mut left = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).map_err(unread)? {
        // One that ends meanwhile has no state any more.
        let stat = std::fs::read_to_string(task.map_err(unread)?.path().join("stat")).unwrap_or_default();
        left += usize::from(!matches!(stat::state(&stat), None | Some('Z' | 'X')));
    }
    Ok(left)
}

fn processes(board: &Board, workers: usize, figures: &mut Figures) -> Result<(), Trouble> {
    here::room_for(workers as u64 * PROCESS_KIB)?;
    let alone = alone()?;
    let mut children = Vec::new();
    for index in 0..workers {
        children.push(Child::start(&alone, figures, || {
            worker(board, index);
            0
        })?);
    }
    all_there(board, workers)?;
    futex::store_and_wake(word(board, 1), 1);
    died(children.remove(THIRD).wait(figures)?)?;
    let mut left = 0;
    for child in &children {
        // Looks without waiting for it.
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = waitid(Id::Pid(child.pid()), look);
        left += u64::from(status == Ok(WaitStatus::StillAlive));
    }
    figures.add("survivors", left as f64);
    futex::store_and_wake(word(board, 2), 1);
    for child in children {
        child.ends_well("a survivor", figures)?;
    }
    Ok(())
}

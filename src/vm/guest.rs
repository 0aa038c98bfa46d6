//! PID 1 of a guest: mounts, brings loopback up, runs the cells of the plan,
//! tells the results over the second serial port, powers off.
//!
//! Must never end: the kernel would panic. Whatever goes wrong is said on the
//! port and on the console, and the machine is switched off.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::archive::PLAN;
use super::console::CELL;
use super::protocol::{GuestPlan, Line, Speaker};
use crate::analysis::judge;
use crate::environment;
use crate::results::numbered;
use crate::runner::process::Body;
use crate::runner::{self, Probes, Wish, limits::Limits, local::Local};
use crate::sys;

/// The second serial port; the first is the console.
const PORT: &str = "/dev/ttyS1";
/// Everything is slower in an emulated machine; a limit is no measurement.
const PATIENCE: u64 = 10;

/// Whether this process is PID 1 of one of our guests.
pub fn is_ours() -> bool {
    std::process::id() == 1 && Path::new(PLAN).exists()
}

/// Does everything; does not return. Cells are copies of this process that run `cell`.
pub fn main(cell: Body) -> ! {
    if let Err(why) = live(cell) {
        // Where the port could not be had, the console is read as well.
        eprintln!("herd: guest: {why}");
        if let Ok(port) = port() {
            let _ = Speaker::new(port).say(&Line::Broken(why));
        }
    }
    let _ = reboot(RebootMode::RB_POWER_OFF);
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    // Neither is possible: QEMU is ended by the host, which has heard all.
    loop {
        nix::unistd::pause();
    }
}

fn live(cell: Body) -> Result<(), String> {
    let said = |what: &str, e: &dyn std::fmt::Display| format!("{what}: {e}");
    mount_all()?;
    let mut speaker = Speaker::new(port().map_err(|e| said(PORT, &e))?);
    let text = std::fs::read(PLAN).map_err(|e| said(PLAN, &e))?;
    let plan: GuestPlan = serde_json::from_slice(&text).map_err(|e| said(PLAN, &e))?;
    sys::boot::link_up("lo").map_err(|e| said("cannot bring lo up", &e))?;
    let environment = environment::read();
    let mut probes = Probes::new(environment.stable_release());
    speaker.say(&Line::Ready(Box::new(environment))).map_err(|e| said(PORT, &e))?;
    let mut local = Local::forking(cell).map_err(|e| said("cannot take over signals", &e))?;
    keep_counter(&plan);
    let limits = Limits::read();
    for repetition in 1..=plan.repeat {
        for planned in &plan.cells {
            let mut cell = planned.clone();
            cell.settings.limit_ms = cell.settings.limit_ms.saturating_mul(PATIENCE).min(600_000);
            let name = numbered(&cell.id, repetition);
            name_on_console(&name);
            speaker.say(&Line::Start(name)).map_err(|e| said(PORT, &e))?;
            let wish = Wish { trace: plan.trace, count_with: plan.count_with.clone(), repetition, timeline: None };
            let result = match limits.refuse(&cell.settings) {
                Some(why) => judge::skip(&cell, why),
                None => runner::run_cell(&cell, &mut local, &mut probes, &wish),
            };
            speaker.say(&Line::Cell(Box::new(result.repeated(repetition).into()))).map_err(|e| said(PORT, &e))?;
            reap();
        }
    }
    drop(local);
    speaker.end().map_err(|e| said(PORT, &e))
}

/// Has the programs that count ready for all cells. Where they cannot be had, each cell
/// finds that out, and why, and counts otherwise. Not where something is to be timed: they
/// run at each switch of every task.
fn keep_counter(plan: &GuestPlan) {
    let several = plan.cells.len() > 1 || plan.repeat > 1;
    let timed = plan.cells.iter().any(|cell| cell.settings.is_study());
    let most = plan.cells.iter().map(|cell| cell.settings.workers).max();
    if let (true, false, None | Some("bpf"), Some(most)) = (several, timed, plan.count_with.as_deref(), most) {
        let _ = sys::bpf::keep(most as usize);
    }
}

/// So that the next complaint of the kernel is known to be of this cell. Where the log
/// cannot be written, the host guesses.
fn name_on_console(cell: &str) {
    let log = OpenOptions::new().write(true).open("/dev/kmsg");
    // Of the level of a warning, which the console shows.
    let _ = log.and_then(|mut log| log.write_all(format!("<4>{CELL}{cell}\n").as_bytes()));
}

/// Mounts what the lab reads. What a small kernel lacks is missed by the probe
/// that needs it.
fn mount_all() -> Result<(), String> {
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let mut proc = Err(nix::errno::Errno::ENOENT);
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")] {
        let flags = if kind == "devtmpfs" { MsFlags::MS_NOSUID } else { plain };
        let mounted = mount(Some(kind), place, Some(kind), flags, None::<&str>);
        if kind == "proc" {
            proc = mounted;
        }
    }
    // For the scheduler's name and the preemption mode.
    let _ = mount(Some("debugfs"), "/sys/kernel/debug", Some("debugfs"), plain, None::<&str>);
    proc.map_err(|e| format!("cannot mount /proc: {e}"))
}

/// The port as it is: no echo, no line ends of its own.
fn port() -> io::Result<File> {
    let port = OpenOptions::new().read(true).write(true).open(PORT)?;
    let mut settings = tcgetattr(&port)?;
    cfmakeraw(&mut settings);
    tcsetattr(&port, SetArg::TCSANOW, &settings)?;
    Ok(port)
}

/// Every orphan of the machine is ours. Bounded by their number.
fn reap() {
    for _ in 0..100_000 {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

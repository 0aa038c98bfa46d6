//! Starts guests, listens to both of their ports, ends them.
//!
//! Single-threaded: one poll(2) over all guests and the signals. QEMU dies with
//! us (PDEATHSIG), whatever ends us, and leaves no file: images are memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::console::{Console, Trouble};
use super::kernel::{Kernel, Kind};
use super::protocol::Listener;
use super::uml;
use crate::sys;

/// How long a guest under KVM may take to PID 1 before we try without.
const KVM_PATIENCE: Duration = Duration::from_secs(15);
// As QEMU spells them.
const KVM: &str = "kvm";
const TCG: &str = "tcg,thread=multi";
const TCG_ONE_THREAD: &str = "tcg,thread=single";
/// Lines of the console that a message shows.
const LAST_LINES: usize = 4;

/// How the guest's processor is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Accel {
    /// KVM where it boots, else TCG.
    Auto,
    Kvm,
    Tcg,
}

/// How to start guests.
#[derive(Clone, Debug)]
pub struct Options {
    pub qemu: PathBuf,
    pub accel: Accel,
    pub smp: u32,
    /// MiB.
    pub memory: u32,
    /// More for the kernel's command line.
    pub append: String,
    /// A guest that says nothing for so long hangs.
    pub limit: Duration,
}

/// What became of one guest.
pub struct Outcome {
    pub heard: Listener,
    /// Why it did not come to its end.
    pub failed: Option<String>,
    /// What its kernel complained about, and during which cell.
    pub troubles: Vec<(Option<String>, Trouble)>,
    /// As QEMU spells it: `kvm`, or `tcg` with how many threads; else user-mode-linux.
    pub accel: &'static str,
    /// From the start of QEMU to the first word of PID 1, and to the end.
    pub booted: Option<Duration>,
    pub took: Duration,
}

/// A running guest.
pub struct Guest {
    child: Child,
    heard: Listener,
    console: Console,
    troubles: Vec<(Option<String>, Trouble)>,
    accel: &'static str,
    started: Instant,
    last_word: Instant,
    booted: Option<Duration>,
}

/// Whether this processor can run KVM guests at all. A device without vmx or svm
/// behind it opens, and then crawls.
fn has_kvm() -> bool {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let capable = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    capable && File::options().read(true).write(true).open("/dev/kvm").is_ok()
}

impl Guest {
    /// Boots `kernel` with `initrd`.
    pub fn start(kernel: &Kernel, initrd: &File, options: &Options) -> Result<Guest, String> {
        let accel = match options.accel {
            _ if kernel.kind == Kind::UserMode => uml::ACCEL,
            Accel::Kvm => KVM,
            Accel::Auto if has_kvm() => KVM,
            Accel::Auto | Accel::Tcg => TCG,
        };
        Guest::start_with(kernel, initrd, options, accel)
    }

    fn start_with(kernel: &Kernel, initrd: &File, options: &Options, accel: &'static str) -> Result<Guest, String> {
        let (mut command, program) = match kernel.kind {
            Kind::Machine => (emulated(kernel, initrd, options, accel), Some(&options.qemu)),
            Kind::UserMode => (uml::command(kernel, initrd, options), None),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        sys::fork::dies_with_us(&mut command);
        sys::fork::leaves_no_core(&mut command);
        let child = command.spawn().map_err(|e| match (program, e.kind()) {
            (Some(qemu), io::ErrorKind::NotFound) => missing(qemu),
            (Some(qemu), _) => format!("cannot start {}: {e}", qemu.display()),
            (None, _) => uml::cannot_start(&e),
        })?;
        let now = Instant::now();
        Ok(Guest {
            child,
            heard: Listener::default(),
            console: Console::default(),
            troubles: Vec::new(),
            accel,
            started: now,
            last_word: now,
            booted: None,
        })
    }

    /// How many cells it has done, once PID 1 has spoken.
    pub fn done(&self) -> Option<usize> {
        self.booted.map(|_| self.heard.cells.len())
    }

    /// The release of its kernel, once PID 1 has spoken.
    pub fn release(&self) -> Option<&str> {
        self.heard.environment.as_ref().map(|e| e.kernel_release.as_str())
    }

    /// Hears what there is. `Some` when the guest has ended, well or not.
    fn hear(&mut self, limit: Duration) -> Option<Result<(), String>> {
        let ended = self.accel == uml::ACCEL && uml::has_ended(&self.child);
        let (mut over, mut heard) = (false, false);
        let mut chunk = [0; 65_536];
        if let Some(out) = &mut self.child.stdout
            && ready(out.as_fd())
        {
            match out.read(&mut chunk) {
                Ok(0) => over = true,
                Ok(length) => {
                    heard = true;
                    self.last_word = Instant::now();
                    if let Err(why) = self.heard.hear(&chunk[..length]) {
                        return Some(Err(why));
                    }
                    if self.booted.is_none() && self.heard.environment.is_some() {
                        self.booted = Some(self.started.elapsed());
                    }
                }
                Err(e) => return Some(Err(format!("cannot read from QEMU: {e}"))),
            }
        }
        // Whatever it said before it ended has been read.
        over |= ended && !heard;
        if let Some(err) = &mut self.child.stderr
            && ready(err.as_fd())
        {
            let length = err.read(&mut chunk).unwrap_or(0);
            let during = self.heard.running.clone();
            let found = self.console.hear(&chunk[..length]);
            self.troubles.extend(found.into_iter().map(|trouble| (during.clone(), trouble)));
        }
        if self.heard.complete {
            return Some(Ok(()));
        }
        if self.console.floods() {
            return Some(Err("the guest's console prints without end".into()));
        }
        if over {
            if ended {
                uml::end_helpers(&self.child);
            }
            let code = self.child.wait().map(|status| status.to_string()).unwrap_or_default();
            let what = if self.booted.is_some() { "the guest ended early" } else { "the kernel did not come to PID 1" };
            return Some(Err(format!("{what} ({}: {code})", self.program())));
        }
        if self.last_word.elapsed() > limit {
            let what = match (&self.heard.running, self.booted) {
                (Some(cell), _) => format!("hangs in {cell}"),
                (None, Some(_)) => "hangs".into(),
                (None, None) => "hangs before PID 1".into(),
            };
            return Some(Err(format!("the guest {what}: nothing for {} s (--limit)", limit.as_secs())));
        }
        None
    }

    /// What runs the kernel, for messages.
    fn program(&self) -> &'static str {
        if self.accel == uml::ACCEL { uml::ACCEL } else { "QEMU" }
    }

    /// Ends QEMU and says what came of it.
    fn finish(mut self, result: Result<(), String>) -> Outcome {
        self.end();
        let failed = result.err().map(|why| {
            let crash = self.troubles.iter().find(|(_, trouble)| trouble.crash);
            let last = match crash {
                Some((_, trouble)) => trouble.line.clone(),
                None => self.console.last_lines(LAST_LINES).join(" | "),
            };
            let why = self.console.explanation().map_or(why.clone(), |known| format!("{why}: {known}"));
            if last.is_empty() { why } else { format!("{why}; console: {last}") }
        });
        Outcome {
            heard: std::mem::take(&mut self.heard),
            failed,
            troubles: std::mem::take(&mut self.troubles),
            accel: self.accel,
            booted: self.booted,
            took: self.started.elapsed(),
        }
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        if self.accel == uml::ACCEL {
            uml::end_helpers(&self.child);
        }
        let _ = self.child.wait();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end();
    }
}

/// QEMU with the kernel in it.
fn emulated(kernel: &Kernel, initrd: &File, options: &Options, accel: &str) -> Command {
    let append = format!("console=ttyS0 loglevel=5 panic=-1 mitigations=off rdinit=/init {}", options.append);
    let mut command = Command::new(&options.qemu);
    command
        .args(["-nodefaults", "-nic", "none", "-display", "none", "-no-reboot"])
        .args(["-accel", accel])
        .args(["-smp", &options.smp.to_string(), "-m", &options.memory.to_string()])
        .args(["-kernel", &through(&kernel.image), "-initrd", &through(initrd)])
        .args(["-append", append.trim()])
        // The console goes where QEMU's own complaints go.
        .args(["-serial", "file:/dev/stderr"])
        .args(["-chardev", "stdio,id=results,signal=off", "-serial", "chardev:results"]);
    command
}

/// The name by which a child opens a file of ours.
pub fn through(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

fn missing(qemu: &Path) -> String {
    format!(
        "{} is not installed (Debian: qemu-system-x86, Fedora: qemu-system-x86-core, Arch: qemu-system-x86); \
         or name it with --qemu",
        qemu.display()
    )
}

fn ready(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
}

/// All guests of one call: at most `jobs` run at once.
pub struct Farm<'a> {
    pub kernels: &'a [Kernel],
    pub initrd: &'a File,
    pub options: &'a Options,
    pub jobs: usize,
}

impl Farm<'_> {
    /// Runs all. `look` is called some times a second with what runs, and says
    /// whether to go on; guests are ended when it does not.
    pub fn run(&self, mut look: impl FnMut(&[(usize, Guest)]) -> bool) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = self.kernels.iter().map(|_| None).collect();
        let mut running: Vec<(usize, Guest)> = Vec::new();
        let mut next = 0;
        let mut go_on = true;
        while (go_on && next < self.kernels.len()) || !running.is_empty() {
            while go_on && next < self.kernels.len() && running.len() < self.jobs {
                match Guest::start(&self.kernels[next], self.initrd, self.options) {
                    Ok(guest) => running.push((next, guest)),
                    Err(why) => outcomes[next] = Some(unstarted(why)),
                }
                next += 1;
            }
            wait_for_word(&running);
            go_on &= look(&running);
            for at in (0..running.len()).rev() {
                let (kernel, guest) = &mut running[at];
                let ended = if go_on { guest.hear(self.options.limit) } else { Some(Err("interrupted".into())) };
                let slow = ended.is_none()
                    && guest.accel == KVM
                    && self.options.accel == Accel::Auto
                    && guest.booted.is_none()
                    && guest.started.elapsed() > KVM_PATIENCE;
                // Emulation by several threads crashes or hangs some kernels now and
                // then (int3 and double faults while code is patched; 6.12 and 7.3
                // here). What is true of a kernel shows with one thread as well.
                let doubtful = guest.accel == TCG && go_on && matches!(ended, Some(Err(_)));
                let kernel = *kernel;
                if slow || doubtful {
                    let accel = if slow { TCG } else { TCG_ONE_THREAD };
                    match Guest::start_with(&self.kernels[kernel], self.initrd, self.options, accel) {
                        Ok(again) => running[at].1 = again,
                        Err(why) => {
                            running.swap_remove(at);
                            outcomes[kernel] = Some(unstarted(why));
                        }
                    }
                } else if let Some(result) = ended {
                    let (_, guest) = running.swap_remove(at);
                    outcomes[kernel] = Some(guest.finish(result));
                }
            }
        }
        outcomes
            .into_iter()
            .map(|o| o.unwrap_or_else(|| unstarted("interrupted before it was started".into())))
            .collect()
    }
}

fn unstarted(why: String) -> Outcome {
    Outcome {
        heard: Listener::default(),
        failed: Some(why),
        troubles: Vec::new(),
        accel: "none",
        booted: None,
        took: Duration::ZERO,
    }
}

/// Until some guest says something, or a moment has passed.
fn wait_for_word(running: &[(usize, Guest)]) {
    let fds = running.iter().flat_map(|(_, guest)| {
        let out = guest.child.stdout.as_ref().map(AsFd::as_fd);
        out.into_iter().chain(guest.child.stderr.as_ref().map(AsFd::as_fd))
    });
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let _ = poll(&mut fds, PollTimeout::from(100u8));
}

//! Starts guests, listens to both of their ports, ends them.
//!
//! Single-threaded: one poll(2) over all guests and the signals. QEMU dies with
//! us (PDEATHSIG), whatever ends us, and leaves no file: images are memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::command_line::{self, KVM, TCG};
use super::console::{Console, Trouble};
use super::kernel::{Kernel, Kind};
use super::protocol::Listener;
use super::uml;
use crate::sys;

/// How long a guest under KVM may take to PID 1 before we try without.
const KVM_PATIENCE: Duration = Duration::from_secs(15);
/// How long a QEMU that has closed its port may take to end and to print why.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a kernel that has crashed before PID 1 may be silent. An oops kills what ran;
/// the rest may go on, or wait for it for ever.
const AFTER_CRASH: Duration = Duration::from_secs(10);
/// Pieces of 64 KiB that are taken from one guest before the others are heard.
const MOST_CHUNKS: usize = 16;
/// MiB that all kernels tried were content with.
const SMALL: u32 = 128;
/// What kernels print that have too little memory (mm/oom_kill.c, init/initramfs.c).
const WANT_OF_MEMORY: [&str; 3] =
    ["System is deadlocked on memory", "Out of memory: ", "Initramfs unpacking failed: write error"];
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
    /// What the kernel said when it crashed before PID 1, if it was then booted again.
    pub crashed_first: Option<String>,
    /// What its kernel complained about, and during which cell.
    pub troubles: Vec<(Option<String>, Trouble)>,
    /// As QEMU spells it: `kvm`, or `tcg` with how many threads; else user-mode-linux.
    pub accel: &'static str,
    /// From the start of QEMU to the first word of PID 1, and to the end.
    pub booted: Option<Duration>,
    pub took: Duration,
}

impl Outcome {
    /// Of a guest that there never was.
    pub(super) fn unstarted(why: String) -> Outcome {
        Outcome {
            heard: Listener::default(),
            failed: Some(why),
            crashed_first: None,
            troubles: Vec::new(),
            accel: "none",
            booted: None,
            took: Duration::ZERO,
        }
    }
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
    /// When the console last printed something.
    last_line: Instant,
    booted: Option<Duration>,
    /// MiB.
    memory: u32,
    /// When QEMU closed the result port.
    closed: Option<Instant>,
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
            Kind::Machine => (command_line::machine(kernel, initrd, options, accel), Some(&options.qemu)),
            Kind::UserMode => (uml::command(kernel, initrd, options), None),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        sys::fork::dies_with_us(&mut command);
        sys::fork::leaves_no_core(&mut command);
        let child = command.spawn().map_err(|e| match (program, e.kind()) {
            (Some(qemu), io::ErrorKind::NotFound) => command_line::missing(qemu),
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
            last_line: now,
            booted: None,
            memory: options.memory,
            closed: None,
        })
    }

    /// The same under emulation, whatever there is.
    pub(super) fn emulate(kernel: &Kernel, initrd: &File, options: &Options) -> Result<Guest, String> {
        Guest::start_with(kernel, initrd, options, TCG)
    }

    /// Whether it has KVM and takes far too long to PID 1.
    pub(super) fn crawls(&self) -> bool {
        self.accel == KVM && self.booted.is_none() && self.started.elapsed() > KVM_PATIENCE
    }

    /// The first crash of an emulated kernel that said nothing else, where another
    /// boot may go better: code is patched while it runs, and the emulator has lost
    /// such a race (6.12.107, a NULL dereference). Never once PID 1 has spoken, nor
    /// for a reason that will be there again.
    pub(super) fn crash_before_init(&self) -> Option<String> {
        let spoke = self.last_word != self.started;
        if self.accel != TCG || spoke || !self.too_small().is_empty() || self.console.explanation().is_some() {
            return None;
        }
        self.troubles.iter().find(|(_, trouble)| trouble.crash).map(|(_, trouble)| trouble.line.clone())
    }

    /// Where it may say something.
    pub(super) fn ports(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let out = self.child.stdout.as_ref().map(AsFd::as_fd);
        out.into_iter().chain(self.child.stderr.as_ref().map(AsFd::as_fd))
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
    pub(super) fn hear(&mut self, limit: Duration) -> Option<Result<(), String>> {
        let before = self.heard.running.clone();
        // The console first: what PID 1 said before the kernel printed this is then
        // surely among what it has said by now, and names the cell.
        let mut printed = Vec::new();
        if !matches!(take(&mut self.child.stderr, &mut printed), Ok(false)) {
            self.child.stderr = None;
        }
        if !printed.is_empty() {
            self.last_line = Instant::now();
        }
        let mut said = Vec::new();
        let taken = take(&mut self.child.stdout, &mut said);
        // Helpers of user-mode-linux may outlive it with our pipes open: whatever it
        // said before it ended has been read, so now the pipes may end, too.
        if self.accel == uml::ACCEL && said.is_empty() && self.closed.is_none() && uml::has_ended(&self.child) {
            uml::end_helpers(&self.child);
        }
        let understood = self.heard.hear(&said);
        if !said.is_empty() {
            self.last_word = Instant::now();
        }
        if self.booted.is_none() && self.heard.environment.is_some() {
            self.booted = Some(self.started.elapsed());
        }
        self.note(&printed, before.clone());
        if let Err(why) = understood {
            return Some(Err(why));
        }
        if self.heard.complete {
            // What the kernel printed before the end line is there by now.
            printed.clear();
            let _ = take(&mut self.child.stderr, &mut printed);
            self.note(&printed, before);
            return Some(Ok(()));
        }
        if self.console.floods() {
            return Some(Err("the guest's console prints without end".into()));
        }
        match taken {
            Err(e) => return Some(Err(format!("cannot read from QEMU: {e}"))),
            Ok(true) => {
                self.child.stdout = None;
                self.closed = Some(Instant::now());
            }
            Ok(false) => {}
        }
        if let Some(closed) = self.closed {
            return self.gone(closed).map(Err);
        }
        if self.booted.is_none()
            && self.last_line.elapsed() > AFTER_CRASH.min(limit)
            && self.troubles.iter().any(|(_, trouble)| trouble.crash)
        {
            return Some(Err("the kernel crashed before PID 1, and says nothing more".into()));
        }
        if self.last_word.elapsed() > limit {
            let what = match (&self.heard.running, self.booted) {
                (Some(cell), _) => format!("hangs in {cell}"),
                (None, Some(_)) => "hangs".into(),
                (None, None) => "hangs before PID 1".into(),
            };
            let small = self.too_small();
            return Some(Err(format!("the guest {what}: nothing for {} s (--limit){small}", limit.as_secs())));
        }
        None
    }

    /// Whether that may be for want of memory, which kernels say in many ways or not
    /// at all.
    fn too_small(&self) -> String {
        let memory = self.memory;
        let lines = self.console.last_lines(usize::MAX);
        if lines.iter().any(|line| WANT_OF_MEMORY.iter().any(|mark| line.contains(mark))) {
            return format!("; {memory} MiB of memory are too little (--memory)");
        }
        match self.booted {
            None if memory < SMALL => format!("; {memory} MiB of memory may be too little (--memory)"),
            _ => String::new(),
        }
    }

    /// Keeps what the kernel complains about with the cell that ran: the one named on
    /// the console, if it shows such lines. Else several may have run since the last look: a kernel that crashed started no other, and one
    /// that warned most likely did so in the first.
    fn note(&mut self, printed: &[u8], before: Option<String>) {
        let now = &self.heard.running;
        let last = self.heard.cells.last().map(|cell| cell.id.clone());
        for trouble in self.console.hear(printed) {
            let during = if trouble.crash { now.clone().or(before.clone()) } else { before.clone().or(now.clone()) };
            let named = trouble.cell.clone();
            self.troubles.push((named.or(during).or(last.clone()), trouble));
        }
    }

    /// What became of a QEMU that has closed the result port: nothing yet, while its
    /// last words are on their way and it may still end by itself.
    fn gone(&mut self, closed: Instant) -> Option<String> {
        let ended = self.child.try_wait();
        let all = self.child.stderr.is_none() && !matches!(ended, Ok(None));
        if !all && closed.elapsed() < LAST_WORDS {
            return None;
        }
        let how = match ended {
            Ok(Some(status)) => status.to_string(),
            Ok(None) => "it does not end".into(),
            Err(e) => e.to_string(),
        };
        let what = if self.booted.is_some() { "the guest ended early" } else { "the kernel did not come to PID 1" };
        Some(format!("{what} ({}: {how}){}", self.program(), self.too_small()))
    }

    /// What runs the kernel, for messages.
    fn program(&self) -> &'static str {
        if self.accel == uml::ACCEL { uml::ACCEL } else { "QEMU" }
    }

    /// Ends QEMU and says what came of it.
    pub(super) fn finish(mut self, result: Result<(), String>) -> Outcome {
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
            crashed_first: None,
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

/// Takes what is there now, and says whether that was the end. One that is closed
/// already gives nothing.
fn take<R: Read + AsFd>(from: &mut Option<R>, into: &mut Vec<u8>) -> io::Result<bool> {
    let Some(from) = from else { return Ok(false) };
    // Not more than so much at once, from a guest that never stops.
    let mut chunk = [0; 65_536];
    for _ in 0..MOST_CHUNKS {
        if !ready(from.as_fd()) {
            break;
        }
        match from.read(&mut chunk)? {
            0 => return Ok(true),
            length => into.extend_from_slice(&chunk[..length]),
        }
    }
    Ok(false)
}

fn ready(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
}

//! Starts herd as a user would and watches what it leaves behind.
//!
//! Everything has a limit: a state is polled, and when the limit is over the
//! test fails and says what the state was. The only pause is the one in
//! [`until`]; nothing relies on its length.

// Each test file uses a part of this.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub mod processes;

/// How long a command may take before it counts as hung, on a starved machine.
const COMMAND_LIMIT: Duration = Duration::from_secs(300);

/// What a finished command said.
pub struct Said {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A document of many workers would bury the message.
        let cut = |text: &str| text.chars().take(3000).collect::<String>();
        write!(f, "{}\n--- stdout:\n{}\n--- stderr:\n{}", self.status, cut(&self.out), cut(&self.err))
    }
}

impl Said {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Fails unless the exit code is `want`, and shows both streams.
    #[track_caller]
    pub fn exits(self, want: i32) -> Said {
        assert_eq!(self.code(), Some(want), "{self:#?}");
        self
    }

    /// Fails unless stderr has every one of `parts`.
    #[track_caller]
    pub fn complains(self, parts: &[&str]) -> Said {
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in stderr\n{self:#?}");
        }
        self
    }

    /// Fails unless stdout has every one of `parts`.
    #[track_caller]
    pub fn shows(self, parts: &[&str]) -> Said {
        for part in parts {
            assert!(self.out.contains(part), "no {part:?} in stdout\n{self:#?}");
        }
        self
    }
}

/// The binary under test, with an environment that does not colour, translate or redirect it.
pub fn herd<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    wrapped(&[], args)
}

/// The same behind other commands, such as `unshare -n`.
pub fn wrapped<S: AsRef<OsStr>>(before: &[&str], args: impl IntoIterator<Item = S>) -> Command {
    let binary = env!("CARGO_BIN_EXE_herd");
    let mut command = match before {
        [] => Command::new(binary),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(binary);
            command
        }
    };
    command.args(args).stdin(Stdio::null());
    for name in [
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "FORCE_COLOR",
        "COLUMNS",
        "LC_ALL",
        "LC_MESSAGES",
        "LC_CTYPE",
        "LANG",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs herd to its end.
#[track_caller]
pub fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Said {
    said(&mut herd(args))
}

/// Runs a command to its end, with both streams caught.
#[track_caller]
pub fn said(command: &mut Command) -> Said {
    finish(spawn(command))
}

/// A command under way, killed if the test gives up on it.
pub struct Running(pub Child);

impl Running {
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.0.id() as i32)
    }

    /// Kills it without a chance to tidy up.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Does nothing to a child that has been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a command whose streams [`finish`] reads.
#[track_caller]
pub fn spawn(command: &mut Command) -> Running {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Running(command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}")))
}

/// Waits for a command and reads what it said.
#[track_caller]
pub fn finish(mut running: Running) -> Said {
    let child = &mut running.0;
    let out = reader(child.stdout.take());
    let err = reader(child.stderr.take());
    let deadline = Instant::now() + COMMAND_LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("hung: out {:?}, err {:?}", out.join().unwrap(), err.join().unwrap());
        }
        pause();
    };
    Said { status, out: out.join().unwrap(), err: err.join().unwrap() }
}

fn reader(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            stream.read_to_end(&mut bytes).unwrap();
        }
        String::from_utf8(bytes).expect("herd writes UTF-8")
    })
}

/// Lets go of the CPU between two looks at a state; its length means nothing.
fn pause() {
    std::thread::sleep(Duration::from_millis(1));
}

/// Looks until `state` is `Ok`. When `limit` is over, fails with the last `Err`.
#[track_caller]
pub fn until<T>(limit: Duration, mut state: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match state() {
            Ok(found) => return found,
            Err(now) if Instant::now() > deadline => panic!("after {limit:?}: {now}"),
            Err(_) => pause(),
        }
    }
}

/// A directory of the test's own, gone at its end.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Folder {
        Folder(tempfile::Builder::new().prefix("herd-test-").tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and returns its path as text.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Everything in it, by name.
    pub fn names(&self) -> Vec<String> {
        names_in(self.path())
    }
}

/// The names in a directory, sorted.
pub fn names_in(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A path inside this repository.
pub fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Says in the test's output why a part could not run. The test stays a test of
/// the parts that could.
pub fn skipped(what: &str, why: &str) {
    eprintln!("SKIP {what}: {why}");
}

/// A result written with `--format json` or `--output`.
#[track_caller]
pub fn results(text: &str) -> herd::results::Results {
    herd::results::Results::parse("the result", text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

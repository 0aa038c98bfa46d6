//! Runs single cells through the built binary, as `herd run` does.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::soak::Size;
use herd::cell::Plan;
use herd::experiment::cells::Set;
use herd::experiment::{Settings, keys};
use herd::observation::{End, Observation};

/// Runs of a cell that cannot be measured before the benchmark gives up.
const TRIES: u32 = 5;

pub fn settings(sets: &[&str], workers: u32, events: u64) -> Settings {
    let mut settings = Settings { workers, events, ..Settings::default() };
    for text in sets {
        let set: Set = text.parse().expect("written above");
        keys::set(&mut settings, &set.key, &set.values[0]).expect("written above");
    }
    // One slow barrier on a busy machine must not end the benchmark.
    settings.limit_ms = 60_000;
    settings
}

/// Starts a cell the way `herd run` does: plan in, observation out.
fn start(settings: &Settings, count_with: Option<&str>) -> Child {
    start_with(settings, count_with, Stdio::inherit())
}

fn start_with(settings: &Settings, count_with: Option<&str>, stderr: Stdio) -> Child {
    let plan = Plan {
        repetition: 1,
        parent: std::process::id() as i32,
        trace: false,
        count_with: count_with.map(str::to_owned),
        timeline: None,
        step: false,
        settings: settings.clone(),
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_herd"))
        .arg(herd::cell::plan::COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("cargo has just built the binary");
    let text = serde_json::to_vec(&plan).expect("a plan is plain data");
    child.stdin.take().expect("piped").write_all(&text).expect("the cell reads its plan");
    child
}

/// A cell whose workers wait for foreign clients, until it is ended.
pub struct Attached {
    child: Child,
    pub port: u16,
}

impl Attached {
    /// Returns when the workers wait.
    pub fn start(sets: &[&str], workers: u32) -> Attached {
        let free = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let mut settings = settings(sets, workers, 1);
        settings.load = "attached".into();
        settings.port = port;
        settings.traffic.duration_ms = 600_000;
        let mut child = start_with(&settings, None, Stdio::piped());
        let mut line = String::new();
        let mut said = BufReader::new(child.stderr.take().expect("piped"));
        said.read_line(&mut line).expect("it says that it waits");
        assert!(line.contains("wait on port"), "{line}");
        Attached { child, port }
    }

    /// Ends it as Ctrl-C does; what it has counted so far.
    pub fn end(mut self) -> Observation {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("our own child");
        let mut text = String::new();
        self.child.stdout.take().expect("piped").read_to_string(&mut text).expect("JSON");
        self.child.wait().expect("our own child");
        serde_json::from_str(&text).expect("the cell ends with an observation")
    }
}

/// Runs one cell with the best source of counts there is here.
pub fn observe(settings: &Settings) -> Observation {
    observe_with(settings, None)
}

/// Runs one cell. One that could not be measured says so and is run again.
pub fn observe_with(settings: &Settings, count_with: Option<&str>) -> Observation {
    for _ in 0..TRIES {
        let mut child = start(settings, count_with);
        let mut text = String::new();
        child.stdout.take().expect("piped").read_to_string(&mut text).expect("JSON");
        child.wait().expect("our own child");
        let seen: Observation = serde_json::from_str(&text).expect("the cell ends with an observation");
        match seen.end {
            End::Complete => return seen,
            end => println!("  run again: {end:?}"),
        }
    }
    panic!("{TRIES} runs of one cell could not be measured");
}

/// Runs one cell and looks at its coordinator again and again while it does. The first
/// look is soon after the start, none is after its end.
pub fn watched(settings: &Settings, every: Duration) -> (Observation, Vec<Size>) {
    let mut child = start(settings, None);
    let mut out = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let mut sizes = Vec::new();
    while !reader.is_finished() {
        sizes.extend(size(child.id()));
        std::thread::sleep(every);
    }
    let text = reader.join().expect("it only reads").expect("JSON");
    child.wait().expect("our own child");
    let seen: Observation = serde_json::from_str(&text).expect("the cell ends with an observation");
    assert_eq!(seen.end, End::Complete);
    (seen, sizes)
}

fn size(pid: u32) -> Option<Size> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib = line.split_whitespace().next()?.parse().ok()?;
    Some(Size { kib, descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64 })
}

/// PSS and private memory in KiB of some of `workers` worker processes, read
/// while they sleep in accept; in a cell of its own, to disturb no other figure.
pub fn weigh(workers: u32, limit: Duration) -> std::io::Result<Vec<[f64; 2]>> {
    let mut cell = start(&settings(&["kind=block"], workers, 1_000_000), None);
    let weights = weigh_children(cell.id(), workers as usize, limit);
    // The workers die with the coordinator.
    cell.kill().and(cell.wait().map(drop))?;
    weights
}

fn weigh_children(coordinator: u32, workers: usize, limit: Duration) -> std::io::Result<Vec<[f64; 2]>> {
    let deadline = Instant::now() + limit;
    loop {
        let text = std::fs::read_to_string(format!("/proc/{coordinator}/task/{coordinator}/children"))?;
        let pids: Vec<&str> = text.split_whitespace().collect();
        let call = pids.last().map(|pid| std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default());
        let in_accept = call.is_some_and(|call| call.starts_with(&format!("{} ", libc::SYS_accept4)));
        if pids.len() == workers && in_accept {
            return pids.iter().step_by(workers / 20).map(|pid| weight(pid)).collect();
        }
        if Instant::now() > deadline {
            return Err(std::io::Error::other(format!("{} of {workers} workers were up in time", pids.len())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn weight(pid: &str) -> std::io::Result<[f64; 2]> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let sum = |names: &[&str]| -> f64 {
        let lines = text.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum()
    };
    Ok([sum(&["Pss:"]), sum(&["Private_Clean:", "Private_Dirty:"])])
}

//! `herd doctor` and the notes it has in common with a run, as root and as
//! nobody, on this machine and in namespaces of its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The binary under test behind another command.
fn behind(before: &[&str], binary: &Path, args: &[&str]) -> Output {
    let mut words = before.iter().map(|word| Path::new(*word)).chain([binary]);
    let mut command = Command::new(words.next().expect("there is always the binary"));
    command.args(words).args(args).current_dir("/").stdin(Stdio::null());
    command.output().unwrap()
}

fn ours() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_herd"))
}

fn herd(args: &[&str]) -> Output {
    behind(&[], ours(), args)
}

fn out(said: &Output) -> String {
    String::from_utf8(said.stdout.clone()).unwrap()
}

/// Why a test cannot run here, for the log: a skip is no pass.
fn skip(test: &str, why: &str) {
    eprintln!("SKIP {test}: {why}");
}

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A copy of the binary that everybody may run, gone with its owner.
struct Public(PathBuf);

impl Public {
    fn new(name: &str) -> Public {
        let folder = std::env::temp_dir().join(format!("herd-doctor-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let open = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
        open(&folder);
        std::fs::copy(ours(), folder.join("herd")).unwrap();
        open(&folder.join("herd"));
        Public(folder)
    }

    fn binary(&self) -> PathBuf {
        self.0.join("herd")
    }
}

impl Drop for Public {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const AS_NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// `None`, and a word in the log, where nobody cannot be had.
fn can_be_nobody(test: &str) -> bool {
    let tried = Command::new(AS_NOBODY[0]).args(&AS_NOBODY[1..]).arg("true").output();
    let can = root() && tried.is_ok_and(|said| said.status.success());
    if !can {
        skip(test, "needs root and setpriv to become nobody");
    }
    can
}

#[track_caller]
fn check_doctor(said: &Output) {
    let text = out(said);
    let last = text.lines().last().unwrap_or_default();
    match said.status.code() {
        Some(0) => assert!(last.starts_with("PASS: wakeups can be counted ("), "{text}"),
        Some(3) => assert!(last.starts_with("INVALID: no source can count wakeups"), "{text}"),
        _ => panic!("{said:?}"),
    }
    for heading in ["What this kernel can do", "Counting sources", "Limits", "Settings that disturb"] {
        assert!(text.contains(heading), "no {heading} in\n{text}");
    }
    for probe in herd::probe::PROBES {
        assert!(text.contains(probe.name), "no {} in\n{text}", probe.name);
    }
    let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() >= 80).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[track_caller]
fn document(said: &Output) -> Value {
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    serde_json::from_str(&out(said)).unwrap()
}

#[track_caller]
fn source<'a>(document: &'a Value, name: &str) -> &'a Value {
    document["sources"].as_array().unwrap().iter().find(|source| source["name"] == name).unwrap()
}

#[test]
fn it_says_what_can_be_done_here() {
    check_doctor(&herd(&["doctor"]));
}

#[test]
fn a_source_works_when_known_counts_come_out() {
    let found = document(&herd(&["doctor", "--format", "json"]));
    let proc = source(&found, "proc");
    assert_eq!(proc["standing"], "works", "{proc}");
    for name in ["bpf", "perf"] {
        let source = source(&found, name);
        match source["standing"].as_str().unwrap() {
            "works" => assert_eq!((source["exclusive"].as_f64(), source["own_epoll"].as_f64()), (Some(1.0), Some(8.0))),
            "refused" => skip(name, source["reason"].as_str().unwrap()),
            other => panic!("{name} is {other}: {source}"),
        }
    }
    // The best that opens is chosen.
    let first = found["sources"].as_array().unwrap().iter().find(|s| s["standing"] != "refused").unwrap();
    assert_eq!(found["chosen"], first["name"]);
    let limits: Vec<&str> = found["limits"].as_array().unwrap().iter().map(|l| l["limit"].as_str().unwrap()).collect();
    for limit in ["RLIMIT_NPROC", "kernel.pid_max", "RLIMIT_NOFILE", "net.core.somaxconn"] {
        assert!(limits.contains(&limit), "{limits:?}");
    }
}

#[test]
fn nobody_can_do_everything_but_count_with_bpf_and_perf() {
    const TEST: &str = "nobody_can_do_everything_but_count_with_bpf_and_perf";
    if !can_be_nobody(TEST) {
        return;
    }
    let public = Public::new("nobody");
    let nobody = |args: &[&str]| behind(&AS_NOBODY, &public.binary(), args);
    check_doctor(&nobody(&["doctor"]));
    let found = document(&nobody(&["doctor", "--format", "json"]));
    assert_eq!(found["chosen"], "proc");
    assert_eq!(source(&found, "proc")["standing"], "works");
    for name in ["bpf", "perf"] {
        let source = source(&found, name);
        assert_eq!(source["standing"], "refused", "{source}");
        let reason = source["reason"].as_str().unwrap();
        assert!(reason.starts_with(&format!("cannot count with {name}: ")) && reason.contains('('), "{source}");
    }
    for probe in found["features"].as_array().unwrap() {
        let reason = probe["reason"].as_str().unwrap_or_default();
        assert!(probe["there"] == true || !reason.is_empty(), "{probe}");
    }

    let results = public.0.join("results");
    let folder = results.display().to_string();
    let run = nobody(&["run", "herd", "--set", "events=11", "--set", "placement=threads", "--output", &folder]);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    let stored = std::fs::read_dir(&results).unwrap().next().unwrap().unwrap().path().display().to_string();
    for args in [
        &["list"][..],
        &["list", "--probes"],
        &["explain", "herd"],
        &["show", &stored],
        &["compare", &stored, &stored],
        &["run", "herd", "--set", "events=11", "--count-with", "ledger"],
    ] {
        let said = nobody(args);
        // The ledger sees no herd, which the headline expects: a FAIL is right there.
        assert!(matches!(said.status.code(), Some(0 | 1)), "{args:?}: {said:?}");
        assert!(!said.stdout.is_empty(), "{args:?}: {said:?}");
    }
}

#[test]
fn a_limit_of_the_user_is_shown_with_what_it_allows() {
    const TEST: &str = "a_limit_of_the_user_is_shown_with_what_it_allows";
    if Command::new("prlimit").arg("--version").output().is_err() {
        return skip(TEST, "needs prlimit");
    }
    let found = document(&behind(&["prlimit", "--nofile=300:300"], ours(), &["doctor", "--format", "json"]));
    let limit = found["limits"].as_array().unwrap().iter().find(|l| l["limit"] == "RLIMIT_NOFILE").unwrap().clone();
    assert_eq!(limit["value"], "300", "{limit}");
    assert!(limit["allows"].as_str().unwrap().contains("workers as threads"), "{limit}");
}

#[test]
fn packet_steering_on_loopback_is_noted_by_doctor_and_in_results() {
    const TEST: &str = "packet_steering_on_loopback_is_noted_by_doctor_and_in_results";
    // A network and a /sys of our own: the machine's loopback stays as it is.
    let script = "mount -t sysfs sysfs /sys && ip link set lo up && \
                  echo 1 > /sys/class/net/lo/queues/rx-0/rps_cpus && exec \"$0\" \"$@\"";
    let inside = |args: &[&str]| behind(&["unshare", "--net", "--mount", "sh", "-c", script], ours(), args);
    let tried = Command::new("unshare").args(["--net", "--mount", "sh", "-c", script, "true"]).output();
    if !tried.is_ok_and(|said| said.status.success()) {
        return skip(TEST, "needs the right to make a network namespace and mount /sys there");
    }
    let said = inside(&["doctor"]);
    assert!(out(&said).contains("note  RPS on lo"), "{said:?}");
    let run = ["run", "herd", "--set", "events=5", "--set", "placement=threads"];
    for format in ["table", "markdown"] {
        let said = inside(&[&run[..], &["--format", format]].concat());
        assert!(out(&said).contains("note: RPS on lo is 1: another CPU may still be waking"), "{said:?}");
    }
    let said = inside(&[&run[..], &["--format", "json"]].concat());
    let document: Value = serde_json::from_str(&out(&said)).unwrap();
    assert_eq!(document["environment"]["rps_lo"], "1");
    assert_eq!(document["environment"]["warnings"].as_array().unwrap().len(), 1);
    // Without it there is no note.
    assert!(!out(&herd(&run)).contains("note: RPS"));
}

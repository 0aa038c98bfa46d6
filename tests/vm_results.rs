//! What becomes of the results of guests: parts, reports, what is kept when a run is
//! cut short, progress. With a QEMU that is none, which tells results of this machine
//! as those of kernels.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use guests::{Place, TELLS};
use herd::results::Verdict;
use lab::processes::{Mark, Tree};
use lab::{Folder, Said, in_repository, results, run};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};

mod guests;
mod lab;
mod points;

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

fn null() -> String {
    in_repository("tests/golden/null.toml").to_str().unwrap().to_owned()
}

/// A kernel with what these arguments give here.
fn kernel(place: &Place, name: &str, release: &str, args: &[&str]) -> String {
    let said = run([&["run"], args, &["--format", "json"]].concat());
    place.kernel(name, release, &results(&said.out).cells)
}

/// Two kernels that did the same.
fn two(place: &Place) -> [String; 2] {
    [kernel(place, "old", "5.10.1", &[&null()]), kernel(place, "new", "6.1.2", &[&null()])]
}

#[test]
fn parts_of_a_guest_merge_to_the_bytes_of_one_run() {
    let (place, kept) = (Place::new(), Folder::new());
    let (qemu, null) = (place.qemu(TELLS), null());
    let keep = |name: &str, args: &[&str]| {
        let kernel = kernel(&place, "k", "1.2.3", &[&[null.as_str()], args].concat());
        let folder = kept.path().join(name).display().to_string();
        let more = [&["--quiet", "--kernel", &kernel, "--output", &folder, &null], args].concat();
        let said = run(place.args(&qemu, &more));
        assert!(matches!(said.code(), Some(0 | 1)), "{said:?}");
        format!("{folder}/{}", lab::names_in(folder.as_ref())[0])
    };
    let whole = keep("whole", &["--repeat", "2"]);
    let parts: Vec<String> =
        ["1/3", "2/3", "3/3"].iter().map(|n| keep(&n[..1], &["--repeat", "2", "--shard", n])).collect();
    assert!(parts[0].contains("null-shard-1-of-3-"), "{parts:?}");
    let merged = run([&["merge"], &parts.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat()).exits(1);
    assert_eq!(merged.out, std::fs::read_to_string(&whole).unwrap());
    let matrix = |files: &[String]| {
        let said = run(std::iter::once("matrix").chain(files.iter().map(String::as_str))).exits(1);
        said.out.split("Kernels:").next().unwrap().to_owned()
    };
    assert_eq!(matrix(&parts), matrix(&[whole]));
}

#[test]
fn what_a_guest_leaves_out_is_put_back() {
    let (place, kept) = (Place::new(), Folder::new());
    let here = results(&run(["run", &null(), "--repeat", "2", "--format", "json"]).exits(1).out).cells;
    let kernel = place.kernel("k", "1.2.3", &here);
    let folder = kept.path().display().to_string();
    let args = ["--quiet", "--kernel", &kernel, "--output", &folder, "--repeat", "2", &null()];
    run(place.args(&place.qemu(TELLS), &args)).exits(1);
    let file = kept.path().join(&lab::names_in(kept.path())[0]);
    assert_eq!(results(&std::fs::read_to_string(file).unwrap()).cells, here);
}

#[test]
fn what_nobody_asked_for_is_no_result() {
    let place = Place::new();
    let kernel = kernel(&place, "k", "1.2.3", &[&null(), "--set", "workers=7,9"]);
    let said = run(place.args(&place.qemu(TELLS), &["--quiet", "--kernel", &kernel, &null()])).exits(3);
    said.complains(&["the guest told of null/", "workers=7, which nobody asked for"]);
}

#[test]
fn a_part_of_the_host_is_marked_as_well() {
    let kept = Folder::new();
    let folder = kept.path().display().to_string();
    for shard in ["1/2", "2/2"] {
        let args = ["vm", "--quiet", "--kernel", "host", "--output", &folder, "--shard", shard, &null()];
        assert!(matches!(run(args).code(), Some(0 | 1)));
    }
    let files: Vec<String> = lab::names_in(kept.path()).iter().map(|name| format!("{folder}/{name}")).collect();
    let merged = run(std::iter::once("merge").chain(files.iter().map(String::as_str))).exits(1);
    assert_eq!(results(&merged.out).cells.len(), 6);
}

#[test]
fn kernels_are_a_level_of_their_own_in_ktap() {
    let place = Place::new();
    let (qemu, [old, new]) = (place.qemu(TELLS), two(&place));
    let said = run(place.args(&qemu, &["--quiet", "--check", &null(), "--kernel", &old, &new])).exits(1);
    let kernels = points::read(&said.out);
    let names: Vec<&str> = kernels.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["linux-5.10.1", "linux-6.1.2"]);
    for kernel in &kernels {
        assert_eq!(kernel.subtests.len(), 1);
        assert_eq!(kernel.subtests[0].name, "null");
        assert!(!kernel.subtests[0].subtests.is_empty());
    }
    assert!(said.out.contains("\n  # Subtest: linux-6.1.2\n  1..1\n"), "{said:?}");
    // One kernel is what `herd check` says.
    let one = run(place.args(&qemu, &["--quiet", "--check", &null(), "--kernel", &old])).exits(1);
    assert_eq!(points::read(&one.out)[0].name, "null");
}

#[test]
fn other_programs_read_the_reports_of_several_kernels() {
    let place = Place::new();
    let (qemu, [old, new]) = (place.qemu(TELLS), two(&place));
    let report = |format: &str| {
        // The same kernel twice: nothing may fall together.
        let args = ["--quiet", "--check", "--format", format, &null(), "--kernel", &old, &new, &old];
        run(place.args(&qemu, &args)).exits(1).out
    };
    let count = |text: &str, part: &str| text.matches(part).count();
    let junit = report("junit");
    let cases = count(&junit, "<testcase ");
    assert!(cases > 0 && junit.contains("name=\"5.10.1-2/null\"") && junit.contains("value=\"6.1.2\""), "{junit}");
    let schema = in_repository("target/readers/junit-10.xsd");
    let found = points::reader("junit", "xmlschema", Some(&schema), &junit);
    assert!(found.is_none_or(|text| text == format!("{cases} cases, {cases} names")));
    let kcidb = report("kcidb");
    assert_eq!((count(&kcidb, "\"checkout_id\""), count(&kcidb, "\"build_id\"")), (2, cases), "{kcidb}");
    let found = points::reader("kcidb", "kcidb_io", None, &kcidb);
    assert!(found.is_none_or(|text| text == format!("{cases} tests, {cases} ids")));
    let ktap = report("ktap");
    let found = points::reader("ktap", "tap", None, &ktap);
    assert!(found.is_none_or(|text| text.starts_with(&format!("{cases} points, "))));
}

#[test]
fn the_matrix_of_guests_is_a_page() {
    let place = Place::new();
    let (qemu, [old, new]) = (place.qemu(TELLS), two(&place));
    let said = run(place.args(&qemu, &["--quiet", "--format", "html", &null(), "--kernel", &old, &new])).exits(1);
    assert!(said.out.starts_with("<!DOCTYPE html>") && said.out.trim_end().ends_with("</html>"), "{said:?}");
    said.shows(&["<th scope=\"col\">5.10.1</th>", "<th scope=\"col\">6.1.2</th>", "<th scope=\"row\">"]);
}

#[test]
fn an_interrupt_ends_all_guests_and_keeps_what_was_done() {
    let (place, kept, temporary, mark) = (Place::new(), Folder::new(), Folder::new(), Mark::new());
    let done = kernel(&place, "done", "1.0.0", &[&null()]);
    let hanging: Vec<String> = (1..=4)
        .map(|n| {
            let path = place.path(&format!("hangs-{n}"));
            std::fs::write(&path, guests::bz_image()).unwrap();
            path
        })
        .collect();
    // Four at once: the last begins when the first is done.
    let qemu = place.qemu(&format!(
        "{}\n[ -e \"$kernel.says\" ] && exec cat \"$kernel.says\"\n: > \"$kernel.began\"\nexec sleep 1000",
        TELLS.lines().take(2).collect::<Vec<_>>().join("\n")
    ));
    let (folder, null) = (kept.path().display().to_string(), null());
    let mut more = vec!["--quiet", "--jobs", "4", "--output", &folder, &null, "--kernel", &done];
    more.extend(hanging.iter().map(String::as_str));
    let mut command = lab::herd(place.args(&qemu, &more));
    let running = lab::spawn(mark.on(&mut command).env("TMPDIR", temporary.path()));
    lab::until(LIMIT, || {
        let began = hanging.iter().filter(|path| std::fs::exists(format!("{path}.began")).unwrap()).count();
        if began == 4 { Ok(()) } else { Err(format!("{began} of 4 hang")) }
    });
    kill(running.pid(), Signal::SIGINT).unwrap();
    let said = lab::finish(running).exits(130);
    mark.ends_within(LIMIT, &Tree::default());
    let said: Said = said.complains(&["hangs-1: interrupted", "hangs-4: interrupted"]);
    assert_eq!(lab::names_in(temporary.path()), Vec::<String>::new(), "{said:?}");
    let mut stored: Vec<_> = lab::names_in(kept.path())
        .iter()
        .map(|name| results(&std::fs::read_to_string(kept.path().join(name)).unwrap()))
        .collect();
    stored.sort_by_key(|results| results.interrupted);
    assert_eq!(stored.iter().map(|r| r.interrupted).collect::<Vec<_>>(), [false, true, true, true, true]);
    assert!(stored[0].count(Verdict::Pass) > 0, "what the first did: {said:?}");
    assert!(stored[1..].iter().all(|results| results.count(Verdict::Invalid) == results.cells.len()));
}

#[test]
fn progress_on_a_terminal_says_what_each_kernel_does() {
    let place = Place::new();
    let kernel = kernel(&place, "k", "1.2.3", &[&null()]);
    let go = place.path("go");
    nix::unistd::mkfifo(go.as_str(), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    // Says its first cell when told to, and no more until the limit is over.
    let qemu = place.qemu(&format!(
        "{}\nread -r _ < {go}\nhead -n 3 \"$kernel.says\"\nexec sleep 1000",
        TELLS.lines().take(2).collect::<Vec<_>>().join("\n")
    ));
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut command = lab::herd(place.args(&qemu, &["--limit", "3", &null(), "--kernel", &kernel]));
    command.env("TERM", "xterm").stderr(pty.slave).stdout(std::process::Stdio::null());
    let running = lab::Running(command.spawn().unwrap());
    drop(command);
    let mut screen = std::fs::File::from(pty.master);
    shows(&mut screen, "booting");
    std::fs::OpenOptions::new().write(true).open(&go).unwrap().write_all(b"\n").unwrap();
    shows(&mut screen, "1.2.3: 1 of 6 cells");
    drop(running);
}

/// Reads until `part` was shown.
#[track_caller]
fn shows(screen: &mut std::fs::File, part: &str) {
    let (mut seen, deadline) = (String::new(), Instant::now() + LIMIT);
    while !seen.contains(part) {
        assert!(Instant::now() < deadline, "no {part:?} in {seen:?}");
        let mut fds = [PollFd::new(screen.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, PollTimeout::from(100u8)).unwrap() == 0 {
            continue;
        }
        let mut chunk = [0; 4096];
        let length = screen.read(&mut chunk).unwrap_or_else(|e| panic!("{e}; no {part:?} in {seen:?}"));
        seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
    }
}

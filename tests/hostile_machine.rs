//! A machine that refuses something: each refusal is found, named with its way
//! out, and ends in exit code 2 (before the run: choose something else) or 3
//! (nothing is known). Where this machine cannot be made hostile the test says
//! so and why; everything else in it still holds.

use std::net::TcpListener;
use std::process::Command;

use herd::results::{Results, Verdict};
use lab::{Folder, Said, herd, run, said, skipped, wrapped};

mod lab;

/// An experiment file of one row, small and fast.
fn row(folder: &Folder, settings: &str) -> String {
    let text = format!("title = \"t\"\n[defaults]\nworkers = 2\nevents = 5\n[[wait]]\nname = \"row\"\n{settings}\n");
    folder.file("row.toml", text)
}

/// The only cell is invalid, for a reason that has every part; exit code 3.
#[track_caller]
fn check_invalid(said: Said, parts: &[&str]) {
    let results: Results = lab::results(&said.exits(3).out);
    assert_eq!(results.cells.len(), 1);
    let cell = &results.cells[0];
    assert_eq!(cell.verdict, Verdict::Invalid);
    for part in parts {
        assert!(cell.reason.contains(part), "no {part:?} in {:?}", cell.reason);
    }
}

/// Whether the command can be had; if not, why.
fn possible(command: &[&str]) -> Result<(), String> {
    let output = Command::new(command[0]).args(&command[1..]).output().map_err(|e| format!("{}: {e}", command[0]))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

#[test]
fn too_few_descriptors_are_found_before_the_run() {
    let folder = Folder::new();
    let file = row(&folder, "kind = \"block\"\nworkers = 40");
    let limited = ["sh", "-c", "ulimit -n 128 && exec \"$@\"", "sh"];
    let refused = said(&mut wrapped(&limited, ["run", &file])).exits(2);
    refused.complains(&[&format!("herd: {file}: row/row: "), "RLIMIT_NOFILE is 128", "`ulimit -Hn`", "fewer workers"]);
    said(&mut wrapped(&limited, ["run", &file, "--set", "workers=1"])).exits(0);
}

#[test]
fn a_soft_limit_is_raised_and_not_complained_of() {
    let folder = Folder::new();
    let file = row(&folder, "kind = \"block\"\nworkers = 40");
    said(&mut wrapped(&["sh", "-c", "ulimit -S -n 64 && exec \"$@\"", "sh"], ["run", &file])).exits(0);
}

#[test]
fn more_workers_than_there_can_be_processes() {
    let folder = Folder::new();
    let file = row(&folder, "kind = \"block\"\nworkers = 100000");
    let limit: u64 = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap().trim().parse().unwrap();
    let refused = run(["run", &file]).exits(2);
    // With millions of numbers to give, descriptors run out first.
    assert!(limit > 100_000 || refused.err.contains(&format!("but kernel.pid_max is {limit}")), "{refused:?}");
    refused.complains(&["raise it"]);
}

#[test]
fn a_port_in_use_is_named() {
    let folder = Folder::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    for sharing in ["shared", "own"] {
        let file = row(&folder, &format!("kind = \"poll\"\nport = {port}\nsharing = \"{sharing}\""));
        let parts = [&format!("bind to port {port} "), "EADDRINUSE", "leave out port to let the kernel choose"];
        check_invalid(run(["run", &file, "-f", "json"]), &parts);
    }
    drop(holder);
    let file = row(&folder, &format!("kind = \"poll\"\nport = {port}"));
    run(["run", &file]).exits(0);
}

#[test]
fn a_port_of_the_system_is_named() {
    let folder = Folder::new();
    let file = row(&folder, "kind = \"poll\"\nport = 1");
    let refused = run(["run", &file, "-f", "json"]);
    // Root may bind it; others are told.
    if refused.code() != Some(0) {
        check_invalid(refused, &["bind", "EACCES", "port"]);
    }
}

#[test]
fn select_cannot_take_descriptors_above_1023() {
    let folder = Folder::new();
    // Its own descriptors and their duplicates: 1200 in one process.
    let file = row(&folder, "kind = \"select\"\nobjects = 600");
    let parts = ["worker 0: select (a descriptor above 1023 does not fit an fd_set; use poll): EINVAL"];
    check_invalid(run(["run", &file, "-f", "json"]), &parts);
    run(["run", &file, "--set", "kind=poll"]).exits(0);
    let threads =
        row(&folder, "kind = \"select\"\nsharing = \"own\"\nworkers = 600\nplacement = \"threads\"\nevents = 1");
    check_invalid(run(["run", &threads, "-f", "json"]), &["select (a descriptor above 1023"]);
}

/// In a network of its own, where nothing is set up.
const NO_NETWORK: [&str; 3] = ["unshare", "-n", "--"];
/// The same with IPv4 alone.
const NO_IPV6: [&str; 5] = [
    "unshare",
    "-n",
    "sh",
    "-c",
    "ip link set lo up && echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 && exec \"$@\"",
];

#[test]
fn without_a_loopback_interface() {
    if let Err(why) = possible(&["unshare", "-n", "true"]) {
        return skipped("no loopback", &why);
    }
    let folder = Folder::new();
    let file = row(&folder, "kind = \"poll\"");
    let seen = said(&mut wrapped(&NO_NETWORK, ["run", &file, "-f", "json"]));
    check_invalid(seen, &["event 0: connect: Network is unreachable", "ip link set lo up"]);
    said(&mut wrapped(&NO_NETWORK, ["run", &file, "--set", "object=unix"])).exits(0);
}

#[test]
fn without_ipv6_its_cells_are_skipped_with_the_reason() {
    let lone = [&NO_IPV6[..], &["sh"]].concat();
    if let Err(why) = possible(&[&lone[..], &["true"]].concat()) {
        return skipped("no IPv6", &why);
    }
    let folder = Folder::new();
    let file = row(&folder, "kind = \"poll\"");
    let all = said(&mut wrapped(&lone, ["run", &file, "--set", "object=tcp6"])).exits(4);
    let flat = all.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("skip row/row: no ipv6: bind [::1]: "), "{flat}");
    assert!(flat.ends_with("SKIPPED: 0 of 1 cells as expected, 1 skipped"), "{flat}");
    // A part skipped is shown and does not spoil the rest.
    let both = said(&mut wrapped(&lone, ["run", &file, "--set", "object=tcp,tcp6"])).exits(0);
    both.shows(&["PASS: 1 of 2 cells as expected, 1 skipped"]);
}

#[test]
fn without_proc() {
    let bare = ["unshare", "-m", "sh", "-c", "umount -l /proc && exec \"$@\"", "sh"];
    if let Err(why) = possible(&[&bare[..], &["true"]].concat()) {
        return skipped("no /proc", &why);
    }
    let folder = Folder::new();
    let file = row(&folder, "kind = \"poll\"");
    let seen = said(&mut wrapped(&bare, ["run", &file, "-f", "json"]));
    check_invalid(seen, &["/proc is not mounted (mount -t proc proc /proc)"]);
    said(&mut wrapped(&bare, ["list"])).exits(0);
}

#[test]
fn a_temporary_directory_that_is_not_there() {
    let folder = Folder::new();
    let file = row(&folder, "kind = \"poll\"\nobject = \"unix\"");
    let missing = folder.path().join("missing");
    let seen = said(herd(["run", &file, "-f", "json"]).env("TMPDIR", &missing));
    check_invalid(seen, &["ENOENT", "TMPDIR"]);
    assert!(!missing.exists());
}

#[test]
fn an_abstract_name_needs_no_directory() {
    let folder = Folder::new();
    let file = row(&folder, "kind = \"poll\"\nobject = \"unix-abstract\"");
    said(herd(["run", &file]).env("TMPDIR", folder.path().join("missing"))).exits(0);
}

#[test]
fn children_that_an_exec_left_us_are_none_of_our_business() {
    // herd spun for up to ten seconds after each cell until they had ended.
    let folder = Folder::new();
    let file = row(&folder, "kind = \"block\"");
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // The stranger ends only when the test lets go of the other end.
    let holder = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let script = format!("(read x <'{}') >/dev/null 2>&1 & exec \"$@\"", fifo.display());
    let started = std::time::Instant::now();
    said(&mut wrapped(&["sh", "-c", &script, "sh"], ["run", &file])).exits(0);
    let took = started.elapsed();
    drop(holder);
    assert!(took < std::time::Duration::from_secs(9), "{took:?}");
}

#[test]
fn a_script_of_many_pipes_is_skipped_where_descriptors_are_few() {
    let limited = ["sh", "-c", "ulimit -n 1024 && exec \"$@\"", "sh"];
    let told = said(&mut wrapped(&limited, ["run", "one-page-pipe", "--format", "json", "--quiet"])).exits(0);
    let results = Results::parse("stdout", &told.out).unwrap();
    let verdict = |row: &str| {
        let cell = results.cells.iter().find(|cell| cell.row == row).unwrap();
        (cell.verdict, cell.reason.clone())
    };
    for row in ["first and 1501st", "tokens in a small pipe"] {
        let (verdict, reason) = verdict(row);
        assert_eq!(verdict, Verdict::Skip, "{row}: {reason}");
        for part in ["opens up to 306", "RLIMIT_NOFILE is 1024", "ulimit -Hn"] {
            assert!(reason.contains(part), "{row}: no {part:?} in {reason}");
        }
    }
    assert_eq!(verdict("filled").0, Verdict::Pass, "{}", verdict("filled").1);
}

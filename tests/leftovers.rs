//! System V objects and cgroups outlive the processes that use them. None of herd's
//! may, however its run ends.

use std::time::Duration;

use lab::processes::{Mark, Process, Tree};
use lab::{Folder, Running, finish, herd, spawn, until};
use nix::sys::signal::{Signal, kill};

mod lab;

const SOON: Duration = Duration::from_secs(1);

/// The numbers of all System V objects of that kind.
fn numbers(kind: &str) -> Vec<i64> {
    let table = std::fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap();
    table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)?.parse().ok()).collect()
}

/// The object that a worker sleeps on: the first argument of its call.
fn slept_on(process: &Process, calls: &[i64]) -> Option<i64> {
    let text = std::fs::read_to_string(format!("/proc/{}/syscall", process.pid)).ok()?;
    let mut fields = text.split_whitespace();
    let call = fields.next()?.parse().ok()?;
    let first = i64::from_str_radix(fields.next()?.trim_start_matches("0x"), 16).ok()?;
    calls.contains(&call).then_some(first)
}

/// A run that never ends, with an object of `kind`, and that object's number.
struct Run {
    kind: &'static str,
    mark: Mark,
    herd: Option<Running>,
    tree: Tree,
    number: i64,
    _folder: Folder,
}

impl Run {
    fn start(kind: &'static str) -> Run {
        let calls: &[i64] = match kind {
            "sem" => &[libc::SYS_semop, libc::SYS_semtimedop],
            _ => &[libc::SYS_msgrcv],
        };
        let folder = Folder::new();
        let text = format!(
            "title = \"t\"\n[defaults]\nobject = \"sysv-{kind}\"\nkind = \"block\"\nworkers = 3\nevents = 100000000\n[[wait]]\nname = \"w\"\n"
        );
        let file = folder.file("run.toml", text);
        let mark = Mark::new();
        let herd = spawn(mark.on(&mut herd(["run", &file, "-f", "json"])));
        // Three workers and the keeper.
        let tree = mark.with_workers(4);
        let number = until(Duration::from_secs(20), || {
            let number = tree.workers.iter().find_map(|worker| slept_on(worker, calls));
            number.ok_or_else(|| format!("nobody sleeps on it: {tree:?}"))
        });
        assert!(numbers(kind).contains(&number), "{number} is in the kernel's list");
        Run { kind, mark, herd: Some(herd), tree, number, _folder: folder }
    }

    /// Everything of it is gone soon.
    #[track_caller]
    fn is_gone(&self) {
        self.mark.ends_within(SOON, &self.tree);
        assert!(!numbers(self.kind).contains(&self.number), "{} {} is left", self.kind, self.number);
    }
}

#[test]
fn an_end_in_order_leaves_nothing() {
    for kind in ["sem", "msg"] {
        let mut run = Run::start(kind);
        let herd = run.herd.take().unwrap();
        kill(herd.pid(), Signal::SIGINT).unwrap();
        finish(herd).exits(130);
        run.is_gone();
    }
}

#[test]
fn a_killed_front_end_leaves_nothing() {
    for kind in ["sem", "msg"] {
        let mut run = Run::start(kind);
        run.herd.take().unwrap().kill();
        run.is_gone();
    }
}

#[test]
fn everybody_killed_but_the_keeper_leaves_nothing() {
    for kind in ["sem", "msg"] {
        let run = Run::start(kind);
        // The first child of the coordinator, forked before the workers.
        let keeper = run.tree.workers.iter().map(|p| p.pid).min().unwrap();
        let coordinator = run.tree.coordinator.as_ref().unwrap().pid;
        let workers = run.tree.workers.iter().map(|p| p.pid).filter(|pid| *pid != keeper);
        for pid in std::iter::once(run.herd.as_ref().unwrap().pid().as_raw()).chain([coordinator]).chain(workers) {
            // Some die with one that was killed before.
            let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        }
        run.is_gone();
    }
}

/// A run that never ends, under a quota, and what is to go: the folder of its group.
fn run_with_quota(mark: &Mark, folder: &Folder) -> (Running, Tree, std::path::PathBuf) {
    let text = "title = \"t\"\n[defaults]\nkind = \"block\"\nquota = \"50/100\"\nbackground = 1\nworkers = 3\nevents = 100000000\n[[wait]]\nname = \"w\"\n";
    let file = folder.file("run.toml", text);
    let herd = spawn(mark.on(&mut herd(["run", &file, "-f", "json"])));
    // Three workers, the keeper and the background.
    let tree = mark.with_workers(5);
    let coordinator = tree.coordinator.as_ref().unwrap().pid;
    let group = herd::cgroup::CpuGroup::place(&format!("herd-{coordinator}")).unwrap().folder().to_owned();
    assert!(group.is_dir(), "{} is there", group.display());
    (herd, tree, group)
}

#[test]
fn the_group_of_a_quota_goes_with_its_last_task() {
    if let Err(why) = herd::probe::find("cgroup_cpu_controller").unwrap().run() {
        return lab::skipped("no quota", &why);
    }
    for killed in ["nobody", "front end", "all but the keeper"] {
        let (mark, folder) = (Mark::new(), Folder::new());
        let (herd, tree, group) = run_with_quota(&mark, &folder);
        match killed {
            "nobody" => {
                kill(herd.pid(), Signal::SIGINT).unwrap();
                finish(herd).exits(130);
            }
            "front end" => herd.kill(),
            _ => {
                // The first child of the coordinator, forked before all others.
                let keeper = tree.workers.iter().map(|p| p.pid).min().unwrap();
                let coordinator = tree.coordinator.as_ref().unwrap().pid;
                let others = tree.workers.iter().map(|p| p.pid).filter(|pid| *pid != keeper);
                for pid in [herd.pid().as_raw(), coordinator].into_iter().chain(others) {
                    // Some die with one that was killed before.
                    let _ = kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        }
        mark.ends_within(SOON, &tree);
        assert!(!group.exists(), "{killed} killed, and {} is left", group.display());
    }
}

#[test]
fn children_that_serve_clients_go_with_their_worker() {
    let text = "title = \"t\"\n[defaults]\nkind = \"fork-per-client\"\nworkers = 1\nidle_connections = 20\nrate = 0.1\n\
                reply = true\nevents = 1000000\n[[wait]]\nname = \"w\"\n";
    for killed in ["nobody", "front end", "coordinator", "worker"] {
        let (mark, folder) = (Mark::new(), Folder::new());
        let file = folder.file("run.toml", text);
        let herd = spawn(mark.on(&mut herd(["run", &file, "-f", "json"])));
        let tree = mark.with_workers(21);
        let coordinator = tree.coordinator.as_ref().unwrap();
        match killed {
            "nobody" => {
                kill(herd.pid(), Signal::SIGINT).unwrap();
                finish(herd).exits(130);
            }
            "front end" => herd.kill(),
            "coordinator" => {
                coordinator.signal(Signal::SIGKILL);
                finish(herd);
            }
            _ => {
                tree.workers.iter().find(|p| p.parent == coordinator.pid).unwrap().signal(Signal::SIGKILL);
                finish(herd).exits(3);
            }
        }
        mark.ends_within(SOON, &tree);
    }
}

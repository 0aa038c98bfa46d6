//! Signals and kills at any moment of a run: the exit code says what happened,
//! what was seen is kept, and nobody stays behind. Zombies whose adopter has
//! not reaped them yet are dead; they are counted apart.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use herd::results::{Results, Verdict};
use lab::processes::{Mark, Tree};
use lab::{Folder, Running, Said, finish, herd, names_in, spawn, until};
use nix::sys::signal::{Signal, kill};

mod lab;

/// What the kernel may take to kill what dies with its parent.
const SOON: Duration = Duration::from_secs(1);

/// Setting up costs each worker a handful of sleeps; so many show events.
const EVENTS_SEEN: u64 = 100;

/// A run with workers, in folders of its own.
struct Run {
    folder: Folder,
    mark: Mark,
    herd: Running,
    workers: usize,
}

impl Run {
    /// Starts three cells that never end, after one that ends at once.
    fn endless(workers: usize, placement: &str) -> Run {
        Run::start(workers, placement, 100_000_000)
    }

    fn start(workers: usize, placement: &str, events: u64) -> Run {
        let folder = Folder::new();
        let text = format!(
            "title = \"t\"\n[defaults]\nobject = \"unix\"\nplacement = \"{placement}\"\n\
             [[wait]]\nname = \"made up\"\nkind = \"null\"\n\
             [[wait]]\nname = \"first\"\nkind = \"poll\"\nevents = {events}\n\
             [[wait]]\nname = \"second\"\nkind = \"block\"\nevents = {events}\n"
        );
        let file = folder.file("run.toml", text);
        for name in ["kept", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mark = Mark::new();
        let kept = folder.path().join("kept");
        let mut command: Command = herd(["run", &file, "--output", kept.to_str().unwrap()]);
        command.env("TMPDIR", folder.path().join("tmp"));
        let child = spawn(mark.on(&mut command));
        Run { folder, mark, herd: child, workers }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The process tree once the first real cell is in its rounds.
    fn measuring(&self) -> Tree {
        let tree = self.mark.with_workers(self.workers);
        until(Duration::from_secs(20), || match tree.sleeps() {
            sleeps if sleeps > EVENTS_SEEN => Ok(()),
            sleeps => Err(format!("{sleeps} sleeps of the workers; {:?}", self.mark.tree())),
        });
        tree
    }

    /// Ends it as `signal` should: nothing alive, the temporary directory empty,
    /// and the one result kept. Returns what it said and that result.
    #[track_caller]
    fn ends(self, code: i32, known: &Tree) -> (Said, Option<Results>) {
        let said = finish(self.herd).exits(code);
        self.mark.ends_within(SOON, known);
        assert_eq!(names_in(&self.folder.path().join("tmp")), Vec::<String>::new());
        let kept = kept(&self.folder.path().join("kept"));
        (said, kept)
    }
}

/// The result in a directory that has one.
fn kept(directory: &Path) -> Option<Results> {
    let names = names_in(directory);
    assert_eq!(names.len(), 1, "{names:?}");
    let text = std::fs::read_to_string(directory.join(&names[0])).unwrap();
    Results::parse(&names[0], &text).ok()
}

#[track_caller]
fn check_verdicts(results: &Results, want: &[(&str, Verdict, &str)]) {
    let seen: Vec<(&str, Verdict, &str)> =
        results.cells.iter().map(|c| (c.row.as_str(), c.verdict, c.reason.as_str())).collect();
    assert_eq!(seen.len(), want.len(), "{seen:?}");
    for (seen, want) in seen.iter().zip(want) {
        assert_eq!((seen.0, seen.1), (want.0, want.1), "{seen:?}");
        assert!(seen.2.contains(want.2), "no {:?} in {seen:?}", want.2);
    }
}

/// SIGINT, SIGTERM or SIGHUP in the middle of a cell.
#[track_caller]
fn check_signal(signal: Signal, code: i32, workers: usize, placement: &str) {
    let run = Run::endless(workers, placement);
    let tree = run.measuring();
    kill(run.herd.pid(), signal).unwrap();
    let (said, results) = run.ends(code, &tree);
    let results = results.expect("what was seen is kept");
    assert!(results.interrupted);
    check_verdicts(&results, &[("made up", Verdict::Pass, ""), ("first", Verdict::Invalid, "interrupted")]);
    assert!(said.out.contains("1 of 2 cells as expected, 1 invalid (interrupted)"), "{said:?}");
    let seen = results.cells[1].observation.as_ref().expect("the facts up to the signal");
    assert!(seen.fired > 0, "the rounds so far are kept");
}

#[test]
fn an_interrupt_keeps_what_was_seen() {
    check_signal(Signal::SIGINT, 130, 4, "4x1");
}

#[test]
fn a_termination_keeps_what_was_seen() {
    check_signal(Signal::SIGTERM, 143, 2, "2x2");
}

#[test]
fn a_hangup_keeps_what_was_seen() {
    check_signal(Signal::SIGHUP, 129, 1, "1x4");
}

#[test]
fn an_interrupt_of_the_whole_terminal_group_is_the_same() {
    use std::os::unix::process::CommandExt;
    let folder = Folder::new();
    let file = folder.file("run.toml", "title = \"t\"\n[defaults]\nworkers = 3\nevents = 100000000\n");
    let mark = Mark::new();
    let mut command = herd(["run", &file, "-f", "json"]);
    let child = spawn(mark.on(&mut command).process_group(0));
    let tree = mark.with_workers(3);
    nix::sys::signal::killpg(child.pid(), Signal::SIGINT).unwrap();
    let results = lab::results(&finish(child).exits(130).out);
    check_verdicts(&results, &[("block", Verdict::Invalid, "interrupted")]);
    mark.ends_within(SOON, &tree);
}

#[test]
fn a_signal_while_workers_line_up() {
    // As many processes as take a while to start; the moment is when the first
    // of them is there.
    let run = Run::endless(0, "300x1");
    let tree = until(Duration::from_secs(20), || {
        let tree = run.mark.tree();
        if tree.coordinator.is_some() && !tree.workers.is_empty() { Ok(tree) } else { Err(format!("{tree:?}")) }
    });
    kill(run.herd.pid(), Signal::SIGTERM).unwrap();
    let (_, results) = run.ends(143, &tree);
    let results = results.expect("what was seen is kept");
    check_verdicts(&results, &[("made up", Verdict::Pass, ""), ("first", Verdict::Invalid, "interrupted")]);
}

#[test]
fn a_signal_between_cells() {
    // A hundred thousand made-up cells: the signal falls somewhere among them.
    let folder = Folder::new();
    let file = folder.file("run.toml", "title = \"t\"\n[defaults]\nkind = \"null\"\nevents = 1\n");
    let mark = Mark::new();
    let child = spawn(mark.on(&mut herd(["run", &file, "--repeat", "10000", "-f", "json"])));
    until(Duration::from_secs(20), || mark.tree().coordinator.map(drop).ok_or_else(|| "no cell yet".into()));
    kill(child.pid(), Signal::SIGINT).unwrap();
    let results = lab::results(&finish(child).exits(130).out);
    assert!(results.interrupted && results.cells.len() < 10_000);
    mark.ends_within(SOON, &Tree::default());
}

#[test]
fn a_second_signal_means_now() {
    let run = Run::endless(3, "3x1");
    let tree = run.measuring();
    // A stopped coordinator cannot end by itself.
    tree.coordinator.as_ref().unwrap().signal(Signal::SIGSTOP);
    kill(run.herd.pid(), Signal::SIGINT).unwrap();
    kill(run.herd.pid(), Signal::SIGTERM).unwrap();
    let (_, results) = run.ends(130, &tree);
    check_verdicts(
        &results.expect("kept"),
        &[("made up", Verdict::Pass, ""), ("first", Verdict::Invalid, "interrupted")],
    );
}

#[test]
fn a_coordinator_that_does_not_answer_is_killed() {
    let run = Run::endless(3, "3x1");
    let tree = run.measuring();
    tree.coordinator.as_ref().unwrap().signal(Signal::SIGSTOP);
    kill(run.herd.pid(), Signal::SIGINT).unwrap();
    run.ends(130, &tree);
}

#[test]
fn a_killed_front_end_takes_everybody_with_it() {
    for placement in ["4x1", "1x4", "2x2"] {
        let workers = placement[..1].parse().unwrap();
        let run = Run::endless(workers, placement);
        let tree = run.measuring();
        let tmp = run.path("tmp");
        run.herd.kill();
        run.mark.ends_within(SOON, &tree);
        assert_eq!(names_in(&tmp), Vec::<String>::new());
    }
}

#[test]
fn a_front_end_killed_while_workers_line_up() {
    let run = Run::endless(0, "300x1");
    let tree = until(Duration::from_secs(20), || {
        let tree = run.mark.tree();
        if tree.workers.len() > 20 { Ok(tree) } else { Err(format!("{} workers", tree.workers.len())) }
    });
    let tmp = run.path("tmp");
    run.herd.kill();
    run.mark.ends_within(SOON, &tree);
    assert_eq!(names_in(&tmp), Vec::<String>::new());
}

/// Kills the coordinator of the first real cell: that cell is invalid, the run
/// goes on with the next.
#[test]
fn a_killed_coordinator_costs_one_cell() {
    for signal in [Signal::SIGKILL, Signal::SIGABRT] {
        let run = Run::endless(4, "4x1");
        let tree = run.measuring();
        tree.coordinator.as_ref().unwrap().signal(signal);
        // The next cell comes only when the workers of this one are dead.
        let next = until(Duration::from_secs(20), || {
            let next = run.mark.tree();
            let fresh = next.is_another_than(&tree) && next.workers.len() == 4;
            if fresh { Ok(next) } else { Err(format!("{next:?}")) }
        });
        for worker in &tree.workers {
            assert_eq!(worker.now(), None, "the front end reaps what it adopts");
        }
        kill(run.herd.pid(), Signal::SIGINT).unwrap();
        let (_, results) = run.ends(130, &next);
        let ended = "the cell's process ended without a result";
        check_verdicts(
            &results.expect("kept"),
            &[
                ("made up", Verdict::Pass, ""),
                ("first", Verdict::Invalid, ended),
                ("second", Verdict::Invalid, "interrupted"),
            ],
        );
    }
}

/// Kills one worker in the middle of a cell of `placement`.
#[track_caller]
fn check_worker_killed(placement: &str, workers: usize, victim: usize, named: &str) {
    let run = Run::endless(workers, placement);
    let tree = run.measuring();
    let mut by_age = tree.workers.clone();
    by_age.sort_by_key(|p| p.pid);
    by_age[victim].signal(Signal::SIGKILL);
    let next = until(Duration::from_secs(20), || {
        let next = run.mark.tree();
        let fresh = next.is_another_than(&tree) && next.workers.len() == workers;
        if fresh { Ok(next) } else { Err(format!("{next:?}")) }
    });
    kill(run.herd.pid(), Signal::SIGTERM).unwrap();
    let (_, results) = run.ends(143, &next);
    let reason = format!("{named} (process {}) was killed by SIGKILL", by_age[victim].pid);
    check_verdicts(
        &results.expect("kept"),
        &[
            ("made up", Verdict::Pass, ""),
            ("first", Verdict::Invalid, &reason),
            ("second", Verdict::Invalid, "interrupted"),
        ],
    );
}

#[test]
fn a_killed_worker_makes_its_cell_invalid_and_is_named() {
    check_worker_killed("4x1", 4, 2, "worker 2");
    check_worker_killed("2x3", 2, 1, "workers 3 to 5");
}

#[test]
fn stopped_workers_are_no_lost_wakeup() {
    // To a count of sleepers a stopped worker looks asleep: it was called lost.
    let folder = Folder::new();
    let text = "title = \"t\"\n[defaults]\nworkers = 3\nevents = 100000000\nlimit_ms = 300\nkind = \"poll\"\n";
    let file = folder.file("run.toml", text);
    let mark = Mark::new();
    let child = spawn(mark.on(&mut herd(["run", &file, "-f", "json"])));
    // A cell that timed out is run again, three times in all.
    let mut last = Tree::default();
    for _ in 0..3 {
        last = until(Duration::from_secs(20), || {
            let tree = mark.tree();
            let ready = tree.is_another_than(&last) && tree.workers.len() == 3 && tree.sleeps() > EVENTS_SEEN;
            if ready { Ok(tree) } else { Err(format!("{tree:?}")) }
        });
        last.workers.iter().for_each(|worker| worker.signal(Signal::SIGSTOP));
    }
    let results = lab::results(&finish(child).exits(3).out);
    check_verdicts(&results, &[("poll", Verdict::Invalid, "worker ")]);
    mark.ends_within(SOON, &last);
}

#[test]
fn a_worker_killed_in_a_short_cell_is_seen_at_its_end() {
    // With few failed looks per barrier the dead were never looked for.
    let folder = Folder::new();
    let text = "title = \"t\"\n[defaults]\nobject = \"unix\"\nworkers = 3\nevents = 2003\nkind = \"block\"\n";
    let file = folder.file("run.toml", text);
    let mark = Mark::new();
    let child = spawn(mark.on(&mut herd(["run", &file, "-f", "json"])));
    let tree = mark.with_workers(3);
    tree.workers[2].signal(Signal::SIGKILL);
    let results = lab::results(&finish(child).exits(3).out);
    check_verdicts(&results, &[("block", Verdict::Invalid, "was killed by SIGKILL")]);
    mark.ends_within(SOON, &tree);
}

#[test]
fn a_run_that_ends_well_leaves_nothing() {
    let run = Run::start(0, "3x1", 7);
    let (_, results) = run.ends(0, &Tree::default());
    let pass = |row| (row, Verdict::Pass, "");
    check_verdicts(&results.expect("kept"), &[pass("made up"), pass("first"), pass("second")]);
}

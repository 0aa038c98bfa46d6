//! The real kernel. Conservation always: 23 fired, 23 claimed, 0 left; wakeups
//! where the contract is exact; what the kernel refuses; what gets lost. Never
//! time, never exact returns. Passes beside any other load: a barrier may take
//! as long as it wants.

use herd::observation::{End, Observation};
use herd::results::{CellResult, Results, Verdict};
use lab::{Folder, Running, run};

mod lab;

/// A prime: a dropped or doubled count cannot hide.
const EVENTS: u64 = 23;
const WORKERS: usize = 6;

/// Every wait there is, in every way it can be had on one shared object.
const SHARED: &[(&str, &str)] = &[
    ("block", "kind = \"block\""),
    ("poll", "kind = \"poll\""),
    ("poll drain", "kind = \"poll\"\naccept = \"drain\""),
    ("select", "kind = \"select\""),
    ("epoll", "kind = \"epoll\""),
    ("epoll drain", "kind = \"epoll\"\naccept = \"drain\""),
    ("epoll edge", "kind = \"epoll\"\ntrigger = \"edge\""),
    ("epoll oneshot", "kind = \"epoll\"\noneshot = true"),
    ("epoll modified", "kind = \"epoll\"\nmodify = true\ninterest = [\"rdhup\", \"pri\"]"),
    ("epoll re-added", "kind = \"epoll\"\nreadd_every = 1"),
    ("exclusive", "kind = \"epoll\"\nexclusive = true\nneeds = \"epoll_exclusive\""),
    ("exclusive re-added", "kind = \"epoll\"\nexclusive = true\nreadd_every = 1\nneeds = \"epoll_exclusive\""),
    ("shared", "kind = \"epoll\"\ninstance = \"shared\""),
    ("shared edge", "kind = \"epoll\"\ninstance = \"shared\"\ntrigger = \"edge\""),
    ("shared oneshot", "kind = \"epoll\"\ninstance = \"shared\"\noneshot = true"),
    ("nested", "kind = \"epoll\"\ninstance = \"nested\""),
    ("nested edge", "kind = \"epoll\"\ninstance = \"nested\"\ntrigger = \"edge\""),
    ("ring", "kind = \"uring\""),
    ("ring, all", "kind = \"uring-multishot\""),
    ("ring, poll", "kind = \"uring-poll\""),
    ("signal", "kind = \"sigio\""),
    ("lock", "kind = \"accept-lock\""),
    ("acceptor", "kind = \"acceptor\""),
];

/// One of each kind.
const PLAIN: [&str; 4] = ["block", "poll", "select", "epoll"];

/// Servers with helpers, each in the placement it is for.
const MODELS: &[(&str, &str)] = &[
    ("fork", "kind = \"fork-per-client\"\nplacement = \"processes\""),
    ("thread", "kind = \"thread-per-client\"\nplacement = \"processes\""),
    ("threads of threads", "kind = \"thread-per-client\"\nplacement = \"threads\""),
    ("queue", "kind = \"queue\"\nplacement = \"threads\""),
];

/// With a listener for each worker.
const OWN: &[(&str, &str)] = &[
    ("own block", "kind = \"block\"\nsharing = \"own\""),
    ("own poll", "kind = \"poll\"\nsharing = \"own\""),
    ("own epoll", "kind = \"epoll\"\nsharing = \"own\""),
    ("own handed out", "kind = \"select\"\nsharing = \"own\"\nopened_by = \"coordinator\""),
];

/// With several objects for everybody.
const SEVERAL: &[(&str, &str)] = &[
    ("three polled", "kind = \"poll\"\nobjects = 3"),
    ("three selected", "kind = \"select\"\nobjects = 3"),
    ("three watched", "kind = \"epoll\"\nobjects = 3\nmaxevents = 3"),
];

/// An experiment out of rows, each a name and its settings.
fn experiment<'a>(head: &str, rows: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> String {
    // A starved machine may take its time; a lost wakeup would still be found.
    let mut text = format!("title = \"t\"\n[defaults]\nlimit_ms = 20000\n{head}\n");
    for (name, settings) in rows {
        text.push_str(&format!("[[wait]]\nname = \"{name}\"\n{settings}\n"));
    }
    text
}

#[track_caller]
fn measured(text: &str, args: &[&str], code: i32) -> Results {
    let folder = Folder::new();
    let file = folder.file("kernel.toml", text);
    let said = run(["run", &file, "-f", "json"].iter().chain(args));
    assert!([0, 1, 3].contains(&said.code().unwrap_or(-1)), "{said:?}");
    let results = lab::results(&said.out);
    let bad = results.cells.iter().filter(|cell| cell.verdict != Verdict::Pass);
    let reasons: Vec<String> = bad.map(|cell| format!("{:?} {}: {}", cell.verdict, cell.id, cell.reason)).collect();
    assert_eq!(said.code(), Some(code), "{reasons:#?}");
    results
}

fn seen(cell: &CellResult) -> Observation {
    let facts = cell.observation.clone().unwrap_or_else(|| panic!("{} did not run", cell.id));
    // A stored cell has its workers beside the other facts.
    Observation { workers: cell.workers.clone(), ..facts }
}

/// Every event was fired, claimed once, and none is left.
#[track_caller]
fn conserved(cell: &CellResult) {
    if cell.verdict == Verdict::Skip {
        return lab::skipped(&cell.id, &cell.reason);
    }
    assert_eq!(cell.verdict, Verdict::Pass, "{}: {}", cell.id, cell.reason);
    let seen = seen(cell);
    let claims: Vec<u64> = seen.workers.iter().map(|w| w.claims).collect();
    let sums = (seen.fired, claims.iter().sum::<u64>(), seen.stranded, seen.winners.len() as u64);
    assert_eq!(sums, (EVENTS, EVENTS, 0, EVENTS), "{}: {claims:?}", cell.id);
    assert_eq!(seen.workers.len(), WORKERS, "{}", cell.id);
    for (worker, claims) in claims.iter().enumerate() {
        let won = seen.winners.iter().filter(|w| **w as usize == worker).count() as u64;
        assert_eq!(won, *claims, "{}: wins of worker {worker}", cell.id);
    }
    // Nobody returns with nothing and is not counted so, but for whoever accepts and
    // hands on what he took.
    let passes = ["acceptor", "queue"].contains(&cell.settings.worker.wait.as_str());
    assert!(passes || seen.workers.iter().all(|w| w.returns - w.empty_returns <= w.claims), "{}: {seen:?}", cell.id);
}

/// Those rows on that object; every kind of wait for each placement of six
/// workers, its variants for processes and for threads.
#[track_caller]
fn check_conservation(object: &str, rows: &[&[(&str, &str)]]) {
    let rows: Vec<(&str, &str)> = rows.concat();
    let plain: Vec<(&str, &str)> = rows.iter().filter(|(name, _)| PLAIN.contains(name)).copied().collect();
    assert_eq!(plain.len(), PLAIN.len());
    for (rows, placements) in [(rows, "\"processes\", \"threads\""), (plain, "\"2x3\", \"3x2\"")] {
        let head =
            format!("object = \"{object}\"\nworkers = 6\nevents = {EVENTS}\n[matrix]\nplacement = [{placements}]");
        let results = measured(&experiment(&head, &rows), &[], 0);
        assert_eq!(results.cells.len(), 2 * rows.len());
        results.cells.iter().for_each(conserved);
    }
}

#[test]
fn nothing_is_lost_or_doubled_on_tcp() {
    check_conservation("tcp", &[SHARED, OWN, SEVERAL]);
}

#[test]
fn nothing_is_lost_or_doubled_on_tcp6() {
    check_conservation("tcp6", &[&SHARED[..5], OWN]);
}

#[test]
fn nothing_is_lost_or_doubled_on_unix() {
    check_conservation("unix", &[SHARED, SEVERAL]);
}

#[test]
fn nothing_is_lost_or_doubled_on_unix_abstract() {
    check_conservation("unix-abstract", &[&SHARED[..5], SEVERAL]);
}

#[test]
fn nothing_is_lost_or_doubled_where_helpers_serve() {
    let head = format!("workers = 6\nevents = {EVENTS}\n[matrix]\nobject = [\"tcp\", \"unix\"]");
    let results = measured(&experiment(&head, MODELS), &[], 0);
    assert_eq!(results.cells.len(), 2 * MODELS.len());
    results.cells.iter().for_each(conserved);
}

#[test]
fn every_listener_and_every_wait_is_among_them() {
    // Those that take no connections are walked by tests/matrix.rs.
    let listeners: Vec<&str> = herd::object::LIST.iter().filter(|o| o.listens()).map(|o| o.name()).collect();
    assert_eq!(listeners, ["tcp", "tcp6", "unix", "unix-abstract"], "add a test above for the new object");
    for wait in herd::wait::names().into_iter().filter(|name| *name != "null") {
        let row = format!("kind = \"{wait}\"");
        let known = SHARED.iter().chain(MODELS).any(|(_, settings)| settings.starts_with(&row));
        assert!(known, "{wait} has no row in SHARED or MODELS");
    }
}

#[test]
fn nothing_is_lost_or_doubled_in_bursts() {
    let head = format!("workers = 6\nevents = {EVENTS}\nburst = {EVENTS}\n[matrix]\nobject = [\"tcp\", \"unix\"]");
    // Edge-triggered and one claim a return would strand the rest: drain.
    let rows: Vec<&(&str, &str)> = SHARED.iter().filter(|(name, _)| !name.contains("edge")).collect();
    measured(&experiment(&head, rows), &[], 0).cells.iter().for_each(conserved);
}

#[test]
fn nothing_is_lost_or_doubled_on_a_busy_machine() {
    let spinner = || lab::spawn(std::process::Command::new("sh").args(["-c", "while :; do :; done"]));
    let _load: Vec<Running> = (0..4).map(|_| spinner()).collect();
    let head = format!("workers = 6\nevents = {EVENTS}\n[matrix]\nplacement = [\"processes\", \"threads\"]");
    let names = ["block", "poll", "select", "epoll", "exclusive", "shared edge"];
    let rows: Vec<&(&str, &str)> = SHARED.iter().filter(|(name, _)| names.contains(name)).collect();
    measured(&experiment(&head, rows), &[], 0).cells.iter().for_each(conserved);
}

/// Wakeups per event of each cell lie in these bounds, in every event. A source
/// that counts sleeps on a lock as well may find a few more on average.
#[track_caller]
fn check_wakeups(rows: &[(&str, &str)], objects: &str, least: f64, most: f64) {
    let head = format!(
        "workers = 6\nevents = {EVENTS}\n\
         [matrix]\nobject = [{objects}]\nplacement = [\"processes\", \"threads\"]"
    );
    for cell in &measured(&experiment(&head, rows), &[], 0).cells {
        conserved(cell);
        if cell.verdict == Verdict::Skip {
            continue;
        }
        let metric = |name: &str| cell.metrics[name].unwrap_or_else(|| panic!("{}: no {name}", cell.id));
        let (min, mean, max) =
            (metric("wakeups_per_event_min"), metric("wakeups_per_event"), metric("wakeups_per_event_max"));
        let exact = ["bpf", "perf"].contains(&cell.count_source.as_str());
        let small_enough = if exact { max <= most } else { mean <= most * 1.1 };
        assert!(min >= least && small_enough, "{}: {min} {mean} {max} by {}", cell.id, cell.count_source);
    }
}

fn rows(names: &[&str]) -> Vec<(&'static str, &'static str)> {
    let all = SHARED.iter().chain(OWN).copied();
    let chosen: Vec<_> = all.filter(|(name, _)| names.contains(name)).collect();
    assert_eq!(chosen.len(), names.len());
    chosen
}

#[test]
fn one_event_wakes_one_worker_where_the_contract_says_so() {
    check_wakeups(&rows(&["block", "exclusive", "shared edge", "shared oneshot"]), "\"tcp\", \"unix\"", 1.0, 1.0);
    check_wakeups(&rows(&["own block", "own epoll", "own poll"]), "\"tcp\"", 1.0, 1.0);
}

#[test]
fn one_event_wakes_everybody_where_nobody_prevents_it() {
    let herd = rows(&["poll", "select", "epoll", "epoll edge"]);
    check_wakeups(&herd, "\"tcp\", \"unix\"", WORKERS as f64, f64::INFINITY);
}

#[test]
fn every_source_counts_the_same() {
    let text = experiment(&format!("workers = 6\nevents = {EVENTS}"), &rows(&["exclusive", "block", "poll"]));
    for source in herd::cell::count::NAMES.into_iter().filter(|name| *name != "ledger") {
        let folder = Folder::new();
        let file = folder.file("kernel.toml", &text);
        let results = lab::results(&run(["run", &file, "-f", "json", "--count-with", source]).out);
        for cell in &results.cells {
            if cell.verdict == Verdict::Invalid {
                lab::skipped(&format!("{source} for {}", cell.id), &cell.reason);
                continue;
            }
            conserved(cell);
            let min = cell.metrics["wakeups_per_event_min"];
            let want = if cell.row == "poll" { WORKERS as f64 } else { 1.0 };
            assert_eq!(
                (cell.count_source.starts_with(source) || source == "proc", min),
                (true, Some(want)),
                "{}",
                cell.id
            );
        }
    }
}

#[test]
fn private_and_shared_instances_mix() {
    // Worker 0 alone was asked for the instance that the others share.
    let row = [("mixed", "kind = \"epoll\"\noverride = [{ workers = [2, 3, 4, 5], instance = \"shared\" }]")];
    measured(&experiment(&format!("workers = 6\nevents = {EVENTS}"), &row), &[], 0).cells.iter().for_each(conserved);
}

/// Four calls that every kernel since 4.5 refuses.
const REFUSED: &[(&str, &str)] = &[
    ("oneshot", "oneshot = true"),
    ("rdhup", "interest = [\"rdhup\"]"),
    ("modify", "modify = true"),
    ("nested", "instance = \"nested\""),
];

#[test]
fn the_kernel_refuses_what_we_say_it_refuses() {
    let head = "workers = 3\nevents = 5\nkind = \"epoll\"\nexclusive = true\nforce = true\n\
                [matrix]\nplacement = [\"processes\", \"threads\"]";
    let text = format!("{}\n[[expect]]\nneeds = \"epoll_exclusive\"\nerror = \"EINVAL\"\n", experiment(head, REFUSED));
    let results = measured(&text, &["--repeat", "5"], 0);
    assert_eq!(results.cells.len(), 5 * 2 * REFUSED.len());
    for cell in &results.cells {
        assert_eq!(cell.verdict, Verdict::Pass, "{}: {}", cell.id, cell.reason);
        assert!(matches!(seen(cell).end, End::Refused { worker: Some(0), .. }), "{}: {:?}", cell.id, seen(cell).end);
    }
    // Another errno is a failure, and without an expectation nothing is known.
    measured(&text.replace("EINVAL", "EPERM"), &[], 1);
    for cell in &measured(&experiment(head, REFUSED), &[], 3).cells {
        assert_eq!(cell.verdict, Verdict::Invalid);
        assert!(cell.reason.starts_with("worker 0: epoll_ctl(EPOLL_CTL_"), "{}", cell.reason);
        assert!(cell.reason.ends_with(": EINVAL"), "{}", cell.reason);
    }
}

#[test]
fn a_lost_wakeup_fails_and_names_event_and_workers() {
    let head = "workers = 3\nevents = 23\nkind = \"epoll\"\noneshot = true\nrearm = false\nlimit_ms = 200\n\
                [matrix]\nobject = [\"tcp\", \"unix\"]\nplacement = [\"processes\", \"threads\"]";
    let rows = [("all armed once", ""), ("one armed once", "instance = \"shared\"")];
    // The shorter limit comes last and wins.
    let text = experiment(head, &rows).replace("limit_ms = 20000\n", "");
    for cell in &measured(&text, &[], 1).cells {
        assert_eq!(cell.verdict, Verdict::Fail, "{}: {}", cell.id, cell.reason);
        let End::Lost { event, states } = &seen(cell).end else { panic!("{}: {:?}", cell.id, seen(cell).end) };
        // Each registration delivers once, so at the latest the fourth event is lost.
        let latest = if cell.row == "one armed once" { 1 } else { 3 };
        assert!((1..=latest).contains(event), "{}: event {event}", cell.id);
        assert_eq!(seen(cell).fired, event + 1, "{}", cell.id);
        assert_eq!(seen(cell).stranded, 1, "{}", cell.id);
        for (worker, state) in states.iter().enumerate() {
            assert!(state.starts_with(&format!("w{worker}: pid ")) && state.contains(" state S "), "{state}");
        }
        assert_eq!(states.len(), 3);
        let told = format!("event {event} was fired, everybody sleeps and nobody took it; w0: pid ");
        assert!(cell.reason.starts_with(&told), "{}", cell.reason);
    }
}

#[test]
fn events_left_on_purpose_are_counted() {
    let head = "workers = 3\nevents = 23\nkind = \"epoll\"\ninstance = \"shared\"\noneshot = true\nrearm = false\n\
                stranded = \"count\"\n[matrix]\nobject = [\"tcp\", \"unix\"]\nplacement = [\"processes\", \"threads\"]";
    for cell in &measured(&experiment(head, &[("armed once", "")]), &[], 0).cells {
        let seen = seen(cell);
        let claims: u64 = seen.workers.iter().map(|w| w.claims).sum();
        assert_eq!((seen.fired, claims, seen.stranded), (EVENTS, 1, EVENTS - 1), "{}", cell.id);
    }
}

#[test]
fn work_goes_to_whom_the_queue_says() {
    let head = format!(
        "workers = 6\nevents = {EVENTS}\n\
         [matrix]\nobject = [\"tcp\", \"unix\"]\nplacement = [\"processes\", \"threads\", \"3x2\"]"
    );
    let orders = [
        ("block", "rotation"),
        ("exclusive", "first"),
        ("exclusive re-added", "rotation"),
        ("shared edge", "last"),
        ("shared oneshot", "last"),
    ];
    let mut text = experiment(&head, &rows(&orders.map(|(name, _)| name)));
    for (name, order) in orders {
        text.push_str(&format!("[[expect]]\nwait = \"{name}\"\nwinners = \"{order}\"\n"));
    }
    measured(&text, &[], 0).cells.iter().for_each(conserved);
}

#[test]
fn registration_is_in_the_order_of_the_worker_numbers() {
    // Workers below `first` are in the queue too, but each only for one event;
    // of the EXCLUSIVE ones behind them always the first registered is woken.
    let head = format!("workers = 6\nevents = {EVENTS}\nkind = \"epoll\"\nexclusive = true");
    for first in 1..6u32 {
        let lower: Vec<String> = (0..first).map(|w| w.to_string()).collect();
        let row = format!(
            "needs = \"epoll_exclusive\"\noverride = [{{ workers = [{}], exclusive = false, oneshot = true, rearm = false }}]",
            lower.join(", ")
        );
        let results = measured(&experiment(&head, &[("mixed", row.as_str())]), &[], 0);
        let cell = &results.cells[0];
        conserved(cell);
        if cell.verdict == Verdict::Skip {
            continue;
        }
        // The lower ones take one event each at most, the higher ones none.
        let claims: Vec<u64> = seen(cell).workers.iter().map(|w| w.claims).collect();
        let first = first as usize;
        assert!(claims[..first].iter().all(|c| *c <= 1), "first {first}: {claims:?}");
        assert!(claims[first + 1..].iter().all(|c| *c == 0), "first {first}: {claims:?}");
    }
}

/// A ring holds its listener longer than its worker lives: the next cell must not meet it.
#[test]
fn cells_with_rings_follow_each_other_on_one_port() {
    // Below those that the kernel hands out, and not where tests/attach.rs looks for some.
    let port = 30_000 + std::process::id() % 2_000;
    let text = format!(
        "title = \"t\"\n[defaults]\nworkers = 4\nevents = 23\nport = {port}\n\
         [[wait]]\nname = \"one\"\nkind = \"uring\"\n\
         [[wait]]\nname = \"many\"\nkind = \"uring-multishot\"\nplacement = \"threads\"\n\
         [[wait]]\nname = \"poll\"\nkind = \"uring-poll\"\n\
         [[wait]]\nname = \"datagrams\"\nkind = \"uring\"\nobject = \"udp\"\n\
         [[wait]]\nname = \"datagrams, own sockets\"\nkind = \"uring\"\nobject = \"udp\"\nsharing = \"own\"\n"
    );
    let folder = Folder::new();
    let file = folder.file("rings.toml", text);
    let said = run(["run", &file, "--repeat", "4", "--format", "json"]);
    let results = lab::results(&said.out);
    assert_eq!(results.cells.len(), 20);
    let bad = |cell: &&CellResult| !matches!(cell.verdict, Verdict::Pass | Verdict::Skip);
    let bad: Vec<_> = results.cells.iter().filter(bad).map(|cell| (&cell.settings.worker.wait, &cell.reason)).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

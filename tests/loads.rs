//! Loads that go by the clock or by clients, and connections that stay, on the real
//! kernel: every client comes to one end, every event is claimed once, and the
//! wakeups are those of an ordinary cell. Never a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use herd::experiment::{Experiment, Rule, embedded};
use herd::results::{CellResult, Results, Verdict};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use points::{file, herd};

mod lab;
mod points;

/// The cells of an experiment with these rows.
#[track_caller]
fn cells(name: &str, defaults: &str, rows: &[(&str, &str)]) -> Vec<CellResult> {
    let rows: String = rows.iter().map(|(row, text)| format!("[[wait]]\nname = {row:?}\n{text}\n")).collect();
    let path = file(name, &format!("title = \"t\"\n[defaults]\n{defaults}\n{rows}"));
    let said = herd(&["run", &path, "--format", "json", "--quiet"]);
    let results = Results::parse("stdout", &said.out).unwrap_or_else(|e| panic!("{e}\n{said:#?}"));
    assert!(!results.cells.is_empty(), "{said:#?}");
    for cell in &results.cells {
        let skipped = cell.verdict == Verdict::Skip && !cell.reason.is_empty();
        assert!(cell.verdict == Verdict::Pass || skipped, "{}: {}", cell.id, cell.reason);
        if skipped {
            points::skipped(&cell.id, &cell.reason);
        }
    }
    results.cells.into_iter().filter(|cell| cell.verdict == Verdict::Pass).collect()
}

#[track_caller]
fn metric(cell: &CellResult, name: &str) -> f64 {
    cell.metrics.get(name).copied().flatten().unwrap_or_else(|| panic!("{} has no {name}", cell.id))
}

/// Every way to wait that can answer.
const ANSWERING: &[(&str, &str)] = &[
    ("block", "kind = \"block\""),
    ("poll", "kind = \"poll\""),
    ("select", "kind = \"select\""),
    ("epoll", "kind = \"epoll\""),
    ("drain", "kind = \"epoll\"\naccept = \"drain\""),
    ("exclusive", "kind = \"epoll\"\nexclusive = true\nneeds = \"epoll_exclusive\""),
    ("shared", "kind = \"epoll\"\ninstance = \"shared\"\nplacement = \"threads\""),
    ("own", "kind = \"epoll\"\nsharing = \"own\""),
    ("unix", "kind = \"epoll\"\nobject = \"unix\""),
    ("lock", "kind = \"accept-lock\""),
    ("descriptor passing", "kind = \"acceptor\""),
    ("queue", "kind = \"queue\"\nplacement = \"threads\""),
    ("fork", "kind = \"fork-per-client\"\nworkers = 1"),
    ("two that fork", "kind = \"fork-per-client\"\nworkers = 2"),
    ("thread", "kind = \"thread-per-client\"\nworkers = 1"),
    ("thread, unix", "kind = \"thread-per-client\"\nobject = \"unix\""),
    ("ring", "kind = \"uring\""),
    ("ring, all", "kind = \"uring-multishot\""),
];

#[test]
fn every_client_of_a_closed_loop_is_answered() {
    for cell in cells("closed", "workers = 4\nevents = 211\nclients = 7\nreply = true", ANSWERING) {
        assert_eq!((metric(&cell, "served"), metric(&cell, "claims")), (211.0, 211.0), "{}", cell.id);
        assert_eq!(cell.observation.unwrap().traffic.unwrap().reply.samples, 211, "{}", cell.id);
    }
}

#[test]
fn every_client_that_speaks_http_is_answered() {
    let rows = [
        ("block", "kind = \"block\"\nclients = 7"),
        ("drain", "kind = \"epoll\"\naccept = \"drain\"\nclients = 7"),
        ("exclusive", "kind = \"epoll\"\nexclusive = true\nclients = 7"),
        ("ring", "kind = \"uring\"\nclients = 7"),
        ("acceptor", "kind = \"acceptor\"\nclients = 7"),
        ("queue", "kind = \"queue\"\nplacement = \"threads\"\nclients = 7"),
        ("fork", "kind = \"fork-per-client\"\nclients = 7"),
        ("thread", "kind = \"thread-per-client\"\nclients = 7"),
        ("paced", "kind = \"epoll\"\nrate = 2000"),
        ("sequential", "kind = \"epoll\"\nexclusive = true"),
    ];
    let defaults = "workers = 4\nevents = 211\nreply = true\nprotocol = \"http\"\nlimit_ms = 20000";
    for cell in cells("http", defaults, &rows) {
        assert_eq!(metric(&cell, "claims"), 211.0, "{}", cell.id);
        match cell.row.as_str() {
            // The sleep for the request is the lab's own: one wakeup for one event.
            "sequential" => assert_eq!(metric(&cell, "wakeups_per_event"), 1.0, "{}", cell.id),
            _ => assert_eq!(metric(&cell, "served"), 211.0, "{}", cell.id),
        }
    }
}

#[test]
fn foreign_clients_are_answered_and_counted() {
    const COME: u64 = 50;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let path = file(
        "attached",
        &format!(
            "title = \"t\"\n[defaults]\nworkers = 3\nload = \"attached\"\nport = {port}\nduration_ms = 600000\n\
             kind = \"epoll\"\nexclusive = true\nreply = true\nprotocol = \"http\"\n[[wait]]\nname = \"w\"\n"
        ),
    );
    let mut herd = Command::new(env!("CARGO_BIN_EXE_herd"));
    herd.args(["run", &path, "--format", "json", "--quiet"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut herd = herd.spawn().unwrap();
    let mut said = BufReader::new(herd.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains(&format!("wait on port {port}")), "{line}");
    for _ in 0..COME {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client.write_all(b"GET /x HTTP/1.1\r\nHost: y\r\n").unwrap();
        client.write_all(b"\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    }
    // Ends a run that would last for ten minutes, and keeps what it has.
    kill(Pid::from_raw(herd.id() as i32), Signal::SIGINT).unwrap();
    let ended = herd.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let results = Results::parse("stdout", std::str::from_utf8(&ended.stdout).unwrap()).unwrap();
    let cell = &results.cells[0];
    assert_eq!((cell.verdict, cell.reason.as_str()), (Verdict::Invalid, "interrupted after 50 events"));
    assert_eq!(cell.workers.iter().map(|worker| worker.claims).sum::<u64>(), COME);
    // A client that is slow to ask is no wakeup. One that comes while the first worker
    // is on its way to its wait wakes the second as well.
    assert!((1.0..=2.0 * COME as f64).contains(&metric(cell, "wakeups")), "{}", metric(cell, "wakeups"));
}

/// Ends a cell that would go on for ten minutes; returns it with what it kept.
fn cut_short(name: &str, settings: &str) -> CellResult {
    let path = file(
        name,
        &format!("title = \"t\"\n[defaults]\nclients = 4\nreply = true\n{settings}\n[[wait]]\nname = \"w\"\n"),
    );
    let mark = lab::processes::Mark::new();
    let herd = lab::spawn(mark.on(&mut lab::herd(["run", &path, "--format", "json", "--quiet"])));
    served_some(herd.pid().as_raw() as u32);
    let tree = mark.tree();
    kill(herd.pid(), Signal::SIGINT).unwrap();
    let mut results = lab::results(&lab::finish(herd).exits(130).out);
    mark.ends_within(Duration::from_secs(20), &tree);
    let cell = results.cells.remove(0);
    assert!(cell.reason.starts_with("interrupted after "), "{}", cell.reason);
    let seen = cell.observation.as_ref().unwrap();
    let traffic = seen.traffic.as_ref().unwrap();
    assert!(seen.fired > 0 && traffic.clients.served + traffic.clients.lost() == seen.fired, "{seen:?}");
    cell
}

fn all_claims(cell: &CellResult) -> u64 {
    cell.workers.iter().map(|worker| worker.claims).sum()
}

#[test]
fn a_timed_load_that_is_cut_short_keeps_what_it_has() {
    let cell = cut_short("cut", "workers = 3\nkind = \"epoll\"\nduration_ms = 600000");
    let seen = cell.observation.as_ref().unwrap();
    assert_eq!(all_claims(&cell), seen.fired - seen.traffic.as_ref().unwrap().clients.lost());
}

/// Clients that would ask a million times more, each with as much patience as the first.
#[test]
fn clients_that_stay_ask_once_more_when_they_are_cut_short() {
    const ASKS: u64 = 1_000_000;
    for (name, kind) in [("cut-loop", "kind = \"epoll\"\nworkers = 3"), ("cut-pool", "kind = \"block\"\nworkers = 4")] {
        let cell =
            cut_short(name, &format!("{kind}\nevents = 8\nprotocol = \"http\"\nkeep_alive = {ASKS}\nlimit_ms = 60000"));
        let seen = cell.observation.as_ref().unwrap();
        let traffic = seen.traffic.as_ref().unwrap();
        assert!((1..=4).contains(&seen.fired), "no client came after it: {seen:?}");
        assert!(traffic.answers > 0 && traffic.answers < ASKS, "{} answers", traffic.answers);
        assert!(all_claims(&cell) >= traffic.clients.served, "{seen:?}");
    }
}

/// Returns when some worker below `herd` has used CPU time for its clients.
fn served_some(herd: u32) {
    let children = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while std::time::Instant::now() < deadline {
        for cell in children(&herd.to_string()).split_whitespace() {
            for worker in children(cell).split_whitespace() {
                let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap_or_default();
                let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
                if line.and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 100) {
                    return;
                }
            }
        }
        std::thread::yield_now();
    }
    panic!("no worker served anybody");
}

#[test]
fn server_models_wake_as_they_are_drawn() {
    let rows = [
        ("fork", "kind = \"fork-per-client\"\nworkers = 1"),
        ("thread", "kind = \"thread-per-client\"\nworkers = 1"),
        ("queue", "kind = \"queue\"\nplacement = \"threads\""),
        ("acceptor", "kind = \"acceptor\""),
    ];
    for cell in cells("models", "workers = 5\nevents = 101\nreply = true\nlimit_ms = 20000", &rows) {
        assert_eq!(metric(&cell, "claims"), 101.0, "{}", cell.id);
        // Helpers are no workers: theirs are not counted. Whoever makes threads may have
        // to wait for the lock of the address space, as an upper bound shows.
        let wakeups = metric(&cell, "wakeups_per_event");
        let want = if cell.row == "queue" || cell.row == "acceptor" { 2.0..2.2 } else { 1.0..1.5 };
        assert!(want.contains(&wakeups), "{}: {wakeups}", cell.id);
    }
}

#[test]
fn helpers_are_counted_and_paid_for() {
    let rows = [("fork", "kind = \"fork-per-client\""), ("thread", "kind = \"thread-per-client\"")];
    for cell in cells("helpers", "workers = 1\nevents = 101\nwarmup = 10\nclients = 4\nreply = true", &rows) {
        let own: u64 = cell.workers.iter().map(|worker| worker.cpu_ns).sum();
        assert_eq!((metric(&cell, "helpers"), metric(&cell, "tasks")), (101.0, 1.0), "{}", cell.id);
        assert!(metric(&cell, "cpu_us_per_event") * 101.0 > own as f64 / 1000.0, "{}", cell.id);
        if cell.row == "fork" {
            // At least its stack and its thread's own data are copied for each child.
            assert!(metric(&cell, "page_faults_per_event") >= 2.0, "{}", cell.id);
        }
    }
}

#[test]
fn idle_connections_stay_beside_the_load() {
    let rows = [
        ("epoll", "kind = \"epoll\"", 1.0),
        ("poll", "kind = \"poll\"", 1.0),
        ("two", "kind = \"epoll\"\nexclusive = true\nworkers = 2\nneeds = \"epoll_exclusive\"", 2.0),
        ("fork", "kind = \"fork-per-client\"", 31.0),
        ("thread", "kind = \"thread-per-client\"", 31.0),
    ];
    let defaults = "workers = 1\nidle_connections = 30\nevents = 101\nclients = 4\nreply = true\nlimit_ms = 20000";
    let plain = rows.map(|(row, text, _)| (row, text));
    for cell in cells("idle", defaults, &plain) {
        let tasks = rows.iter().find(|(row, ..)| *row == cell.row).unwrap().2;
        let counts = ["served", "claims", "tasks"].map(|name| metric(&cell, name));
        assert_eq!(counts, [101.0, 101.0, tasks], "{}", cell.id);
        assert_eq!(cell.workers.iter().map(|worker| worker.held).sum::<u64>(), 30, "{}", cell.id);
    }
}

#[test]
fn experiments_take_another_number_of_events() {
    let few = ["--set", "events=61", "--set", "clients=4", "--format", "json", "--quiet"];
    for (name, more) in [("server-models", "warmup=3"), ("c10k", "idle_connections=0,20"), ("keep-alive", "warmup=3")] {
        let said = herd(&[&["run", name, "--set", more], &few[..]].concat());
        let results = Results::parse("stdout", &said.out).unwrap_or_else(|e| panic!("{e}\n{said:#?}"));
        let judged = results.cells.iter().flat_map(|cell| &cell.expectations);
        // One by one: what CPU time relates to needs more events than these.
        let counts: Vec<_> = judged.filter(|e| ["served", "helpers", "answers"].contains(&&*e.metric)).collect();
        assert!(counts.len() >= results.cells.len(), "{name}");
        for count in counts.into_iter().filter(|count| count.verdict != Verdict::Skip) {
            let want = if count.metric == "answers" { "610" } else { "61" };
            let said = (count.expected.as_str(), count.measured.as_str(), count.verdict);
            assert_eq!(said, (want, want, Verdict::Pass), "{name}: {}", count.metric);
        }
    }
}

#[test]
fn no_experiment_fixes_what_follows_its_events() {
    for (path, text) in embedded::FILES {
        for cell in Experiment::parse(path, text).unwrap().cells(&[]).unwrap() {
            let follows = |metric: &str| ["served", "helpers", "answers", "claims", "events"].contains(&metric);
            let fixed = cell.expectations.iter().find(|e| {
                follows(&e.metric)
                    && cell.settings.has_events()
                    && matches!(e.rule, Rule::Exact(number) if number > 0.0)
            });
            assert!(fixed.is_none(), "{}: write {{ per_event = .. }} for {fixed:?}", cell.id);
        }
    }
}

#[test]
fn every_client_of_a_rate_is_answered() {
    let defaults = "workers = 4\nevents = 211\nrate = 2000\narrivals = \"poisson\"\nreply = true\nlimit_ms = 20000";
    for cell in cells("paced", defaults, ANSWERING) {
        assert_eq!((metric(&cell, "served"), metric(&cell, "claims")), (211.0, 211.0), "{}", cell.id);
    }
}

#[test]
fn where_nobody_answers_the_claim_is_the_end() {
    let rows = [
        ("tcp", ""),
        ("unix", "object = \"unix\""),
        ("pipe", "object = \"pipe\""),
        ("eventfd", "object = \"eventfd\"\nmode = \"semaphore\""),
        ("udp", "object = \"udp\""),
    ];
    let defaults = "workers = 3\nevents = 101\nrate = 2000\nkind = \"epoll\"\nlimit_ms = 20000";
    for cell in cells("unanswered", defaults, &rows) {
        assert_eq!(metric(&cell, "claims"), 101.0, "{}", cell.id);
        let clients = cell.settings.object == "tcp" || cell.settings.object == "unix";
        assert_eq!(metric(&cell, "served"), if clients { 101.0 } else { 0.0 }, "{}", cell.id);
    }
}

#[test]
fn messages_wake_the_owner_of_their_connection_only() {
    let rows = [
        ("sequential", ""),
        ("burst", "burst = 7"),
        ("poll", "kind = \"poll\""),
        ("edge", "trigger = \"edge\""),
        ("own", "sharing = \"own\""),
        ("closed", "clients = 5\nreply = true"),
        ("paced", "rate = 2000\nreply = true\nlimit_ms = 20000"),
    ];
    for cell in cells("stay", "workers = 4\nkind = \"epoll\"\nconnections = 23\nevents = 203", &rows) {
        assert_eq!(metric(&cell, "claims"), 203.0, "{}", cell.id);
        assert_eq!(cell.workers.iter().map(|worker| worker.held).sum::<u64>(), 23, "{}", cell.id);
        let busy = cell.workers.iter().filter(|worker| worker.held == 0).map(|worker| worker.wakeups).sum::<u64>();
        assert_eq!(busy, 0, "{}: workers without a connection woke", cell.id);
        if ["sequential", "poll", "edge", "own"].contains(&cell.row.as_str()) {
            assert_eq!(metric(&cell, "wakeups_per_event"), 1.0, "{}", cell.id);
        }
    }
}

#[test]
fn a_warm_up_is_not_counted() {
    let rows =
        [("sequential", "warmup = 40"), ("burst", "burst = 4\nwarmup = 40"), ("closed", "clients = 3\nwarmup = 40")];
    let defaults = "workers = 3\nevents = 60\nkind = \"epoll\"\nexclusive = true\nreply = true";
    for cell in cells("warmup", defaults, &rows) {
        assert_eq!((metric(&cell, "events"), metric(&cell, "claims")), (60.0, 60.0), "{}", cell.id);
        if cell.row == "sequential" {
            assert_eq!(metric(&cell, "wakeups"), 60.0);
            assert_eq!(metric(&cell, "returns_per_event"), 1.0);
        }
    }
}

#[test]
fn a_load_can_end_by_time() {
    let found = cells("by-time", "workers = 2\nduration_ms = 50\nclients = 2\nreply = true", &[("accept", "")]);
    let fired = metric(&found[0], "events");
    assert!(fired > 0.0 && fired == metric(&found[0], "claims"));
}

#[test]
fn clients_that_are_not_served_in_time_are_counted_and_not_lost() {
    // One worker, stuck for longer than anybody waits; the others come to a full queue.
    let stuck = "workers = 1\nevents = 12\nrate = 1000\nreply = true\nbacklog = 2\npatience_ms = 50\nlimit_ms = 20000\n\
                 stall_us = 400000\nbusy = \"sleep\"";
    for (object, outcome) in [("tcp", "timed_out"), ("unix", "refused")] {
        let row = format!("object = {object:?}");
        let found = cells(&format!("stuck-{object}"), stuck, &[("accept", &row)]);
        let ends = ["served", "refused", "reset", "timed_out", "failed"];
        let all: f64 = ends.iter().map(|end| metric(&found[0], end)).sum();
        assert_eq!(all, 12.0, "{object}: each client has one end");
        assert!(metric(&found[0], outcome) >= 1.0, "{object}: {outcome}");
    }
}

#[test]
fn a_network_of_its_own_has_its_own_settings_and_counters() {
    // A queue for somaxconn + 1 connections; everybody else's SYN is dropped, and only theirs.
    let stuck = "workers = 1\nevents = 12\nrate = 1000\nreply = true\npatience_ms = 50\nlimit_ms = 20000\n\
                 stall_us = 400000\nbusy = \"sleep\"\nsysctls = [\"net.core.somaxconn=2\"]";
    for cell in cells("own-network", stuck, &[("accept", "")]) {
        // One is with the worker and three wait; the client of the first may be gone by then.
        assert_eq!(metric(&cell, "listen_overflows"), 8.0, "{}", cell.id);
    }
    let refuse =
        file("bad-sysctl", "title = \"t\"\n[defaults]\nsysctls = [\"kernel.pid_max=5\"]\n[[wait]]\nname = \"x\"\n");
    let said = herd(&["run", &refuse]);
    assert!(said.code == Some(2) && said.err.contains("is no setting of a network"), "{said:#?}");
}

/// A timed round reads the claims many times; each reading is part of its round.
#[test]
fn a_traced_timed_round_has_all_its_claims() {
    let text = "title = \"t\"\n[defaults]\nevents = 300\nclients = 4\nworkers = 2\nreply = true\nafter_claim_us = 100\n\
                busy = \"sleep\"\n[[wait]]\nname = \"accept\"\n";
    let said = herd(&["run", &file("traced", text), "--trace", "--format", "json", "--quiet"]);
    let results = Results::parse("stdout", &said.out).unwrap_or_else(|e| panic!("{e}\n{said:#?}"));
    let seen = results.cells[0].observation.as_ref().unwrap_or_else(|| panic!("{said:#?}"));
    assert_eq!(seen.rounds.iter().map(|round| round.claims).collect::<Vec<_>>(), [300], "{:?}", seen.rounds);
}

#[test]
fn one_flow_is_one_worker() {
    let defaults = "workers = 4\nsharing = \"own\"\nkind = \"epoll\"\nevents = 40\nflows = 1";
    for cell in cells("flows", defaults, &[("tcp", ""), ("udp", "object = \"udp\"")]) {
        assert_eq!(metric(&cell, "idle_workers"), 3.0, "{}", cell.id);
    }
}

#[test]
fn every_model_answers_all_requests_of_a_connection() {
    let rows = [
        ("block", "workers = 3"),
        ("fork", "kind = \"fork-per-client\"\nworkers = 1"),
        ("thread", "kind = \"thread-per-client\"\nworkers = 1"),
        ("mutex", "kind = \"accept-lock\""),
        ("poll", "kind = \"poll\""),
        ("acceptor", "kind = \"acceptor\""),
        ("queue", "kind = \"queue\"\nplacement = \"threads\""),
        ("loop", "kind = \"epoll\"\nworkers = 1"),
        ("edge", "kind = \"epoll\"\ntrigger = \"edge\"\naccept = \"drain\"\nworkers = 2"),
        ("threads", "kind = \"epoll\"\nplacement = \"threads\""),
    ];
    let defaults = "workers = 4\nevents = 101\nwarmup = 11\nclients = 7\nreply = true\nprotocol = \"http\"\nkeep_alive = \
                    5\nlimit_ms = 20000";
    for cell in cells("keep", defaults, &rows) {
        let of = |name: &str| metric(&cell, name);
        assert_eq!((of("served"), of("answers"), of("claims")), (101.0, 505.0, 101.0), "{}", cell.id);
        let reply = cell.observation.as_ref().unwrap().traffic.as_ref().unwrap().reply;
        assert_eq!(reply.samples, 505, "{}", cell.id);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_way_out() {
    let refuse = |text: &str, parts: &[&str]| {
        let path = file("refused-load", &format!("title = \"t\"\n[defaults]\n{text}\n[[wait]]\nname = \"x\"\n"));
        let said = herd(&["run", &path]);
        assert_eq!(said.code, Some(2), "{text}: {said:#?}");
        for part in parts.iter().chain(&["refused-load.toml"]) {
            assert!(said.err.contains(part), "{text}: no {part:?} in {said:#?}");
        }
    };
    refuse("load = \"paced\"", &["needs a rate", "rate = 1000"]);
    refuse("load = \"closed\"\nreply = true", &["needs clients"]);
    refuse("clients = 4", &["add reply = true"]);
    refuse("rate = 5\nload = \"sequential\"", &["rate is a setting of paced loads"]);
    refuse("rate = -1", &["rate must be a number from 0.001"]);
    refuse("late_us = 5", &["late_us is a setting of paced loads"]);
    refuse("protocol = \"http\"", &["add reply = true"]);
    refuse("protocol = \"http\"\nreply = true\nobject = \"unix\"", &["tcp and tcp6"]);
    refuse("load = \"attached\"\nduration_ms = 5", &["add port = 8080"]);
    refuse("load = \"attached\"\nport = 8080", &["add duration_ms = 10000"]);
    refuse("load = \"attached\"\nport = 8080\nduration_ms = 5\nobject = \"unix\"", &["TCP port"]);
    refuse("load = \"attached\"\nport = 8080\nduration_ms = 5\nwarmup = 5", &["clients of our own"]);
    refuse("object = \"pipe\"\nreply = true", &["leave out reply"]);
    refuse("kind = \"queue\"\nreply = true", &["one process", "placement = \"threads\""]);
    refuse("kind = \"fork-per-client\"\nplacement = \"threads\"", &["copies one thread", "processes"]);
    refuse("kind = \"block\"\nidle_connections = 4", &["beside the listener", "thread-per-client"]);
    refuse("kind = \"epoll\"\nconnections = 4\nidle_connections = 4", &["hot_share"]);
    refuse("kind = \"block\"\nconnections = 4", &["beside the listener", "poll"]);
    refuse("kind = \"epoll\"\nobject = \"unix\"\nconnections = 4", &["tcp and tcp6"]);
    refuse("kind = \"epoll\"\nconnections = 4\nhot = 5\nhot_share = 0.5", &["hot = 5 of 4"]);
    refuse("object = \"eventfd\"\nrate = 100", &["mode = \"semaphore\""]);
    refuse("object = \"futex\"\nrate = 100", &["futex keeps none"]);
    refuse("object = \"pipe\"\nflows = 3", &["flows are for udp"]);
    refuse("burst = 4\nevents = 8\nwarmup = 6", &["warmup = 6", "burst = 4"]);
    refuse("clients = 4\nreply = true\nkeep_alive = 5", &["protocol = \"http\""]);
    let asking = |text: &str| format!("clients = 4\nreply = true\nkeep_alive = 5\nprotocol = \"http\"\n{text}");
    refuse(&asking("kind = \"uring\""), &["keep_alive with uring", "one client at a time"]);
    refuse(&asking("kind = \"select\""), &["keep_alive with select", "kind = \"poll\""]);
    refuse(&asking("kind = \"epoll\"\ninstance = \"shared\""), &["keep_alive with epoll", "private"]);
    refuse(&asking("after_claim_us = 5"), &["leave out after_claim_us"]);
    refuse("kind = \"epoll\"\nconnections = 100000\nworkers = 2", &["RLIMIT_NOFILE"]);
}

#[test]
fn advice_rests_on_cells_that_ran() {
    let said =
        herd(&["advise", "-q", "-w", "2", "--clients", "2", "--events", "40", "--repeat", "2", "--format", "json"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let results: Results = serde_json::from_value(document["results"].clone()).unwrap();
    let lines = document["advice"]["lines"].as_array().unwrap();
    assert!(lines.len() >= 5, "{lines:#?}");
    let statements = document["advice"]["statements"].as_array().unwrap();
    assert_eq!(statements.len(), 7, "{statements:#?}");
    for statement in statements {
        let id = statement["cell"].as_str().unwrap();
        assert!(results.cells.iter().any(|cell| cell.id == id && cell.verdict == Verdict::Pass), "{id}");
    }
    // The one thing that no noise can change: a group loses what a shared queue keeps.
    let lost = |name: &str| {
        let line = lines.iter().find(|line| line["strategy"] == name).unwrap();
        line["figures"][6]["max"].as_f64().unwrap()
    };
    assert_eq!(lost("accept"), 0.0);
    assert!(lost("SO_REUSEPORT") >= 1.0);
    for bad in [["--rate", "0"], ["--service-time", "5"], ["--workers", "0"], ["--placement", "fibres"]] {
        let said = herd(&["advise", bad[0], bad[1]]);
        assert!(said.code == Some(2) && said.err.contains(bad[0]), "{said:#?}");
    }
}

/// The same with few descriptors, hard limit and all.
fn with_descriptors(count: u32, args: &[&str]) -> lab::Said {
    let limited = format!("ulimit -n {count} && exec \"$0\" \"$@\"");
    lab::said(&mut lab::wrapped(&["sh", "-c", &limited], args))
}

#[test]
fn a_rate_that_runs_out_of_descriptors_waits_for_clients_and_says_so() {
    // 400 clients in 200 ms to a worker that is stuck for 400 ms: they cannot all be open.
    let text = "title = \"t\"\n[defaults]\nworkers = 1\nevents = 400\nrate = 2000\nreply = true\nbacklog = 4096\n\
                limit_ms = 60000\nstall_us = 400000\nbusy = \"sleep\"\n[[wait]]\nname = \"accept\"\n";
    let path = file("starved", text);
    let said = with_descriptors(200, &["run", &path, "--format", "json", "--quiet"]).exits(0);
    let results = Results::parse("stdout", &said.out).unwrap_or_else(|e| panic!("{e}\n{said:#?}"));
    let cell = &results.cells[0];
    assert_eq!((cell.verdict, metric(cell, "served")), (Verdict::Pass, 400.0), "{}", cell.reason);
    let warnings = &cell.observation.as_ref().unwrap().warnings;
    assert!(
        warnings.iter().any(|w| w.starts_with("no descriptor was left") && w.contains("ulimit -Hn")),
        "{warnings:?}"
    );
    // The last half was to start by 200 ms at the latest, and could not before the worker
    // was free, at 400: a floor, and no matter of speed.
    assert!(metric(cell, "lag_us_p99") >= 190_000.0, "{}", metric(cell, "lag_us_p99"));
    let table = with_descriptors(200, &["run", &path]).exits(0);
    assert!(table.out.contains("no descriptor was left"), "{table:?}");
    // With enough of them nothing is said.
    let said = lab::run(["run", &path]).exits(0);
    assert!(!said.out.contains("no descriptor"), "{said:?}");
}

#[test]
fn a_rate_that_is_too_high_is_said_with_whose_fault_it_is() {
    let run = |name: &str, settings: &str| {
        let text = format!(
            "title = \"t\"\n[defaults]\nworkers = 1\nreply = true\nbacklog = 4096\nlimit_ms = 60000\n{settings}\n\
             [[wait]]\nname = \"accept\"\n"
        );
        let out = lab::run(["run", &file(name, &text)]).exits(0).out;
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    // A worker that needs 2 ms for each serves 500 a second at most.
    let slow = run("slow-workers", "events = 300\nrate = 1000\nafter_claim_us = 2000\nbusy = \"sleep\"");
    // A machine that is starved may not even make a thousand, and says that instead.
    let starved = slow.contains("1000 events a second were asked for and") && slow.contains("a generator that");
    let workers = slow.contains("of 300 events were still open when the last one was made")
        && slow.contains("at 1000 a second the workers could not keep up");
    assert!(workers || starved, "{slow}");
    // Nobody connects within a microsecond.
    let fast = run("slow-generator", "events = 1000\nrate = 1000000");
    assert!(fast.contains("1000000 events a second were asked for and"), "{fast}");
    assert!(fast.contains("choose a lower rate"), "{fast}");
}

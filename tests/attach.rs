//! `herd attach` from outside: on our own workers, where the cell itself knows the
//! answer; on nginx and gunicorn in each of their configurations, where these are
//! installed; and on what is no server.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use lab::processes::{Mark, Process};
use lab::{Folder, Running, Said, finish, herd, run, skipped, spawn, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

mod lab;

/// How long a server may take to start, on a starved machine.
const START: Duration = Duration::from_secs(60);
/// A prime number, so that one lost or counted twice cannot hide.
const CONNECTIONS: u64 = 53;

/// A port that nobody has, and no client gets: below those that the kernel hands out
/// (net.ipv4.ip_local_port_range), since tests beside this one connect all the time.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() * 97 % 10_000) as u16;
    let numbers = (0..10_000).map(|_| 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    numbers.into_iter().find(free).expect("10,000 ports are taken")
}

/// What `herd attach` says as JSON.
#[track_caller]
fn attached(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:#?}"))
}

#[track_caller]
fn connect(pid: i32, port: u16, more: &[&str]) -> Value {
    let (pid, port, count) = (pid.to_string(), port.to_string(), CONNECTIONS.to_string());
    let mut args = vec!["attach", "--pid", &pid, "--port", &port, "--connect", &count, "--format", "json"];
    args.extend(more);
    attached(&run(args).exits(0))
}

/// The pattern, and which connections cost how many wakeups.
#[track_caller]
fn check(seen: &Value, pattern: &str, why: &str) {
    assert_eq!(seen["pattern"], pattern, "{seen:#}");
    assert!(seen["why"].as_str().unwrap().contains(why), "no {why:?} in {}", seen["why"]);
    assert_eq!(seen["connections"], CONNECTIONS, "{seen:#}");
}

/// Every connection cost exactly so many wakeups.
#[track_caller]
fn check_each(seen: &Value, wakeups: u64) {
    let costs = &seen["wakeups_of_connections"];
    assert_eq!(costs, &serde_json::json!({ wakeups.to_string(): CONNECTIONS }), "{seen:#}");
}

fn wakeups(seen: &Value) -> Vec<u64> {
    let mut found: Vec<u64> =
        seen["workers"].as_array().unwrap().iter().map(|worker| worker["wakeups"].as_u64().unwrap()).collect();
    found.sort_unstable();
    found
}

/// A cell of ours whose workers wait for whoever comes.
struct Cell {
    herd: Running,
    port: u16,
    coordinator: i32,
    mark: Mark,
    _folder: Folder,
}

impl Cell {
    fn start(settings: &str, processes: usize) -> Cell {
        let (port, folder, mark) = (free_port(), Folder::new(), Mark::new());
        let workers = if settings.contains("workers = ") { "" } else { "workers = 8\n" };
        let text = format!(
            "title = \"t\"\n[defaults]\n{workers}load = \"attached\"\nport = {port}\nduration_ms = 600000\n\
             {settings}\n[[wait]]\nname = \"w\"\n"
        );
        let file = folder.file("cell.toml", text);
        let mut herd = spawn(mark.on(&mut herd(["run", &file, "--format", "json", "--quiet"])));
        let mut line = String::new();
        // Said once all workers sleep in their waits.
        BufReader::new(herd.0.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        if !line.contains(&format!("wait on port {port}")) {
            panic!("{line:?}: {:#?}", finish(herd));
        }
        let coordinator = mark.with_workers(processes).coordinator.unwrap().pid;
        Cell { herd, port, coordinator, mark, _folder: folder }
    }

    /// Ends it: what it counted itself, with sleeps on locks of the kernel or without.
    fn counted(self, locks: bool) -> Vec<u64> {
        kill(self.herd.pid(), Signal::SIGINT).unwrap();
        let results = lab::results(&finish(self.herd).exits(130).out);
        let workers = &results.cells[0].workers;
        assert_eq!(workers.iter().map(|worker| worker.claims).sum::<u64>(), CONNECTIONS);
        let more = |dsleeps: Option<u64>| if locks { dsleeps.unwrap_or(0) } else { 0 };
        let mut found: Vec<u64> = workers.iter().map(|worker| worker.wakeups + more(worker.dsleeps)).collect();
        found.sort_unstable();
        found
    }
}

/// What stands between a source of counts and this machine.
fn refused(source: &str, pid: i32, port: u16) -> Option<String> {
    let (pid, port) = (pid.to_string(), port.to_string());
    let args = ["attach", "--pid", &pid, "--port", &port, "--for", "1ms", "--count-with", source];
    let said = run(args);
    said.err.lines().find(|line| line.contains("cannot count with")).map(str::to_owned)
}

/// Our own workers: the same counts as the cell's, worker by worker.
#[track_caller]
fn agrees(settings: &str, pattern: &str, each: u64, why: &str) {
    let processes = if settings.contains("threads") { 1 } else { 8 };
    for source in ["bpf", "perf", "proc"] {
        let cell = Cell::start(settings, processes);
        if let Some(why) = refused(source, cell.coordinator, cell.port) {
            skipped(source, &why);
            continue;
        }
        let seen = connect(cell.coordinator, cell.port, &["--count-with", source]);
        check(&seen, pattern, why);
        // Two workers in accept at once may wait for the socket's lock, which /proc counts.
        let locks = source == "proc";
        if !locks {
            check_each(&seen, each);
        }
        assert_eq!(seen["workers"].as_array().unwrap().len(), 8);
        assert_eq!(seen["wakeups_between"], 0, "nobody watches a connection here");
        assert_eq!(wakeups(&seen), cell.counted(locks), "{source}: {settings}");
    }
}

#[test]
fn its_counts_are_those_of_the_cell_in_a_herd() {
    agrees("kind = \"poll\"", "herd", 8, "all of them");
}

#[test]
fn its_counts_are_those_of_the_cell_without_a_herd() {
    agrees("kind = \"block\"", "exclusive", 1, "take turns");
}

/// Why what these settings need cannot be had.
fn no_ring(probe: &str) -> Option<String> {
    herd::probe::find(probe).expect("there is such a probe").run().err()
}

/// Servers that accept by io_uring, each in a shape of the experiments `io-uring` and
/// `io-uring-shared`. A kernel with multishot accept (5.19) has exclusive ones (5.18).
#[test]
fn its_counts_are_those_of_the_cell_with_rings() {
    for (settings, probe, pattern, each, why) in [
        ("kind = \"uring\"", "io_uring_multishot_accept", "exclusive", 1, "they take turns"),
        ("kind = \"uring\"\nplacement = \"threads\"", "io_uring_multishot_accept", "exclusive", 1, "io_uring accept"),
        (
            "kind = \"uring\"\nring_setup = \"defer-taskrun\"\nplacement = \"threads\"",
            "io_uring_defer_taskrun",
            "exclusive",
            1,
            "they take turns",
        ),
        (
            "kind = \"uring-multishot\"\nplacement = \"threads\"",
            "io_uring_multishot_accept",
            "exclusive",
            1,
            "got 100 %",
        ),
        (
            "kind = \"uring-multishot\"\nring_setup = \"defer-taskrun\"",
            "io_uring_defer_taskrun",
            "exclusive",
            1,
            "the same one is first",
        ),
        ("kind = \"uring-poll\"\nplacement = \"threads\"", "io_uring", "herd", 8, "io_uring poll"),
        (
            "kind = \"uring-multishot\"\nring = \"shared\"\nplacement = \"threads\"",
            "io_uring_multishot_accept",
            "herd",
            8,
            "all of them",
        ),
        ("kind = \"uring\"\nsharing = \"own\"", "io_uring_accept", "reuseport", 1, "a listener of its own"),
    ] {
        match no_ring(probe) {
            Some(why) => skipped(settings, &why),
            None => agrees(settings, pattern, each, why),
        }
    }
}

#[test]
fn each_arrangement_of_our_own_is_found() {
    for (settings, processes, pattern, each, why) in [
        ("kind = \"epoll\"", 8, "herd", Some(8), "own epoll"),
        ("kind = \"epoll\"\nexclusive = true", 8, "exclusive", Some(1), "the same one is first"),
        ("kind = \"epoll\"\nsharing = \"own\"", 8, "reuseport", Some(1), "a listener of its own"),
        (
            "kind = \"epoll\"\ninstance = \"shared\"\ntrigger = \"edge\"",
            8,
            "shared-epoll",
            Some(1),
            "one epoll instance",
        ),
        ("kind = \"epoll\"\ninstance = \"shared\"", 8, "shared-epoll", None, "one epoll instance"),
        ("kind = \"select\"\nplacement = \"threads\"", 1, "herd", Some(8), "select"),
        ("kind = \"block\"\nplacement = \"threads\"", 1, "exclusive", Some(1), "take turns"),
        ("kind = \"accept-lock\"\nlock = \"flock\"", 8, "accept-mutex", None, "wait for a lock"),
        ("kind = \"accept-lock\"\nlock = \"futex\"", 8, "accept-mutex", None, "wait for a lock"),
        ("kind = \"block\"\nworkers = 1", 1, "single-worker", Some(1), "one thread alone"),
    ] {
        let cell = Cell::start(settings, processes);
        let seen = connect(cell.coordinator, cell.port, &[]);
        check(&seen, pattern, why);
        if let (Some(each), "bpf") = (each, seen["source"].as_str().unwrap()) {
            check_each(&seen, each);
        }
        let got: u64 = seen["workers"].as_array().unwrap().iter().filter_map(|w| w["connections"].as_u64()).sum();
        assert!(got == CONNECTIONS || seen["source"] == "proc", "{settings}: {got} connections");
    }
}

/// A server of somebody else's, ended in order so that it ends its workers.
struct Server {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Server {
    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn children(&self) -> Vec<Process> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| Process::read(pid.parse().ok()?)).collect()
    }

    /// Once it has that many workers, and all sleep in one of these calls.
    #[track_caller]
    fn with(self, workers: usize, calls: &[i64]) -> Server {
        self.rests(workers, calls);
        self
    }

    #[track_caller]
    fn rests(&self, workers: usize, calls: &[i64]) {
        until(START, || {
            let children = self.children();
            let asleep = |process: &&Process| {
                let text = std::fs::read_to_string(format!("/proc/{}/syscall", process.pid)).unwrap_or_default();
                text.split(' ').next().and_then(|call| call.parse().ok()).is_some_and(|call| calls.contains(&call))
            };
            match children.iter().filter(asleep).count() == workers {
                true => Ok(()),
                false => Err(format!("{children:?} (without /proc/PID/task/TID/children this cannot be seen)")),
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM: killed, it would leave its workers behind.
        let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        for _ in 0..30_000 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Why a program cannot be run here.
fn missing(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(e) => Some(format!("{program}: {e}")),
    }
}

/// Four workers, in the foreground, with everything it writes in a folder of its own.
fn nginx(events: &str, listen: &str) -> Server {
    let (folder, port) = (Folder::new(), free_port());
    let at = folder.path().display().to_string();
    let text = format!(
        "daemon off;\nworker_processes 4;\npid {at}/pid;\nerror_log {at}/error.log;\n\
         events {{ worker_connections 64; {events} }}\n\
         http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
         fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
         server {{ listen 127.0.0.1:{port} {listen}; return 204; }} }}\n"
    );
    let file = folder.file("nginx.conf", text);
    let log = format!("{at}/error.log");
    let mut command = Command::new("nginx");
    let command = command.args(["-p", &at, "-e", &log, "-c", &file]).stdin(Stdio::null());
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    Server { child, port, _folder: folder }.with(4, &[libc::SYS_epoll_wait, libc::SYS_epoll_pwait])
}

#[test]
fn nginx_in_each_configuration() {
    if let Some(why) = missing("nginx", &["-v"]) {
        return skipped("nginx", &why);
    }
    let server = nginx("accept_mutex off;", "");
    let seen = connect(server.pid(), server.port, &[]);
    check(&seen, "exclusive", "EPOLLEXCLUSIVE");
    check_each(&seen, 1);
    assert_eq!(seen["workers"].as_array().unwrap().len(), 4, "the master is none: {seen:#}");

    let server = nginx("accept_mutex on;", "");
    let seen = connect(server.pid(), server.port, &[]);
    check(&seen, "accept-mutex", "an epoll instance without it");
    assert_eq!(seen["workers"].as_array().unwrap().len(), 4);

    let server = nginx("accept_mutex off;", "reuseport");
    let seen = connect(server.pid(), server.port, &[]);
    check(&seen, "reuseport", "each of 4 workers");
    check_each(&seen, 1);
    assert_eq!(seen["listeners"].as_array().unwrap().len(), 4);
}

#[test]
fn a_connection_that_nobody_takes_ends_it() {
    // It holds a listener and never accepts.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut sleeper = Command::new("sleep");
    sleeper.arg("600").stdin(Stdio::from(std::os::fd::OwnedFd::from(listener))).stdout(Stdio::null());
    let sleeper = Running(sleeper.spawn().unwrap());
    let said = run(["attach", "--pid", &sleeper.pid().to_string(), "--connect", "3"]).exits(3);
    let said = said.complains(&["herd: connection 1: nobody accepted it within 2 s", "TCP_DEFER_ACCEPT"]);
    said.shows(&["0 workers", "0 connections", "Pattern: unclear - no thread waited"]);
}

/// The calls of accept(3).
const ACCEPT: &[i64] = &[
    libc::SYS_accept4,
    #[cfg(not(target_arch = "s390x"))]
    libc::SYS_accept,
];

/// A program of three workers in Python, each at one listener in blocking accept.
#[track_caller]
fn python(program: &str) -> Server {
    let (folder, port) = (Folder::new(), free_port());
    let text = format!(
        "import os, signal, socket\n\
         listener = socket.create_server(('127.0.0.1', {port}), backlog=128)\n\
         children = []\n\
         def end(*_):\n    for child in children: os.kill(child, signal.SIGKILL)\n    os._exit(0)\n\
         signal.signal(signal.SIGTERM, end)\n\
         def work():\n{program}\n\
         for _ in range(3):\n\
         \x20   child = os.fork()\n\
         \x20   if child == 0:\n        signal.signal(signal.SIGTERM, signal.SIG_DFL)\n        work()\n\
         \x20   children.append(child)\n\
         while True: signal.pause()\n"
    );
    let file = folder.file("server.py", text);
    let mut command = Command::new("python3");
    let child = command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    Server { child, port, _folder: folder }.with(3, ACCEPT)
}

#[test]
fn a_server_that_closes_at_once_is_counted() {
    if let Some(why) = missing("python3", &["--version"]) {
        return skipped("python3", &why);
    }
    let server = python("    while True: listener.accept()[0].close()");
    for source in ["bpf", "perf", "proc"] {
        if let Some(why) = refused(source, server.pid(), server.port) {
            skipped(source, &why);
            continue;
        }
        let seen = connect(server.pid(), server.port, &["--count-with", source]);
        check(&seen, "exclusive", "accept");
        assert_eq!(seen["workers"].as_array().unwrap().len(), 3);
        if source != "proc" {
            check_each(&seen, 1);
            assert_eq!(seen["wakeups_between"], 0, "{seen:#}");
        }
    }
}

/// Who sends a long answer sleeps in the middle of the call, which is no herd.
#[test]
fn a_long_answer_is_no_herd() {
    if let Some(why) = missing("python3", &["--version"]) {
        return skipped("python3", &why);
    }
    let server = python("    while True:\n        with listener.accept()[0] as client: client.sendall(bytes(8 << 20))");
    if let Some(why) = refused("bpf", server.pid(), server.port) {
        return skipped("bpf", &why);
    }
    let pid = server.pid().to_string();
    let args = ["attach", "--pid", &pid, "--events", "7", "--for", "60s", "--count-with", "bpf", "--format", "json"];
    let mut attach = spawn(&mut herd(args));
    let mut line = String::new();
    BufReader::new(attach.0.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("counting with"), "{line}");
    for _ in 0..7 {
        // Else one that just comes back may take it before the one that was woken for it.
        server.rests(3, ACCEPT);
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap();
        let sent = std::io::copy(&mut client, &mut std::io::sink()).unwrap();
        assert_eq!(sent, 8 << 20);
    }
    let seen = attached(&finish(attach).exits(0));
    assert_eq!(seen["pattern"], "exclusive", "{seen:#}");
    let sum = |kind: &str| -> u64 {
        seen["workers"].as_array().unwrap().iter().map(|worker| worker["turns"][kind].as_u64().unwrap()).sum()
    };
    assert_eq!((sum("hidden"), seen["connections"].as_u64()), (0, Some(7)), "{seen:#}");
    assert!(sum("other") + sum("took") > 7, "it never slept in the middle of an answer: {seen:#}");
}

#[test]
fn several_ports_need_a_choice() {
    let (one, two) =
        (TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let ports = [one.local_addr().unwrap().to_string(), two.local_addr().unwrap().to_string()];
    let mut sleeper = Command::new("sleep");
    sleeper.arg("600").stdin(Stdio::from(std::os::fd::OwnedFd::from(one)));
    let sleeper = Running(sleeper.stdout(Stdio::from(std::os::fd::OwnedFd::from(two))).spawn().unwrap());
    let said = run(["attach", "--pid", &sleeper.pid().to_string(), "--connect", "3"]).exits(2);
    said.complains(&[&ports[0], &ports[1], "choose with --port"]);
}

#[test]
fn what_was_found_before_the_end_is_kept() {
    let cell = Cell::start("kind = \"block\"\nplacement = \"threads\"", 1);
    let worker = cell.mark.tree().workers.remove(0);
    let attach = ["attach", "--pid", &cell.coordinator.to_string(), "--connect", "1000000", "--format", "json"];
    let mut attach = spawn(&mut herd(attach));
    let mut line = String::new();
    BufReader::new(attach.0.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    // Some connections later, seen by what they cost the worker: a sleep each, and seldom one more on a lock.
    // Its threads have slept before, too, while they started: how often is the machine's affair.
    let before = worker.sleeps();
    until(START, || match worker.sleeps() - before {
        ..60 => Err(format!("{} sleeps since", worker.sleeps() - before)),
        _ => Ok(()),
    });
    worker.signal(Signal::SIGSTOP);
    let said = finish(attach).exits(3).complains(&["not quiet within 2 s", "runs, or is stopped"]);
    worker.signal(Signal::SIGCONT);
    let seen = attached(&said);
    assert_eq!(seen["pattern"], "exclusive", "{seen:#}");
    assert!(seen["connections"].as_u64().unwrap() >= 30, "{seen:#}");
}

#[test]
fn a_reload_is_noticed() {
    if let Some(why) = missing("nginx", &["-v"]) {
        return skipped("nginx", &why);
    }
    let server = nginx("accept_mutex off;", "");
    let before = server.children();
    let args = ["attach", "--pid", &server.pid().to_string(), "--events", "200", "--format", "json"];
    let mut attach = spawn(&mut herd(args));
    let mut line = String::new();
    BufReader::new(attach.0.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("counting with"), "{line}");
    kill(Pid::from_raw(server.pid()), Signal::SIGHUP).unwrap();
    until(START, || {
        let now = server.children();
        let same = now.iter().filter(|process| before.iter().any(|old| old.pid == process.pid)).count();
        if same == 0 && now.len() == 4 { Ok(()) } else { Err(format!("{now:?}")) }
    });
    // Connections come until it has seen enough of them; it looks for workers meanwhile.
    until(START, || {
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap());
        match attach.0.try_wait().unwrap() {
            Some(_) => Ok(()),
            None => Err("it goes on counting".into()),
        }
    });
    let seen = attached(&finish(attach).exits(0));
    assert_eq!(seen["pattern"], "exclusive", "{seen:#}");
    let warnings = seen["warnings"].to_string();
    assert!(warnings.contains("4 workers came and 4 went"), "{warnings}");
}

#[test]
fn gunicorn_is_a_herd() {
    if let Some(why) = missing("gunicorn", &["--version"]) {
        return skipped("gunicorn", &why);
    }
    let (folder, port) = (Folder::new(), free_port());
    folder
        .file("app.py", "def app(environ, start_response):\n    start_response('204 No Content', [])\n    return []\n");
    let at = folder.path().display().to_string();
    let bind = format!("127.0.0.1:{port}");
    let mut command = Command::new("gunicorn");
    let command = command.args(["--workers", "4", "--bind", &bind, "--chdir", &at, "--worker-tmp-dir", &at, "app:app"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = Server { child, port, _folder: folder }.with(4, &[libc::SYS_select, libc::SYS_pselect6]);
    let seen = connect(server.pid(), server.port, &[]);
    check(&seen, "herd", "select");
    assert_eq!(seen["workers"].as_array().unwrap().len(), 4, "the arbiter is none: {seen:#}");
    if seen["source"] == "bpf" {
        check_each(&seen, 4);
    }
}

#[test]
fn what_is_no_server_is_refused() {
    run(["attach"]).exits(2).complains(&["--pid"]);
    run(["attach", "--pid", "4194304"]).exits(2).complains(&["no process 4194304", "ss -ltnp"]);
    run(["attach", "--pid", "0"]).exits(2);
    run(["attach", "--pid", "1", "--for", "10"]).exits(2).complains(&["\"10\" is no time", "10s"]);
    run(["attach", "--pid", "1", "--for", "1s", "--connect", "5"]).exits(2).complains(&["cannot be used with"]);
    run(["attach", "--pid", "1", "--count-with", "ledger"]).exits(2).complains(&["bpf", "perf", "proc"]);
    let mut idle = Command::new("cat");
    let idle = Running(idle.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    let pid = idle.pid().to_string();
    run(["attach", "--pid", &pid]).exits(2).complains(&[&format!("process {pid} (cat) has no listening socket")]);
    match std::fs::read_to_string("/proc/2/comm") {
        Ok(name) if name == "kthreadd\n" => {
            run(["attach", "--pid", "2"]).exits(2).complains(&["kthreadd", "thread of the kernel"]);
        }
        _ => skipped("a thread of the kernel", "none is seen here"),
    }
    let cell = Cell::start("kind = \"block\"", 8);
    let pid = cell.coordinator.to_string();
    run(["attach", "--pid", &pid, "--port", "1"]).exits(2).complains(&["no listening socket at port 1", "--port"]);
}

/// `herd` as a user who has no right to look.
#[test]
fn somebody_elses_server_is_refused() {
    let stranger = ["setpriv", "--reuid=65534", "--clear-groups"];
    let mut able = Command::new(stranger[0]);
    able.args(&stranger[1..]).args([env!("CARGO_BIN_EXE_herd"), "--version"]);
    if !able.output().is_ok_and(|output| output.status.success()) {
        return skipped("another user", "setpriv cannot start herd as nobody");
    }
    let cell = Cell::start("kind = \"block\"", 8);
    let pid = cell.coordinator.to_string();
    let mut attach = lab::wrapped(&stranger, ["attach", "--pid", &pid]);
    lab::said(&mut attach).exits(2).complains(&[&format!("cannot look into process {pid}"), "run herd as root"]);
}

/// Counts without an end, until something happens.
fn counting(cell: &Cell) -> Running {
    let mut attach = spawn(&mut herd(["attach", "--pid", &cell.coordinator.to_string(), "--for", "600s"]));
    let mut line = String::new();
    BufReader::new(attach.0.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("counting with"), "{line}");
    attach
}

#[test]
fn a_server_that_ends_is_said_and_its_counts_are_kept() {
    let cell = Cell::start("kind = \"block\"", 8);
    let attach = counting(&cell);
    kill(Pid::from_raw(cell.coordinator), Signal::SIGKILL).unwrap();
    let said = finish(attach).exits(3).complains(&["ended while herd counted"]);
    let said = said.shows(&["8 workers", "sleep in accept", "Pattern: unclear", "no connection came"]);
    for line in said.out.lines() {
        assert!(line.chars().count() <= 80 && line.trim_end() == line, "{line:?}");
    }
}

#[test]
fn ctrl_c_ends_it_with_what_it_has() {
    let cell = Cell::start("kind = \"block\"", 8);
    let attach = counting(&cell);
    kill(attach.pid(), Signal::SIGINT).unwrap();
    finish(attach).exits(130).shows(&["8 workers", "ended early, by signal 2"]);
}

//! `herd load` against servers that are made for it here: whole, odd, broken and absent
//! ones. Counts are asserted, times never.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use lab::{Folder, Said, herd, run, spawn, until};

mod lab;

/// For a state that comes soon.
const LIMIT: Duration = Duration::from_secs(60);

/// What a server does with a connection: its reader, its writer, and the number of the
/// connection. Returns when it is done with it.
type Serve = fn(&mut dyn BufRead, &mut dyn Write, u64);

/// A server in threads of this process, which end with it. Returns its port, and how many
/// connections it has accepted.
fn server(serve: Serve) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::new(AtomicU64::new(0));
    let count = accepted.clone();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || talk(connection, serve, number));
        }
    });
    (port, accepted)
}

fn talk(connection: TcpStream, serve: Serve, number: u64) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut writer = connection.try_clone().unwrap();
    serve(&mut reader, &mut writer, number);
    let _ = connection.shutdown(Shutdown::Both);
}

/// Reads one request; `false` if the client has gone.
fn asked(reader: &mut dyn BufRead) -> bool {
    let mut line = String::new();
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(1..) if line == "\r\n" => return true,
            Ok(1..) => {}
            _ => return false,
        }
    }
}

fn load(port: u16, more: &[&str]) -> Said {
    let url = format!("http://127.0.0.1:{port}/");
    run(["load", &url, "--format", "json"].iter().chain(more))
}

/// One number of the document.
#[track_caller]
fn number(said: &Said, path: &str) -> u64 {
    let whole: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|e| panic!("{e}: {said:#?}"));
    whole.pointer(path).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("no {path} in {said:#?}"))
}

#[track_caller]
fn check(said: &Said, want: &[(&str, u64)]) {
    for (path, value) in want {
        assert_eq!(number(said, path), *value, "{path} in {said:#?}");
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

#[test]
fn the_server_counts_what_the_client_counts() {
    let (port, accepted) = server(|reader, writer, _| {
        if asked(reader) {
            writer.write_all(b"HTTP/1.0 200 OK\r\n\r\nuntil the end").unwrap();
        }
    });
    let said = load(port, &["--requests", "200", "--clients", "7"]).exits(0);
    check(&said, &[("/requests", 200), ("/answered", 200), ("/connections", 200), ("/latency_ns/samples", 200)]);
    assert_eq!(accepted.load(Ordering::SeqCst), 200);
}

/// Answers all that is asked on a connection, one by one.
fn patient(reader: &mut dyn BufRead, writer: &mut dyn Write, _: u64) {
    while asked(reader) && writer.write_all(OK).is_ok() {}
}

#[test]
fn requests_end_a_load_that_has_a_duration_too() {
    let (port, _) = server(patient);
    let closed = ["--requests", "10", "--duration", "60s", "--clients", "3", "--keep-alive"];
    check(&load(port, &closed).exits(0), &[("/requests", 10), ("/answered", 10), ("/under_way", 0)]);
    let open = ["--rate", "5000", "--requests", "100", "--duration", "60s", "--keep-alive"];
    check(&load(port, &open).exits(0), &[("/requests", 100), ("/answered", 100), ("/under_way", 0)]);
    // And the other way round: the time comes first.
    let said = load(port, &["--rate", "5", "--requests", "1000000", "--duration", "300ms"]).exits(0);
    let made = number(&said, "/requests");
    assert!((1..=2).contains(&made), "starts at 0 and 200 ms: {said:#?}");
}

#[test]
fn connections_stay_with_chunks_and_with_a_length() {
    let (port, accepted) = server(|reader, writer, _| {
        for turn in 0.. {
            if !asked(reader) {
                return;
            }
            let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n";
            writer.write_all(if turn % 2 == 0 { OK } else { chunks }).unwrap();
        }
    });
    let said = load(port, &["--requests", "500", "--clients", "3", "--keep-alive"]).exits(0);
    check(&said, &[("/answered", 500), ("/connections", 3), ("/again", 0), ("/under_way", 0)]);
    assert_eq!(accepted.load(Ordering::SeqCst), 3);
}

#[test]
fn a_connection_that_the_server_ends_is_opened_again() {
    let (port, _) = server(|reader, writer, _| {
        // It does not say that the third answer is the last one.
        for _ in 0..3 {
            if !asked(reader) {
                return;
            }
            writer.write_all(OK).unwrap();
        }
    });
    let said = load(port, &["--requests", "60", "--clients", "2", "--keep-alive"]).exits(0);
    check(&said, &[("/answered", 60), ("/errors/reset", 0)]);
}

#[test]
fn an_open_loop_skips_no_start_although_the_server_is_slow() {
    let (port, _) = server(|reader, writer, number| {
        // The first is answered when the client has hung up on nobody: at its end.
        if asked(reader) && number != 0 {
            writer.write_all(OK).unwrap();
        } else {
            let _ = reader.read(&mut [0]);
        }
    });
    let said = load(port, &["--rate", "2000", "--requests", "100", "--timeout", "300ms", "--clients", "5"]).exits(1);
    check(&said, &[("/requests", 100), ("/answered", 99), ("/errors/timed_out", 1)]);
    check(&said, &[("/latency_ns/samples", 99), ("/from_making_ns/samples", 99)]);
}

#[test]
fn errors_are_told_apart() {
    let (port, _) = server(|reader, writer, number| {
        let answer: &[u8] = match (asked(reader), number % 4) {
            (false, _) => return,
            (_, 0) => OK,
            (_, 1) => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            (_, 2) => b"SSH-2.0-OpenSSH_9.2\r\n",
            (_, _) => b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ncut short",
        };
        writer.write_all(answer).unwrap();
    });
    let said = load(port, &["--requests", "40", "--clients", "1"]).exits(1);
    check(&said, &[("/answered", 20), ("/errors/status/503", 10), ("/errors/bad_answer", 10), ("/errors/reset", 10)]);
    let url = format!("http://127.0.0.1:{port}/");
    let said = run(["load", &url, "-n", "4", "-c", "1"]).exits(1);
    said.shows(&["answered       2 of 4 requests", "1 reset, 1 no HTTP, 1 with status 503", "not all well: 3 errors"]);
}

#[test]
fn a_server_that_dies_leaves_what_was_seen() {
    // A listener that goes away: its port is refused from then on.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let dying = thread::spawn(move || {
        for _ in 0..50 {
            let (mut connection, _) = listener.accept().unwrap();
            if asked(&mut BufReader::new(connection.try_clone().unwrap())) {
                connection.write_all(OK).unwrap();
            }
        }
    });
    let said = load(port, &["--duration", "60s", "--clients", "1"]).exits(1);
    dying.join().unwrap();
    check(&said, &[("/answered", 50)]);
    assert!(number(&said, "/errors/refused") >= 90, "{said:#?}");
    said.shows(&["\"end\": \"gone\"", "the server is gone"]);
}

/// What it says when SIGINT comes after a hundred connections.
fn interrupted(args: [&str; 6], accepted: &AtomicU64) -> lab::Said {
    let running = spawn(&mut herd(args));
    until(LIMIT, || match accepted.load(Ordering::SeqCst) {
        101.. => Ok(()),
        few => Err(format!("{few} connections")),
    });
    nix::sys::signal::kill(running.pid(), nix::sys::signal::Signal::SIGINT).unwrap();
    lab::finish(running).exits(130)
}

#[test]
fn a_signal_keeps_what_was_seen() {
    let (port, accepted) = server(|reader, writer, _| {
        if asked(reader) {
            writer.write_all(OK).unwrap();
        }
    });
    let url = format!("http://127.0.0.1:{port}/");
    let said = interrupted(["load", &url, "--duration", "60s", "--format", "json"], &accepted);
    assert!(number(&said, "/answered") > 0, "{said:#?}");
    said.shows(&["\"end\": \"interrupted\""]);
}

#[test]
fn a_signal_in_the_warm_up_leaves_no_figures() {
    let (port, accepted) = server(patient);
    let url = format!("http://127.0.0.1:{port}/");
    let said = interrupted(["load", &url, "--warmup", "1000s", "--format", "json"], &accepted);
    check(&said, &[("/requests", 0), ("/answered", 0), ("/under_way", 0), ("/latency_ns/samples", 0)]);
    said.shows(&["\"own_cpu_share\": 0.0,", "\"own_cpu_us\": 0.0,", "\"notes\": []", "\"saturated\": null"]);
}

#[test]
fn a_request_that_is_cut_off_after_a_signal_is_not_sent_once_more() {
    static SIGNALLED: AtomicBool = AtomicBool::new(false);
    static HELD: AtomicBool = AtomicBool::new(false);
    let (port, _) = server(|reader, writer, number| {
        // Answers one, and ends the connection after the signal; a second connection would
        // never have an answer.
        if !asked(reader) || number > 0 {
            let _ = reader.read(&mut [0]);
            return;
        }
        writer.write_all(OK).unwrap();
        assert!(asked(reader));
        HELD.store(true, Ordering::SeqCst);
        until(LIMIT, || SIGNALLED.load(Ordering::SeqCst).then_some(()).ok_or("no signal".into()));
    });
    let url = format!("http://127.0.0.1:{port}/");
    // Longer than the limit of a hung command.
    let args = ["load", &url, "-k", "-c", "1", "--duration", "1000s", "--timeout", "1000s", "--format", "json"];
    let running = spawn(&mut herd(args));
    until(LIMIT, || HELD.load(Ordering::SeqCst).then_some(()).ok_or("no second request".into()));
    nix::sys::signal::kill(running.pid(), nix::sys::signal::Signal::SIGINT).unwrap();
    let status = format!("/proc/{}/status", running.pid());
    until(LIMIT, || {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let pending = text.lines().find(|line| line.starts_with("ShdPnd:")).unwrap_or_default();
        if pending.trim_end_matches('0').ends_with(char::is_whitespace) || pending.is_empty() {
            Ok(())
        } else {
            Err(pending.to_owned())
        }
    });
    SIGNALLED.store(true, Ordering::SeqCst);
    let said = lab::finish(running).exits(130);
    check(&said, &[("/requests", 2), ("/answered", 1), ("/under_way", 1)]);
}

#[test]
fn a_unix_socket_is_a_server_too() {
    let folder = Folder::new();
    let path = folder.path().join("s.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            if asked(&mut BufReader::new(connection.try_clone().unwrap())) {
                connection.write_all(OK).unwrap();
            }
        }
    });
    let said =
        run(["load", &format!("unix:{}:/status", path.display()), "-n", "30", "-c", "1", "--format", "json"]).exits(0);
    check(&said, &[("/answered", 30)]);
}

#[test]
fn every_name_of_the_document_is_in_the_architecture() {
    let (port, _) = server(patient);
    let said = load(port, &["-n", "3", "-k"]).exits(0);
    let mut whole: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    // That of all results; it has its own place.
    whole["environment"] = serde_json::Value::Null;
    let text = include_str!("../ARCHITECTURE.md");
    let (_, from) = text.split_once("`herd load --format json`").unwrap();
    let part = from.split("\n- ").next().unwrap();
    let mut left = vec![&whole];
    let mut names = 0;
    while let Some(object) = left.pop().map(|value| value.as_object().into_iter().flatten()) {
        for (name, value) in object {
            assert!(part.contains(&format!("`{name}`")), "{name} is not in ARCHITECTURE.md");
            names += 1;
            left.push(value);
        }
    }
    assert!(names > 30, "{names}");
}

/// One message, nothing on stdout, exit code 2.
#[track_caller]
fn check_bad(args: &[&str], part: &str) {
    let said = run(["load"].iter().chain(args)).exits(2);
    assert!(said.err.contains(part), "no {part:?} in {said:#?}");
    assert_eq!(said.out, "");
}

#[test]
fn what_cannot_be_loaded_is_said_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://127.0.0.1:{}/", free.local_addr().unwrap().port());
    drop(free);
    check_bad(&[&nobody], "Connection refused (start it, or see whether the address is right)");
    check_bad(&["unix:/nowhere/s.sock"], "no HTTP server at unix:/nowhere/s.sock: No such file");
    check_bad(&["http://192.0.2.1/"], "--i-own-this-host");
    check_bad(&["ftp://127.0.0.1/"], "is no URL of an HTTP server");
    check_bad(&[&nobody, "--clients", "1000000"], "1000000 clients need");
    check_bad(&[&nobody, "--duration", "5"], "\"5\" is no time");
    check_bad(&[&nobody, "--poisson"], "--rate");
    let (port, _) = server(|reader, writer, _| {
        if asked(reader) {
            writer.write_all(b"220 mail.example ESMTP\r\n").unwrap();
        }
    });
    let mail = format!("http://127.0.0.1:{port}/");
    check_bad(&[&mail], "it answers \"220 mail.example ESMTP\\r\\n\", which is no HTTP");
}

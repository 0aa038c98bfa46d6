//! Tests of the parser: what is understood, and what is said of the rest.

use super::*;

fn parse(statements: &[&str]) -> Result<Script, Mistake> {
    let owned: Vec<String> = statements.iter().map(|s| (*s).to_owned()).collect();
    Script::parse(&owned)
}

/// The last statement is the wrong one.
#[track_caller]
fn check(statements: &[&str], message: &str) {
    let found = parse(statements).unwrap_err();
    assert_eq!((found.at, found.message.as_str()), (statements.len() - 1, message), "{statements:?}");
}

#[test]
fn statements_become_actions_in_their_order() {
    let script = parse(&[
        "socketpair s0 s1",
        "epoll e0",
        "add e0 s0 edge oneshot",
        "worker w0 epoll_wait e0 max 1 within 11ms then write s1",
        "worker w1 poll+epoll_wait e0",
        "write s1 s1",
        "came -> w0 or w0+w1",
        "race 300",
        "start all",
        "write s1 as w0 times out",
        "wait e0 -> 1",
        "end",
        "wait e0 -> 0",
    ])
    .unwrap();
    assert_eq!(script.names, ["s0", "s1", "e0"]);
    let flags = Flags { edge: true, oneshot: true, ..Flags::default() };
    let control = Control { op: Op::Add, epoll: 2, target: 0, flags };
    assert_eq!(script.steps[2].action, Action::Control(control));
    let waiting = Waiting { call: Call::EpollWait, on: 2, max: 1, within_us: Some(11_000) };
    assert_eq!(script.jobs[script.workers[0]], Job::Wait { waiting, then: vec![Then::Write(1)], times: 1 });
    assert_eq!(script.steps[4].action, Action::Start(vec![1]));
    assert_eq!(script.steps[5].action, Action::Write(vec![1, 1]));
    assert_eq!((script.steps[8].rounds, script.steps[8].race), (300, true));
    assert_eq!(script.steps[12].rounds, 1);
    let slugs: Vec<&str> = script.checks().map(|(_, step, _)| step.slug.as_str()).collect();
    assert_eq!(slugs, ["came", "wait-e0", "wait-e0-2"]);
    assert!(script.has_timers() && !script.storms());
}

#[test]
fn what_a_script_needs_is_known() {
    let needs = |lines: &[&str]| parse(lines).unwrap().needs().collect::<Vec<_>>();
    assert!(needs(&["epoll e", "wait e -> 0"]).is_empty());
    assert_eq!(needs(&["epoll e", "pwait2 e -> 0"]), ["epoll_pwait2"]);
    assert_eq!(needs(&["epoll e d", "add e d level exclusive -> EINVAL"]), ["epoll_exclusive"]);
    let group = ["network", "migrate on", "group a b", "connect a x 40 -> 40"];
    assert_eq!(needs(&group), ["netns", "reuseport", "tcp_migrate_req"]);
}

#[test]
fn every_mistake_says_what_was_wanted() {
    let e0 = "epoll e0";
    check(&["epol e0"], "unknown statement \"epol\"; did you mean \"epoll\"?");
    check(&[""], "an empty statement");
    check(&[e0], "the script expects nothing; write -> and what must come of a step");
    check(&["socketpair s0"], "socketpair takes two names");
    check(&[e0, e0], "a second \"e0\"");
    check(&["epoll E"], "\"E\" is no name; use small letters and digits, such as e0");
    check(&[e0, "add e0 s0 level"], "nothing is called \"s0\" here; did you mean \"e0\"?");
    check(&[e0, "eventfd v", "add v e0 level"], "v is an eventfd, not an epoll");
    check(&[e0, "write e0"], "e0 is an epoll; nothing is written to it");
    check(&[e0, "eventfd v", "add e0 v"], "say either level or edge");
    check(
        &[e0, "eventfd v", "add e0 v level lazy"],
        "unknown flag \"lazy\"; known are level, edge, oneshot, exclusive, out",
    );
    check(
        &[e0, "wait e0 -> one"],
        "\"one\" is nothing to expect; write a number, >= 10, an errno, none, asleep, or workers such as w0+w1",
    );
    check(&[e0, "wait e0 within 10 -> 0"], "\"10\" is no time; write 10ms or 50us, at most 60000ms");
    check(&[e0, "wait e0 then read -> 0"], "only a worker can do something then, or more than once");
    check(&[e0, "came -> 1"], "there is no worker that could have come");
    check(&[e0, "lasted -> 1"], "the main thread has not waited for anything yet");
    check(&[e0, "worker w0 epol_wait e0"], "unknown call \"epol_wait\"; did you mean \"epoll_wait\"?");
    check(&[e0, "worker w1 epoll_wait e0"], "workers are called w0, w1 and so on; this one is w0");
    let w0 = "worker w0 epoll_wait e0";
    check(&[e0, w0, "came"], "came expects something: came -> ..");
    check(&[e0, w0, "result w1 -> 1"], "there is no worker \"w1\"; did you mean \"w0\"?");
    let late = "v was opened after w0 was forked; write pass v w0 first";
    check(&[e0, w0, "eventfd v", "w0: write v -> 1"], late);
    check(&[e0, w0, "eventfd v", "now w0 poll v"], late);
    check(&[e0, w0, "mutex m"], "a lock is made before the first worker, which takes along what is there by then");
    check(&[e0, w0, "write v as w0 times out"], "w0 never times out; start it with within 1ms");
    check(&[e0, w0, "signal w0"], "SIGUSR1 would kill the worker; write handler restart or handler interrupt first");
    check(&[e0, "close e0 -> 0"], "nothing comes of close; leave out what stands behind ->");
    let outside = "that is about the network of this machine; write network first";
    check(&[e0, "migrate on"], outside);
    check(&[e0, "sysctl net.core.somaxconn 8"], outside);
    check(&[e0, "counter ListenDrops -> 0"], outside);
    check(
        &["network", "sysctl kernel.panic 1"],
        "\"kernel.panic\" is no setting of a network; names begin with net., such as net.ipv4.tcp_syncookies",
    );
    check(
        &["group l", "close l", "connect l -> 1"],
        "l is closed by then, and nobody else has it; expect ECONNREFUSED, or connect before that",
    );
    check(
        &["group l", "close l", "accept l -> 1"],
        "l is closed by then; expect an errno such as EBADF, or close it later",
    );
    check(
        &["group l", "worker w0 accept l", "w0: close l", "w0: accept l -> 1"],
        "l is closed by then; expect an errno such as EBADF, or close it later",
    );
    check(
        &["group l", "clients lost -> 1"],
        "clients are connecting, waiting, accepted, reset or refused, never \"lost\"",
    );
    check(&["group l", "client resets"], "there is no client yet; write connect first");
    check(&["group l", "steer l flow mod 2"], "l is a listener of a group, not a UDP socket");
    check(&["mutex m", "close m"], "m is a mutex, which has no descriptor");
    check(&[e0, "worker w0 idle", "start w0"], "w0 is idle; give it something to wait for: now w0 accept l");
    check(&[e0, w0, "go w0"], "w0 never pauses; start it with then pause");
    check(&[e0, w0, "stop w0", "w0: close e0"], "w0 is stopped by then; write continue w0 first");
    check(&[e0, w0, "continue w0"], "w0 is not stopped; write stop w0 first");
    check(
        &[e0, w0, "w0: kill w0"],
        "a worker cannot be told to kill; it does add, mod, del, close, dup, shutdown, block, nonblock, pass, limit, \
         spare, write, read, accept, wake and unlock",
    );
    check(
        &[e0, "worker w0 epoll_wait e0 times 3 then pause"],
        "a worker that pauses has one wait in a turn; leave out times",
    );
    check(
        &[e0, "worker w0 epoll_wait e0 then jump"],
        "unknown thing to do then; known are max 1, within 1ms, times 10, \
         then read, then write a, then accept, then accept all, then pause, then busy 5ms, then rearm edge oneshot",
    );
    check(&[e0, "network"], "network is the first statement, since what is open stays in the network it was made in");
    check(&["network", "migrate maybe"], "migrate is either migrate on or migrate off");
    check(&[e0, "connect e0"], "e0 is an epoll, not a listener");
    check(&["listener l", "connect l y 3"], "connect takes one name, then perhaps x 40, or as and a new name");
    check(&["group l", "connect l x 5000"], "\"5000\" is no number from 1 to 4096");
    check(&["group l", "write l"], "l is a listener of a group; nothing is written to it");
    check(&["group l", "accepted"], "accepted expects something: accepted -> ..");
    check(&[e0, w0, "kill w0", "result w0 -> 1"], "w0 is dead by then");
    check(&[e0, w0, "repeat 2", "kill w0"], "a worker dies only once; kill it outside");
    check(&[e0, "repeat 0"], "\"0\" is no number from 1 to 10000000");
    check(&[e0, "repeat 2", "race 2"], "a block inside that of statement 2; end that first");
    check(&[e0, "repeat 2", "epoll e1"], "nothing can be opened inside a block");
    check(&[e0, "repeat 2", w0], "a worker is named before the block; write start inside");
    check(&[e0, "end"], "end without repeat or race");
    check(&[e0, "repeat 2"], "this block has no end");
    check(
        &[e0, "eventfd v", "storm w0 mod e0 v edge", "worker w1 epoll_wait e0"],
        "beside a storm nobody is ever seen asleep; let the main thread wait",
    );
}

#[test]
fn ends_of_connections_have_names() {
    let script = parse(&[
        "network",
        "group l",
        "defer l 5",
        "syn l as c",
        "half-open l -> 1",
        "hear c",
        "connect l as d -> 1",
        "accept l as s",
        "worker w0 read s max 64",
        "write d",
        "wakeups w0 -> 1",
    ])
    .unwrap();
    assert_eq!(script.names, ["l", "c", "d", "s"]);
    assert_eq!(script.steps[3].action, Action::ConnectAs { to: 0, end: 1, deaf: true });
    assert_eq!(script.steps[7].action, Action::AcceptAs { of: 0, end: 3 });
    check(&["network", "listener u", "syn u as c"], "u is a listener, not a listener of a group");
    check(&["socketpair a b", "hear a"], "a is an end of a socketpair, not an end of a connection");
    check(&["group l", "connect l as l"], "a second \"l\"");
    check(&["group l", "worker w0 idle", "accept l as s", "now w0 read s"], LATE);
    check(&["group l", "defer l 0"], "\"0\" is no number from 1 to 60");
    check(&["group l", "syn l as c"], "that is about the network of this machine; write network first");
    check(&["network", "group l", "syn l c"], "syn takes a TCP listener, as, and a new name, such as syn l as c");
    check(&["epoll e", "half-open e -> 0"], "e is an epoll, not a listener of a group");
    check(&["wakeups w0 -> 0"], "there is no worker \"w0\"");
}

const LATE: &str = "s was opened after w0 was forked; write pass s w0 first";

#[test]
fn a_worker_may_keep_a_descriptor_in_reserve() {
    let script =
        parse(&["group l", "worker w0 idle", "w0: spare r", "w0: limit nofile full", "w0: close r", "came -> none"]);
    assert_eq!(script.unwrap().steps[3].action, Action::Told(0, Box::new(Action::LimitFull)));
    check(&["spare r", "write r"], "r is a spare descriptor; nothing is written to it");
    check(&["latch 10 fast -> 0"], "latch takes how often, and fenced or bare");
    check(&["latch 0 bare -> 0"], "\"0\" is no number from 1 to 10000000");
    check(&["latch 10 bare"], "latch expects something: latch 10 bare -> ..");
}

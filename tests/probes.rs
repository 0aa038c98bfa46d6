//! Every probe, twice: the same answer, and nothing left behind.
//!
//! One test, alone in its process, since it looks at what the process holds.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use herd::probe::PROBES;

/// What a process could leave: descriptors, children, IPC objects, names, and
/// what it changed of itself.
#[derive(Debug, PartialEq)]
struct Held {
    descriptors: BTreeSet<String>,
    children: String,
    semaphores: usize,
    queues: usize,
    abstract_names: usize,
    affinity: String,
    namespaces: Vec<u64>,
    memory_limit: String,
    signals: String,
}

fn held() -> Held {
    assert!(fs::read_dir("/proc/self/fd").unwrap().count() > 3, "/proc/self/fd lists too little");
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/thread-self/status");
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or("").to_owned();
    let mine = format!("@herd-probe-{}-", std::process::id());
    Held {
        descriptors: fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| {
                let path = entry.unwrap().path();
                let target = fs::read_link(&path).ok()?;
                Some(format!("{} {}", path.display(), target.display()))
            })
            // The listing's own.
            .filter(|line| !line.ends_with("/fd"))
            .collect(),
        children: read("/proc/thread-self/children"),
        semaphores: read("/proc/sysvipc/sem").lines().count(),
        queues: read("/proc/sysvipc/msg").lines().count(),
        abstract_names: read("/proc/net/unix").lines().filter(|line| line.contains(&mine)).count(),
        affinity: line("Cpus_allowed_list"),
        namespaces: ["net", "user", "mnt", "ipc"]
            .iter()
            .map(|name| fs::metadata(format!("/proc/thread-self/ns/{name}")).unwrap().ino())
            .collect(),
        memory_limit: read("/proc/self/limits").lines().filter(|l| l.contains("locked memory")).collect(),
        signals: line("SigBlk"),
    }
}

#[test]
fn every_probe_says_the_same_twice_and_leaves_nothing() {
    // System V objects are of the whole machine; with a namespace of our own
    // nobody else makes any meanwhile.
    let alone = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWIPC);
    for probe in PROBES {
        let mut before = held();
        let answers = [probe.run(), probe.run()];
        let mut after = held();
        if let Err(errno) = alone {
            eprintln!("{}: cannot tell System V objects of others apart: {errno}", probe.name);
            (before.semaphores, before.queues) = (0, 0);
            (after.semaphores, after.queues) = (0, 0);
        }
        assert_eq!(answers[0], answers[1], "{}", probe.name);
        assert_eq!(before, after, "{}", probe.name);
        if let Err(why) = &answers[0] {
            assert!(!why.is_empty() && !why.ends_with('.'), "{}: {why}", probe.name);
        }
    }
    let queue = format!("/herd-probe-{}", nix::unistd::gettid());
    let left =
        nix::mqueue::mq_open(queue.as_str(), nix::mqueue::MQ_OFlag::O_RDONLY, nix::sys::stat::Mode::empty(), None);
    assert!(left.is_err(), "the message queue {queue} is still there");
}

#[test]
fn probes_have_a_name_and_a_short_description() {
    for probe in PROBES {
        assert!(
            probe.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "{}",
            probe.name
        );
        assert!(probe.about.len() <= 60 && !probe.about.ends_with('.'), "{}: {}", probe.name, probe.about);
    }
}

//! The experiments that come with herd, in teaching order.
//!
//! They are compiled in, so that the binary alone runs anywhere, also as the
//! only file of a virtual machine. tests/tidy.rs holds this list against the folder.

use super::{Experiment, ExperimentError};

macro_rules! embed {
    ($($file:literal),* $(,)?) => {
        /// File name and text of each experiment.
        pub const FILES: &[(&str, &str)] = &[
            $((concat!("experiments/", $file), include_str!(concat!("../../experiments/", $file)))),*
        ];
    };
}

embed![
    "01-herd.toml",
    "02-growth.toml",
    "03-hidden.toml",
    "04-balance.toml",
    "05-burst.toml",
    "06-prefork-epoll.toml",
    "07-two-listeners.toml",
    "08-wake-matrix.toml",
    "09-shared-level.toml",
    "10-queue-order.toml",
    "11-readd-listener.toml",
    "12-mixed-queue.toml",
    "13-falling-share.toml",
    "14-slow-service.toml",
    "15-stranded-edge.toml",
    "16-greedy-accept.toml",
    "17-crowded-listener.toml",
    "18-uniform-hash.toml",
    "19-shared-group.toml",
    "20-oneshot-forgotten.toml",
    "21-udp.toml",
    "22-pipe-vs-eventfd.toml",
    "23-poll-undoes-the-fix.toml",
    "24-full-pipe.toml",
    "25-queue-answers.toml",
    "30-futex.toml",
    "31-condvar.toml",
    "32-file-locks.toml",
    "33-ipc.toml",
    "34-children.toml",
    "35-signals.toml",
    "36-dead-holder.toml",
    "37-latch.toml",
    "38-sleep-wake.toml",
    "39-wake-one-chain.toml",
    "40-io-uring.toml",
    "41-io-uring-shared.toml",
    "42-io-uring-burst.toml",
    "43-other-waits.toml",
    "45-accept-mutex.toml",
    "46-steering.toml",
    "47-what-wakes-accept.toml",
    "48-request-ready.toml",
    "50-nested.toml",
    "51-selftest-epoll.toml",
    "52-edge-of-a-pipe.toml",
    "53-stray-signal.toml",
    "54-closed-elsewhere.toml",
    "55-socket-unit.toml",
    "56-unix-reuseport.toml",
    "57-closing-listener.toml",
    "58-lock-holder-killed.toml",
    "59-lock-death.toml",
    "60-dead-winner.toml",
    "61-frozen-winner.toml",
    "62-emfile.toml",
    "63-signals-restart.toml",
    "64-backlog.toml",
    "65-handover.toml",
    "66-reuseport-life.toml",
    "67-one-event-each.toml",
    "68-two-at-once.toml",
    "69-old-members.toml",
    "70-reader-dies.toml",
    "71-one-page-pipe.toml",
    "72-token-pool.toml",
    "73-number-reused.toml",
    "74-rearmed-eventfd.toml",
    "75-oversubscribed.toml",
    "76-quota.toml",
    "77-priorities.toml",
    "80-latency.toml",
    "81-cliff.toml",
    "82-steady-fall.toml",
    "83-slow-worker.toml",
    "84-long-lived.toml",
    "85-uneven-clients.toml",
    "86-async-share.toml",
    "87-udp-flows.toml",
    "88-littles-law.toml",
    "89-overlap.toml",
    "90-server-models.toml",
    "91-backlog-errors.toml",
    "92-c10k.toml",
    "93-shared-ofd.toml",
    "94-fd-is-not-the-queue.toml",
    "95-pool.toml",
    "96-calls-per-request.toml",
    "97-keep-alive.toml",
    "98-server-models-wide.toml",
    "99-server-models-paced.toml",
    "9a-c10k-wide.toml",
    "a0-states.toml",
    "a1-entry-cost.toml",
    "a2-switch-cost.toml",
    "a3-spawn-cost.toml",
    "a4-fork-cow.toml",
    "a5-stacks.toml",
    "a6-address-space.toml",
    "a7-talk.toml",
    "a8-slice.toml",
    "a9-crash-one.toml",
];

/// Parses the embedded experiment of that name.
pub fn find(name: &str) -> Option<Result<Experiment, ExperimentError>> {
    FILES.iter().find(|(path, _)| super::file::name_of(path) == name).map(|(path, text)| Experiment::parse(path, text))
}

/// The text of the embedded experiment of that name.
pub fn text(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(path, _)| super::file::name_of(path) == name).map(|(_, text)| *text)
}

/// The names of those that run where none is named: without the long ones.
pub fn unasked() -> Vec<String> {
    // Whoever asks for the names parses all of these files next. So only those are parsed
    // here that have the key at all, in which it may also be false.
    let long = |(path, text): &&(&str, &str)| {
        text.lines().any(|line| line.starts_with("long")) && Experiment::parse(path, text).is_ok_and(|found| found.long)
    };
    FILES.iter().filter(|file| !long(file)).map(|(path, _)| super::file::name_of(path)).collect()
}

/// The names, in teaching order.
pub fn names() -> Vec<String> {
    FILES.iter().map(|(path, _)| super::file::name_of(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_run_unasked_are_all_but_the_long_ones() {
        let long = |name: &String| find(name).unwrap().unwrap().long;
        let (asked, short): (Vec<String>, Vec<String>) = names().into_iter().partition(long);
        assert_eq!(unasked(), short);
        assert!(!asked.is_empty(), "else nothing is told apart");
    }
}

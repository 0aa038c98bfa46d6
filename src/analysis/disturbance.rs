//! Settings of a machine that change what the lab counts or times, judged from
//! what an environment says. Pure.

use serde::Serialize;

use crate::results::Environment;

/// Above this many runnable tasks per CPU, others take a part of our time.
const BUSY: f64 = 0.5;

/// One setting, looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Look {
    pub setting: &'static str,
    pub value: String,
    pub disturbs: bool,
    /// It may change counts, not only times: a result carries a warning.
    pub counts: bool,
    pub effect: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Every setting there is to look at, in the order of `herd doctor`.
pub fn looks(at: &Environment) -> Vec<Look> {
    let look = |setting, value: &str, disturbs, counts, effect, remedy| {
        let value = if value.is_empty() { "not there" } else { value };
        Look { setting, value: value.into(), disturbs, counts, effect, remedy }
    };
    let nonzero = |text: &str| !text.is_empty() && text.bytes().any(|b| b.is_ascii_hexdigit() && b != b'0');
    vec![
        look(
            "RPS on lo",
            &at.rps_lo,
            nonzero(&at.rps_lo),
            true,
            "another CPU may still be waking workers when a round seems over",
            "echo 0 > /sys/class/net/lo/queues/rx-0/rps_cpus",
        ),
        look(
            "PREEMPT_RT",
            if at.realtime { "yes" } else { "no" },
            at.realtime,
            // Seen by bpf and perf, and told by each verdict where proc counts.
            false,
            "spin locks sleep and softirqs are preempted: times, races and D-sleeps are its own",
            "none; count with bpf or perf (proc cannot tell a wait for a lock from a sleep)",
        ),
        look(
            "backlog threads",
            if at.backlog_threads { "yes" } else { "no" },
            at.backlog_threads,
            // Quiet waits for that thread; see cell/softirq.rs.
            false,
            "a thread delivers packets: times and races are its own",
            "boot without thread_backlog_napi",
        ),
        look(
            "threaded NAPI on lo",
            &at.threaded_lo,
            nonzero(&at.threaded_lo),
            true,
            "a thread may still be waking workers when a round seems over",
            "echo 0 > /sys/class/net/lo/threaded",
        ),
        look(
            "net.core.busy_poll",
            &at.busy_poll,
            nonzero(&at.busy_poll),
            true,
            "poll and epoll may spin before they sleep, and nobody need wake them",
            "sysctl net.core.busy_poll=0",
        ),
        look(
            "net.core.busy_read",
            &at.busy_read,
            nonzero(&at.busy_read),
            true,
            "blocking reads may spin before they sleep, and nobody need wake them",
            "sysctl net.core.busy_read=0",
        ),
        look(
            "sched_ext scheduler",
            &at.sched_ext,
            at.sched_ext == "enabled",
            true,
            "a BPF program decides who runs first: order and races are its own",
            "stop the scheduler that is loaded",
        ),
        look(
            "CPU quota of the cgroup",
            if at.cgroup_cpu_quota.is_empty() { "none" } else { &at.cgroup_cpu_quota },
            !at.cgroup_cpu_quota.is_empty() && !at.cgroup_cpu_quota.starts_with("max"),
            false,
            "workers are stopped in the middle of an event: times and races change",
            "run outside that cgroup, or raise its cpu.max",
        ),
        look(
            "net.ipv4.tcp_syncookies",
            &at.tcp_syncookies,
            at.tcp_syncookies == "2",
            false,
            "every handshake uses a cookie: a burst that does not fit looks connected",
            "sysctl net.ipv4.tcp_syncookies=1",
        ),
        look(
            "load average",
            &load(at).map_or(String::new(), |load| format!("{load:.2} per CPU")),
            load(at).is_some_and(|load| load > BUSY),
            false,
            "counts hold, but times, rates and races are those of a busy machine",
            "end what else runs, or wait",
        ),
    ]
}

/// What every result of this environment must say about its counts.
pub fn warnings(at: &Environment) -> Vec<String> {
    let grave = looks(at).into_iter().filter(|look| look.disturbs && look.counts);
    grave.map(|look| format!("{} is {}: {} ({})", look.setting, look.value, look.effect, look.remedy)).collect()
}

/// Runnable tasks per CPU over the last minute.
fn load(at: &Environment) -> Option<f64> {
    let load: f64 = at.load_average.split(' ').next()?.parse().ok()?;
    (at.cpus_online > 0).then(|| load / at.cpus_online as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet() -> Environment {
        Environment {
            cpus_online: 2,
            load_average: "0.50 0.40 0.30 1/200 17".into(),
            rps_lo: "0".into(),
            busy_poll: "0".into(),
            cgroup_cpu_quota: "max 100000".into(),
            tcp_syncookies: "1".into(),
            sched_ext: "disabled".into(),
            ..Environment::default()
        }
    }

    #[track_caller]
    fn check(change: impl Fn(&mut Environment), disturbed: &[&str], warned: usize) {
        let mut environment = quiet();
        change(&mut environment);
        let found: Vec<&str> = looks(&environment).into_iter().filter(|l| l.disturbs).map(|l| l.setting).collect();
        assert_eq!(found, disturbed);
        assert_eq!(warnings(&environment).len(), warned);
    }

    #[test]
    fn each_setting_is_seen() {
        check(|_| (), &[], 0);
        check(|e| *e = Environment::default(), &[], 0);
        check(|e| e.rps_lo = "00000000,00000003".into(), &["RPS on lo"], 1);
        check(|e| e.rps_lo = "00000000,00000000".into(), &[], 0);
        check(|e| e.realtime = true, &["PREEMPT_RT"], 0);
        check(|e| e.backlog_threads = true, &["backlog threads"], 0);
        check(|e| e.threaded_lo = "1".into(), &["threaded NAPI on lo"], 1);
        check(|e| e.busy_poll = "50".into(), &["net.core.busy_poll"], 1);
        check(|e| e.busy_read = "50".into(), &["net.core.busy_read"], 1);
        check(|e| e.sched_ext = "enabled".into(), &["sched_ext scheduler"], 1);
        check(|e| e.cgroup_cpu_quota = "50000 100000".into(), &["CPU quota of the cgroup"], 0);
        check(|e| e.tcp_syncookies = "2".into(), &["net.ipv4.tcp_syncookies"], 0);
        check(|e| e.load_average = "4.00 1 1 1/2 3".into(), &["load average"], 0);
    }

    #[test]
    fn a_warning_says_what_to_do() {
        let warned = warnings(&Environment { rps_lo: "3".into(), ..quiet() });
        assert!(warned[0].starts_with("RPS on lo is 3: "), "{warned:?}");
        assert!(warned[0].contains("rps_cpus"), "{warned:?}");
    }
}

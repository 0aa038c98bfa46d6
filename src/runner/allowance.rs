//! How many workers, and how large a burst, each limit of this machine allows.
//!
//! Asks the planner's own refusals, one limit at a time, so that the two never
//! disagree. Judging is pure; only [`ports`] reads the machine.

use super::limits::Limits;
use crate::checkup::Allowance;
use crate::experiment::Settings;
use crate::experiment::settings::PlacementKind;

/// The most that a setting takes (`herd list --settings`).
const WORKERS: u32 = 100_000;
const BURST: u64 = 10_000;
const BACKLOG: u32 = 65_535;

/// No limit at all, on a machine with nothing else on it.
const NONE: Limits = Limits {
    user_tasks: u64::MAX,
    pid_max: u64::MAX,
    threads_max: u64::MAX,
    cgroup_tasks: u64::MAX,
    tasks_now: 0,
    descriptors: u64::MAX,
    somaxconn: u64::MAX,
    maps: u64::MAX,
    memory_kib: u64::MAX,
    cpus: u128::MAX,
};

/// First and last port the kernel gives to clients.
pub fn ports() -> Option<(u16, u16)> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Each limit with what it allows.
pub fn allowances(limits: &Limits, ports: Option<(u16, u16)>) -> Vec<Allowance> {
    let only = Limits { tasks_now: limits.tasks_now, ..NONE };
    let tasks = |limit, value, alone: Limits, raise| Allowance {
        limit,
        value: format!("{}, {} in use", shown(value), limits.tasks_now),
        allows: workers(&alone, PlacementKind::Processes),
        raise,
    };
    let descriptors = Limits { descriptors: limits.descriptors, ..only };
    let somaxconn = Limits { somaxconn: limits.somaxconn, ..only };
    let mut found = vec![
        tasks("RLIMIT_NPROC", limits.user_tasks, Limits { user_tasks: limits.user_tasks, ..only }, "ulimit -u"),
        tasks("kernel.pid_max", limits.pid_max, Limits { pid_max: limits.pid_max, ..only }, "sysctl kernel.pid_max=N"),
        tasks(
            "kernel.threads-max",
            limits.threads_max,
            Limits { threads_max: limits.threads_max, ..only },
            "sysctl kernel.threads-max=N",
        ),
        tasks(
            "pids.max of the cgroup",
            limits.cgroup_tasks,
            Limits { cgroup_tasks: limits.cgroup_tasks, ..only },
            "raise it there, or run outside that cgroup",
        ),
        Allowance {
            limit: "RLIMIT_NOFILE",
            value: shown(limits.descriptors),
            allows: format!(
                "{} as processes, {} as threads",
                workers(&descriptors, PlacementKind::Processes),
                workers(&descriptors, PlacementKind::Threads)
            ),
            raise: "ulimit -Hn, as root",
        },
        Allowance {
            limit: "net.core.somaxconn",
            value: shown(limits.somaxconn),
            allows: format!("bursts of {}", burst(&somaxconn)),
            raise: "sysctl net.core.somaxconn=N, and the setting backlog",
        },
    ];
    found.extend(ports.map(|(first, last)| Allowance {
        limit: "net.ipv4.ip_local_port_range",
        value: format!("{first} to {last}"),
        allows: format!("{} connections at once to one listener", u32::from(last).saturating_sub(first.into()) + 1),
        raise: "sysctl net.ipv4.ip_local_port_range=\"1024 65535\"",
    }));
    found
}

fn shown(value: u64) -> String {
    if value == u64::MAX { "no limit".into() } else { value.to_string() }
}

/// The most workers that fit, each with an epoll instance of its own.
fn workers(limits: &Limits, placement: PlacementKind) -> String {
    let fits = |workers: u64| {
        let mut settings = Settings { workers: workers as u32, placement, ..Settings::default() };
        settings.worker.wait = "epoll".into();
        limits.refuse(&settings).is_none()
    };
    match largest(u64::from(WORKERS), fits) {
        n if n == u64::from(WORKERS) => format!("{n} workers, all that herd takes"),
        n => format!("{n} workers"),
    }
}

fn burst(limits: &Limits) -> u64 {
    largest(BURST, |burst| {
        let settings = Settings { burst, events: burst, load: "burst".into(), backlog: BACKLOG, ..Settings::default() };
        limits.refuse(&settings).is_none()
    })
}

/// The largest number up to `most` that fits, where all below it fit as well.
fn largest(most: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let (mut good, mut bad) = (0, most + 1);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        *if fits(middle) { &mut good } else { &mut bad } = middle;
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_is_found_at_both_ends() {
        assert_eq!(largest(10, |_| true), 10);
        assert_eq!(largest(10, |_| false), 0);
        assert_eq!(largest(10, |n| n <= 7), 7);
    }

    #[test]
    fn each_limit_is_seen_alone() {
        let machine = Limits {
            user_tasks: u64::MAX,
            pid_max: 1000,
            threads_max: 50_000,
            cgroup_tasks: 66,
            tasks_now: 100,
            descriptors: 1024,
            somaxconn: 128,
            maps: 65_530,
            memory_kib: u64::MAX,
            cpus: u128::MAX,
        };
        let found = allowances(&machine, Some((32_768, 60_999)));
        let said = |limit: &str| found.iter().find(|a| a.limit == limit).unwrap().allows.clone();
        assert_eq!(said("RLIMIT_NPROC"), "100000 workers, all that herd takes");
        assert_eq!(said("kernel.pid_max"), "898 workers");
        assert_eq!(said("pids.max of the cgroup"), "64 workers");
        assert_eq!(said("net.core.somaxconn"), "bursts of 129");
        assert_eq!(said("net.ipv4.ip_local_port_range"), "28232 connections at once to one listener");
        assert!(said("RLIMIT_NOFILE").ends_with("workers as threads"), "{}", said("RLIMIT_NOFILE"));
    }
}

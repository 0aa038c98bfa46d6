//! Reads where we run, so that every result carries it. Reads files only, and
//! leaves empty what this machine does not say.

use std::collections::BTreeMap;
use std::fs;

use crate::analysis::disturbance;
use crate::cell::softirq::backlog_threads;
use crate::results::Environment;
use crate::sys::realtime::is_realtime;

/// The environment of this process, now.
pub fn read() -> Environment {
    let uname = nix::sys::utsname::uname().ok();
    let field = |get: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        uname.as_ref().map(|u| get(u).to_string_lossy().into_owned()).unwrap_or_default()
    };
    let kernel_version = field(|u| u.version());
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut found = Environment {
        kernel_release: field(|u| u.release()),
        machine: field(|u| u.machine()),
        cpus_online: count_cpus(&line("/sys/devices/system/cpu/online")),
        cpus_allowed: allowed_cpus(),
        cpu_model: value_of(&cpuinfo, "model name").unwrap_or_default(),
        preemption: preemption(&kernel_version),
        scheduler: scheduler(),
        sched_ext: line("/sys/kernel/sched_ext/state"),
        mitigations: mitigations(),
        cgroup_cpu_quota: crate::cgroup::cpu_quota(),
        clock_source: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        virtualisation: virtualisation(&cpuinfo),
        load_average: line("/proc/loadavg"),
        rps_lo: line("/sys/class/net/lo/queues/rx-0/rps_cpus"),
        threaded_lo: line("/sys/class/net/lo/threaded"),
        realtime: is_realtime(&kernel_version, &line("/sys/kernel/realtime")),
        backlog_threads: backlog_threads(&line("/proc/cmdline")),
        busy_poll: line("/proc/sys/net/core/busy_poll"),
        busy_read: line("/proc/sys/net/core/busy_read"),
        tcp_syncookies: line("/proc/sys/net/ipv4/tcp_syncookies"),
        warnings: Vec::new(),
        user_id: nix::unistd::geteuid().as_raw(),
        libc: libc_name(),
        started: started(),
        kernel_version,
    };
    found.warnings = disturbance::warnings(&found);
    found
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn value_of(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// `0-3,6` is five CPUs.
fn count_cpus(list: &str) -> u64 {
    let part = |part: &str| -> Option<u64> {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(to.parse::<u64>().ok()?.checked_sub(from.parse().ok()?)? + 1)
    };
    list.split(',').filter_map(part).sum()
}

fn allowed_cpus() -> u64 {
    std::thread::available_parallelism().map_or(0, |n| n.get() as u64)
}

/// The mode in brackets where debugfs shows it, else what the build says.
fn preemption(version: &str) -> String {
    // Of a PREEMPT_RT kernel debugfs says "full".
    if is_realtime(version, &line("/sys/kernel/realtime")) {
        return "PREEMPT_RT".into();
    }
    let debug = line("/sys/kernel/debug/sched/preempt");
    if let Some(mode) = debug.split_once('(').and_then(|(_, rest)| rest.split_once(')')) {
        return mode.0.to_owned();
    }
    let built = ["PREEMPT_DYNAMIC", "PREEMPT_LAZY", "PREEMPT"];
    built.into_iter().find(|mode| version.contains(mode)).unwrap_or("none").into()
}

/// EEVDF shows its base slice; CFS had a latency target instead (Linux 6.6).
fn scheduler() -> String {
    let debug = "/sys/kernel/debug/sched";
    if fs::exists(format!("{debug}/base_slice_ns")).unwrap_or(false) {
        "EEVDF".into()
    } else if fs::exists(format!("{debug}/latency_ns")).unwrap_or(false) {
        "CFS".into()
    } else {
        String::new()
    }
}

fn mitigations() -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else {
        return BTreeMap::new();
    };
    let pairs = entries.flatten().map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, line(&entry.path().to_string_lossy()))
    });
    pairs.filter(|(_, state)| state != "Not affected").collect()
}

fn virtualisation(cpuinfo: &str) -> String {
    let flags = value_of(cpuinfo, "flags").unwrap_or_default();
    if !flags.split(' ').any(|flag| flag == "hypervisor") {
        return "none seen".into();
    }
    let vendor = line("/sys/class/dmi/id/sys_vendor");
    if vendor.is_empty() { "virtual machine".into() } else { format!("virtual machine ({vendor})") }
}

fn libc_name() -> String {
    if cfg!(target_env = "musl") { "musl".into() } else { "glibc".into() }
}

/// Seconds since the epoch: exact, and no calendar of our own.
fn started() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map(|d| d.as_secs().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_counted() {
        assert_eq!(count_cpus("0-3,6"), 5);
        assert_eq!(count_cpus("0"), 1);
        assert_eq!(count_cpus(""), 0);
    }

    #[test]
    fn preemption_is_found_in_the_version() {
        assert_eq!(preemption("#1 SMP PREEMPT_RT Debian 7.3~rc7-1~exp1"), "PREEMPT_RT");
        if line("/sys/kernel/debug/sched/preempt").is_empty() {
            assert_eq!(preemption("#1 SMP PREEMPT_DYNAMIC @0"), "PREEMPT_DYNAMIC");
        }
    }
}

//! Limits that a cell would hit, found before it runs: which one, its value,
//! how to raise it. Judging is pure; reading the machine is a function of its own.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};

use crate::experiment::Settings;
use crate::experiment::settings::Cpu;
use crate::{load, object};

/// What the lab itself has open in a process, at most.
const OWN_DESCRIPTORS: u64 = 64;

/// KiB that a helper takes at least, beside what it shares: its kernel stack, its page
/// tables, the touched part of its own stack, both ends of its connection. 10,000 took 32
/// and 86 KiB each of MemAvailable (threads and children, Linux 6.18.44).
const THREAD_KIB: u64 = 24;
const CHILD_KIB: u64 = 64;

/// Mappings of a thread: its stack and the guard below it.
const THREAD_MAPS: u64 = 2;

/// What this machine allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// RLIMIT_NPROC, `u64::MAX` where it does not bind (root).
    pub user_tasks: u64,
    pub pid_max: u64,
    pub threads_max: u64,
    /// pids.max of our cgroup.
    pub cgroup_tasks: u64,
    /// Tasks there are now.
    pub tasks_now: u64,
    /// Hard limit of RLIMIT_NOFILE: we raise the soft one ourselves.
    pub descriptors: u64,
    pub somaxconn: u64,
    /// vm.max_map_count: mappings of one process.
    pub maps: u64,
    /// Memory that is to be had, in KiB: MemAvailable, or memory.max of our cgroup.
    pub memory_kib: u64,
    /// The CPUs we may use, one bit each; those beyond the bits are taken for allowed.
    pub cpus: u128,
}

/// The hard limit of descriptors.
pub fn descriptors() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard)
}

impl Limits {
    /// Reads them; a file that is not there sets no limit.
    pub fn read() -> Limits {
        let number = |path: &str| {
            let text = fs::read_to_string(path).ok();
            text.and_then(|t| t.trim().parse().ok()).unwrap_or(u64::MAX)
        };
        let hard = |resource| getrlimit(resource).map_or(u64::MAX, |(_, hard)| hard);
        let root = nix::unistd::geteuid().is_root();
        Limits {
            user_tasks: if root { u64::MAX } else { hard(Resource::RLIMIT_NPROC) },
            pid_max: number("/proc/sys/kernel/pid_max"),
            threads_max: number("/proc/sys/kernel/threads-max"),
            cgroup_tasks: crate::cgroup::files("pids", "pids.max").iter().map(|p| number(p)).min().unwrap_or(u64::MAX),
            tasks_now: tasks_now(),
            descriptors: descriptors(),
            somaxconn: number("/proc/sys/net/core/somaxconn"),
            maps: number("/proc/sys/vm/max_map_count"),
            memory_kib: memory_kib(),
            cpus: crate::sys::cpus::allowed().map_or(u128::MAX, bits),
        }
    }

    /// Why a script has too few descriptors here. A machine that lacks them can show the
    /// rest of an experiment, so its cell is skipped and not refused.
    pub fn lacking(settings: &Settings, descriptors: u64) -> Option<String> {
        let needed = OWN_DESCRIPTORS + settings.script()?.descriptors();
        (needed > descriptors).then(|| {
            format!(
                "the script opens up to {needed} descriptors, but RLIMIT_NOFILE is {descriptors}; raise its hard limit \
                 with `ulimit -Hn`"
            )
        })
    }

    /// The first limit these settings would hit.
    pub fn refuse(&self, settings: &Settings) -> Option<String> {
        let placement = settings.placement();
        let workers = u64::from(settings.workers);
        // The coordinator and the front end are tasks as well.
        let helpers = helpers(settings);
        let tasks = workers + u64::from(settings.pressure.background) + helpers + 2;
        let room = |limit: u64| limit.saturating_sub(self.tasks_now);
        let (who_needs, fewer) = match helpers {
            0 => (format!("{workers} workers need"), "workers"),
            _ => (format!("{} for each of {helpers} clients needs", helper(settings)), "clients and idle_connections"),
        };
        let too_few = |what: &str, limit: u64, how: &str| {
            let in_use = self.tasks_now;
            Some(format!("{who_needs} {tasks} tasks, but {what} is {limit} and {in_use} are in use; {how}"))
        };
        if tasks > room(self.user_tasks) {
            let how = format!("raise it with `ulimit -u` or choose fewer {fewer}");
            return too_few("RLIMIT_NPROC", self.user_tasks, &how);
        }
        if tasks > room(self.pid_max) {
            return too_few("kernel.pid_max", self.pid_max, "raise it with `sysctl kernel.pid_max=N`");
        }
        if tasks > room(self.threads_max) {
            return too_few("kernel.threads-max", self.threads_max, "raise it with `sysctl kernel.threads-max=N`");
        }
        if tasks > self.cgroup_tasks {
            return too_few("pids.max of the cgroup", self.cgroup_tasks, "raise it there, or run outside that cgroup");
        }
        let threads = settings.worker.wait == "thread-per-client";
        if threads && helpers.saturating_mul(THREAD_MAPS) > self.maps {
            return Some(format!(
                "{who_needs} {} mappings, but vm.max_map_count is {}; raise it with `sysctl vm.max_map_count=N`, or \
                 choose fewer {fewer}",
                helpers * THREAD_MAPS,
                self.maps
            ));
        }
        let memory = helpers.saturating_mul(if threads { THREAD_KIB } else { CHILD_KIB });
        if memory > self.memory_kib {
            return Some(format!(
                "{who_needs} at least {} MiB of memory, but {} MiB are available; choose fewer {fewer}",
                memory / 1024,
                self.memory_kib / 1024
            ));
        }
        let batch = load::find(&settings.load).map_or(1, |load| load.batch(settings));
        let kept =
            if settings.stranded == crate::experiment::settings::Stranded::Count { settings.events } else { batch };
        let objects = u64::from(settings.objects)
            + if settings.opened_by == crate::experiment::settings::OpenedBy::Coordinator { workers } else { 0 };
        // Connections that stay may all be one worker's.
        let stay = settings.traffic.connections + settings.traffic.idle_connections;
        let coordinator = OWN_DESCRIPTORS
            + stay
            + settings.traffic.clients
            + kept
            + objects
            + if workers <= 1024 { 3 * workers } else { 0 };
        let per_worker = descriptors_of(settings);
        let process = OWN_DESCRIPTORS + stay + objects + u64::from(placement.threads) * per_worker;
        let descriptors = coordinator.max(process);
        if descriptors > self.descriptors {
            return Some(format!(
                "this needs up to {descriptors} descriptors in one process, but RLIMIT_NOFILE is {}; \
                 raise its hard limit with `ulimit -Hn`, or choose fewer workers, objects, connections, clients or events",
                self.descriptors
            ));
        }
        let queue = u64::from(settings.backlog).min(self.somaxconn);
        let listens = object::find(&settings.object).is_some_and(|object| object.listens());
        if listens && settings.worker.wait != "null" && batch > queue + 1 {
            return Some(format!(
                "a burst of {batch} does not fit an accept queue of {queue} (the smaller of backlog = {} and \
                 net.core.somaxconn = {}); raise it, or choose a smaller burst",
                settings.backlog, self.somaxconn
            ));
        }
        let absent = |cpu: &u32| self.cpus.checked_shr(*cpu).is_some_and(|bits| bits & 1 == 0);
        let of_workers = pinned_to(settings).map(|cpu| ("cpu", cpu));
        let named = settings.injector_cpu.map(|cpu| ("injector_cpu", cpu)).into_iter().chain(of_workers);
        let (key, cpu) = { named }.find(|(_, cpu)| absent(cpu))?;
        Some(format!(
            "{key} = {cpu} is not among the CPUs that herd may use (taskset -p, cpuset.cpus); choose another, or \"last\""
        ))
    }
}

/// Children or threads that serve single clients at the same time.
fn helpers(settings: &Settings) -> u64 {
    match settings.worker.wait.as_str() {
        "fork-per-client" | "thread-per-client" => settings.traffic.idle_connections + settings.traffic.clients,
        _ => 0,
    }
}

fn helper(settings: &Settings) -> &'static str {
    if settings.worker.wait == "thread-per-client" { "a thread" } else { "a child" }
}

/// The CPUs that workers name.
fn pinned_to(settings: &Settings) -> impl Iterator<Item = u32> {
    let workers = 0..if settings.overrides.is_empty() { 1 } else { settings.workers };
    workers.filter_map(|index| match settings.for_worker(index).scheduling.cpu {
        Cpu::Number(cpu) => Some(cpu),
        Cpu::Any | Cpu::Last => None,
    })
}

/// Descriptors one worker opens: its wait, its own listener, and the last
/// connection of each object.
fn descriptors_of(settings: &Settings) -> u64 {
    use crate::experiment::settings::{Instance, Sharing};
    let objects = u64::from(settings.objects);
    let wait = match (settings.worker.wait.as_str(), settings.worker.instance) {
        ("block" | "null", _) => 0,
        ("epoll", Instance::Nested) => 2,
        ("epoll", _) => 1,
        // The ring, and what a multishot request may have accepted by now.
        ("uring" | "uring-poll", _) => objects + 1,
        ("uring-multishot", _) => objects + 1 + load::find(&settings.load).map_or(1, |load| load.batch(settings)),
        _ => objects,
    };
    wait + objects + u64::from(settings.sharing == Sharing::Own)
}

fn bits(cpus: Vec<usize>) -> u128 {
    cpus.into_iter().filter(|cpu| *cpu < 128).fold(0, |bits, cpu| bits | 1 << cpu)
}

/// What the kernel could give, but never more than our cgroups may have. What these use now
/// is not taken off: most of it may be file cache, which goes when memory is asked for.
fn memory_kib() -> u64 {
    let groups = crate::cgroup::memory_limits().into_iter().map(|limit| limit.most / 1024);
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let here =
        text.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse().ok());
    groups.chain(here).min().unwrap_or(u64::MAX)
}

/// Behind the slash of the fourth field of /proc/loadavg.
fn tasks_now() -> u64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let field = text.split(' ').nth(3).and_then(|f| f.split_once('/'));
    field.and_then(|(_, total)| total.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMY: Limits = Limits {
        user_tasks: u64::MAX,
        pid_max: 32_768,
        threads_max: 100_000,
        cgroup_tasks: u64::MAX,
        tasks_now: 100,
        descriptors: 20_000,
        somaxconn: 4096,
        maps: 65_530,
        memory_kib: u64::MAX,
        cpus: 0b11,
    };

    fn settings(change: impl Fn(&mut Settings)) -> Settings {
        let mut settings = Settings::default();
        change(&mut settings);
        settings
    }

    #[track_caller]
    fn check(limits: Limits, settings: &Settings, want: Option<&str>) {
        match (limits.refuse(settings), want) {
            (None, None) => {}
            (Some(found), Some(want)) => assert!(found.contains(want), "{found}"),
            (found, want) => panic!("found {found:?}, wanted {want:?}"),
        }
    }

    #[test]
    fn each_limit_is_named_with_its_value() {
        let many = settings(|s| s.workers = 5000);
        check(ROOMY, &many, None);
        check(Limits { user_tasks: 1000, ..ROOMY }, &many, Some("RLIMIT_NPROC is 1000"));
        check(Limits { pid_max: 4000, ..ROOMY }, &many, Some("kernel.pid_max is 4000"));
        check(Limits { threads_max: 4000, ..ROOMY }, &many, Some("kernel.threads-max is 4000"));
        check(Limits { cgroup_tasks: 50, ..ROOMY }, &many, Some("pids.max of the cgroup is 50"));
        let few_fds = Limits { descriptors: 64, ..ROOMY };
        check(few_fds, &Settings::default(), Some("RLIMIT_NOFILE is 64"));
    }

    #[test]
    fn a_thread_or_child_for_each_client_says_where_it_stops() {
        let held = |kind: &str, idle: u64| {
            settings(|s| (s.worker.wait, s.workers, s.traffic.idle_connections) = (kind.into(), 1, idle))
        };
        let (fork, thread, one_loop) = ("fork-per-client", "thread-per-client", "epoll");
        for kind in [fork, thread, one_loop] {
            check(ROOMY, &held(kind, 10_000), None);
            check(ROOMY, &held(kind, 19_990), Some("descriptors in one process, but RLIMIT_NOFILE is 20000"));
        }
        let few = Limits { cgroup_tasks: 5000, ..ROOMY };
        let pids = "a child for each of 10000 clients needs 10003 tasks, but pids.max of the cgroup is 5000";
        check(few, &held(fork, 10_000), Some(pids));
        check(few, &held(one_loop, 10_000), None);
        let many = Limits { pid_max: 4_000_000, descriptors: 1_000_000, ..ROOMY };
        check(many, &held(thread, 40_000), Some("a thread for each of 40000 clients needs 80000 mappings"));
        check(many, &held(fork, 40_000), None);
        let small = Limits { memory_kib: 300 << 10, ..ROOMY };
        check(small, &held(fork, 10_000), Some("at least 625 MiB of memory, but 300 MiB are available"));
        check(small, &held(thread, 10_000), None);
        check(small, &held(one_loop, 10_000), None);
    }

    #[test]
    fn the_injector_needs_its_cpu() {
        check(ROOMY, &settings(|s| s.injector_cpu = Some(1)), None);
        check(ROOMY, &settings(|s| s.injector_cpu = Some(2)), Some("injector_cpu = 2"));
        check(ROOMY, &settings(|s| s.injector_cpu = Some(500)), None);
    }

    #[test]
    fn a_script_of_many_pipes_is_lacking_and_not_refused() {
        let pipes = settings(|s| {
            s.script = ["pipes 1500", "pipe r w", "capacity r -> 8192"].map(String::from).into();
            s.workers = 0;
        });
        assert_eq!(Limits::lacking(&pipes, ROOMY.descriptors), None);
        let few = Limits { descriptors: 1024, ..ROOMY };
        assert_eq!(few.refuse(&pipes), None);
        assert!(
            Limits::lacking(&pipes, few.descriptors)
                .unwrap()
                .contains("up to 3066 descriptors, but RLIMIT_NOFILE is 1024")
        );
        assert_eq!(Limits::lacking(&Settings::default(), few.descriptors), None);
    }

    #[test]
    fn a_worker_needs_its_cpu() {
        check(ROOMY, &settings(|s| s.worker.scheduling.cpu = Cpu::Number(1)), None);
        check(ROOMY, &settings(|s| s.worker.scheduling.cpu = Cpu::Number(2)), Some("cpu = 2 is not among"));
        check(ROOMY, &settings(|s| s.worker.scheduling.cpu = Cpu::Last), None);
    }

    #[test]
    fn a_burst_must_fit_the_accept_queue() {
        let burst = settings(|s| {
            s.burst = 600;
            s.load = "burst".into();
            s.events = 600;
        });
        check(ROOMY, &burst, Some("backlog = 512"));
        check(Limits { somaxconn: 128, ..ROOMY }, &burst, Some("net.core.somaxconn = 128"));
    }
}

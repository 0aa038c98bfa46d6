//! Where the control files of our cgroup are, and a group below it in which CPU
//! time is limited. The group must be taken away by somebody who outlives its
//! tasks; what was there before is never changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::observation::Throttling;

/// File `name` of `controller` in our cgroup and each one above it, nearest
/// first, under v2 and v1. Whether it exists is for the reader to see.
pub fn files(controller: &str, name: &str) -> Vec<String> {
    paths(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default(), controller, name)
}

fn paths(own: &str, controller: &str, name: &str) -> Vec<String> {
    let groups = own.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        match controllers {
            "" => Some(("/sys/fs/cgroup".to_owned(), path)),
            list if list.split(',').any(|c| c == controller) => Some((format!("/sys/fs/cgroup/{controller}"), path)),
            _ => None,
        }
    });
    let files = groups.flat_map(|(root, path)| {
        Path::new(path)
            .ancestors()
            .map(|p| format!("{root}{}/{name}", p.display().to_string().trim_end_matches('/')))
            .collect::<Vec<_>>()
    });
    files.collect()
}

/// The CPU quota that binds us first, as its file says it; empty without one.
pub fn cpu_quota() -> String {
    let v2 = files("cpu", "cpu.max").into_iter().filter_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        let quota = text.trim().to_owned();
        (!quota.is_empty() && !quota.starts_with("max")).then_some(quota)
    });
    let v1 = files("cpu", "cpu.cfs_quota_us").into_iter().filter_map(|file| {
        let quota = fs::read_to_string(file).ok()?.trim().to_owned();
        quota.parse::<i64>().ok().filter(|us| *us > 0).map(|us| us.to_string())
    });
    v2.chain(v1).next().unwrap_or_default()
}

/// What a cgroup of ours may have of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// In bytes.
    pub most: u64,
    /// In bytes, without the file cache that goes when memory is asked for; `None` where
    /// the kernel does not say.
    pub used: Option<u64>,
}

/// The limit file of each version; beside it what says the use, and the line of memory.stat
/// with the file cache that was not used of late, the group's and those of the groups below.
const MEMORY: [(&str, &str, &str); 2] = [
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
];

/// The limits of memory on our cgroup and each above it, under v2 and v1. One without a
/// limit is left out (v2), or has one that no machine reaches (v1).
pub fn memory_limits() -> Vec<MemoryLimit> {
    let of = |(limit, used, cache): &(&str, &str, &str)| -> Vec<MemoryLimit> {
        let all = files("memory", limit).into_iter();
        all.filter_map(|limit| memory_limit(Path::new(&limit), used, cache)).collect()
    };
    MEMORY.iter().flat_map(of).collect()
}

fn memory_limit(limit: &Path, used: &str, cache: &str) -> Option<MemoryLimit> {
    let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let stat = fs::read_to_string(limit.with_file_name("memory.stat")).unwrap_or_default();
    let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
    let cached = lines.find(|(name, _)| *name == cache).and_then(|(_, bytes)| bytes.trim().parse().ok()).unwrap_or(0);
    let used = number(&limit.with_file_name(used)).map(|bytes| bytes.saturating_sub(cached));
    Some(MemoryLimit { most: number(limit)?, used })
}

/// A group of our own with a quota of CPU time (controller cpu).
#[derive(Clone, Debug)]
pub struct CpuGroup {
    folder: PathBuf,
    /// cpu.max in place of cpu.cfs_quota_us.
    v2: bool,
    /// Lists the tasks of the group that we are in before.
    home: PathBuf,
}

impl CpuGroup {
    /// Where a group named `name` can be made: in our group under v1; under v2 in
    /// the nearest one that hands the controller on, which one with tasks cannot.
    pub fn place(name: &str) -> Result<CpuGroup, String> {
        let hands_on = |file: &String| {
            fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|controller| controller == "cpu"))
        };
        let v2 = files("cpu", "cgroup.subtree_control").into_iter().find(hands_on);
        let v1 = || files("cpu", "cpu.cfs_quota_us").into_iter().find(|file| Path::new(file).exists());
        let (is_v2, file) = match (v2, v1()) {
            (Some(file), _) => (true, file),
            (None, Some(file)) => (false, file),
            (None, None) => return Err("no cgroup of ours has the controller cpu, or hands it on".into()),
        };
        let parent = Path::new(&file).parent().expect("a file is in a folder");
        let home = match is_v2 {
            true => files("", "cgroup.procs").into_iter().map(PathBuf::from).find(|home| home.exists()),
            false => Some(parent.join("cgroup.procs")),
        };
        Ok(CpuGroup { folder: parent.join(name), v2: is_v2, home: home.ok_or("our own cgroup cannot be seen")? })
    }

    /// The folder, for messages.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes it. One of the same name without tasks was left by somebody killed.
    pub fn make(&self, quota_us: u64, period_us: u64) -> io::Result<()> {
        let _ = fs::remove_dir(&self.folder);
        fs::create_dir(&self.folder)?;
        let limited = match self.v2 {
            true => self.write("cpu.max", &format!("{quota_us} {period_us}")),
            false => self
                .write("cpu.cfs_period_us", &period_us.to_string())
                .and_then(|()| self.write("cpu.cfs_quota_us", &quota_us.to_string())),
        };
        limited.inspect_err(|_| drop(self.remove()))
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        // Not fs::write: such a file can be neither made nor cut.
        io::Write::write_all(&mut fs::File::options().write(true).open(self.folder.join(file))?, text.as_bytes())
    }

    /// EBUSY while there are tasks in it.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir(&self.folder)
    }

    /// Moves this process into it; children that it forks are born there.
    pub fn enter(&self) -> io::Result<()> {
        self.write("cgroup.procs", "0")
    }

    /// Moves this process back.
    pub fn leave(&self) -> io::Result<()> {
        io::Write::write_all(&mut fs::File::options().write(true).open(&self.home)?, b"0")
    }

    pub fn throttling(&self) -> io::Result<Throttling> {
        Ok(throttling(&fs::read_to_string(self.folder.join("cpu.stat"))?))
    }
}

fn throttling(stat: &str) -> Throttling {
    let value = |name: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.trim().parse::<u64>().ok())
    };
    Throttling {
        periods: value("nr_periods").unwrap_or(0),
        throttled: value("nr_throttled").unwrap_or(0),
        // Nanoseconds under v1, microseconds under v2.
        held_ns: value("throttled_time").or(value("throttled_usec").map(|us| us * 1000)).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found_up_to_the_root() {
        let own = "8:pids:/a\n1:cpu,cpuacct:/\n0::/user.slice/x\n";
        let want = [
            "/sys/fs/cgroup/pids/a/f",
            "/sys/fs/cgroup/pids/f",
            "/sys/fs/cgroup/user.slice/x/f",
            "/sys/fs/cgroup/user.slice/f",
            "/sys/fs/cgroup/f",
        ];
        assert_eq!(paths(own, "pids", "f"), want);
        assert_eq!(paths(own, "cpu", "f")[0], "/sys/fs/cgroup/cpu/f");
    }

    #[test]
    fn limits_of_memory_are_read_under_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let read = |index: usize, limit: &str, used: Option<&str>| {
            let (limit_file, used_file, cache) = MEMORY[index];
            fs::write(folder.path().join(limit_file), limit).unwrap();
            used.into_iter().for_each(|text| fs::write(folder.path().join(used_file), text).unwrap());
            memory_limit(&folder.path().join(limit_file), used_file, cache)
        };
        assert_eq!(read(0, "max\n", None), None);
        assert_eq!(read(0, "4096\n", None), Some(MemoryLimit { most: 4096, used: None }));
        assert_eq!(read(0, "4096\n", Some("1024\n")), Some(MemoryLimit { most: 4096, used: Some(1024) }));
        let unlimited = 9_223_372_036_854_771_712;
        let v1 = read(1, &format!("{unlimited}\n"), Some("2048\n"));
        assert_eq!(v1, Some(MemoryLimit { most: unlimited, used: Some(2048) }));
        let stat = "inactive_anon 1\ninactive_file 24\ntotal_inactive_file 48\n";
        fs::write(folder.path().join("memory.stat"), stat).unwrap();
        assert_eq!(read(0, "4096\n", Some("1024\n")).unwrap().used, Some(1000));
        assert_eq!(read(1, "4096\n", Some("2048\n")).unwrap().used, Some(2000));
        assert_eq!(memory_limit(&folder.path().join("none"), "none", "none"), None);
    }

    #[test]
    fn both_versions_of_cpu_stat_are_read() {
        let want = Throttling { periods: 7, throttled: 3, held_ns: 42_000 };
        assert_eq!(throttling("nr_periods 7\nnr_throttled 3\nthrottled_time 42000\n"), want);
        assert_eq!(throttling("usage_usec 9\nnr_periods 7\nnr_throttled 3\nthrottled_usec 42\n"), want);
        assert_eq!(throttling(""), Throttling::default());
    }
}

//! Where the control files of our cgroup are. Reads /proc/self/cgroup only.

use std::fs;
use std::path::Path;

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
}

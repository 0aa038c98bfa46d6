//! Which processes there are below one, and their threads.

use std::fs;
use std::io;

/// `PF_KTHREAD` of include/linux/sched.h, in the field `flags` of stat.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// One process, as /proc/PID/stat shows it (proc_pid_stat(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub name: String,
    pub state: char,
    pub kernel: bool,
}

/// One process; an error where there is none.
pub fn process(pid: u32) -> io::Result<Process> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse(pid, &text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat says {text:?}")))
}

fn parse(pid: u32, text: &str) -> Option<Process> {
    // A name may hold spaces and brackets: it ends at the last of them.
    let (head, tail) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        name,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        kernel: fields.get(6)?.parse::<u64>().ok()? & KERNEL_THREAD != 0,
    })
}

/// `root` and its descendants, parents first. Who has ended is left out.
pub fn below(root: u32) -> Vec<Process> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    let mut rest: Vec<Process> =
        numbers.filter_map(|pid| process(pid).ok()).filter(|p| !matches!(p.state, 'Z' | 'X')).collect();
    rest.sort_by_key(|process| process.pid);
    let mut found = Vec::new();
    let mut parents = vec![root];
    // Each pass takes out one generation, so it ends.
    loop {
        let (next, others): (Vec<Process>, Vec<Process>) =
            rest.into_iter().partition(|p| if found.is_empty() { p.pid == root } else { parents.contains(&p.parent) });
        if next.is_empty() {
            return found;
        }
        parents = next.iter().map(|process| process.pid).collect();
        found.extend(next);
        rest = others;
    }
}

/// The threads of a process; none if it has ended.
pub fn threads(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let mut found: Vec<u32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    found.sort_unstable();
    found
}

/// The name of one thread.
pub fn name(pid: u32, tid: u32) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let found = parse(7, "7 (a) (b) S 3 7 7 0 -1 2097216 0").unwrap();
        assert_eq!((found.name.as_str(), found.parent, found.state, found.kernel), ("a) (b", 3, 'S', true));
        assert_eq!(parse(7, "nonsense"), None);
    }

    #[test]
    fn we_are_below_our_parent_and_no_kernel_thread() {
        let us = process(std::process::id()).unwrap();
        assert!(!us.kernel);
        let family = below(us.parent);
        assert_eq!(family[0].pid, us.parent);
        assert!(family.contains(&Process { state: family.iter().find(|p| p.pid == us.pid).unwrap().state, ..us }));
    }
}

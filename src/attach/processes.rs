//! Which processes there are below one, and their threads.

use std::fs;
use std::io;

use nix::errno::Errno;

use crate::sys::stat;

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
    // A name may be cut in the middle of a character.
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    let text = String::from_utf8_lossy(&bytes);
    parse(pid, &text).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat says {text:?}")))
}

fn parse(pid: u32, text: &str) -> Option<Process> {
    Some(Process {
        pid,
        name: stat::name(text)?.to_owned(),
        state: stat::state(text)?,
        parent: stat::field(text, 4)?,
        kernel: stat::field::<u64>(text, 9)? & KERNEL_THREAD != 0,
    })
}

/// Whether an error says that the process or thread is no more.
pub fn has_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::ESRCH as i32)
}

/// Whether we lack descriptors or memory, so that an error says nothing of the process.
fn out_of_means(error: &io::Error) -> bool {
    [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM].iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

/// `root` and its descendants, parents first. Who has ended is left out. An error where
/// we cannot look, which does not mean that nobody is there.
pub fn below(root: u32) -> io::Result<Vec<Process>> {
    let mut rest = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        match process(pid) {
            Ok(process) if matches!(process.state, 'Z' | 'X') => {}
            Ok(process) => rest.push(process),
            Err(e) if out_of_means(&e) => return Err(e),
            // It has ended, or is hidden from us (hidepid).
            Err(_) => {}
        }
    }
    rest.sort_by_key(|process| process.pid);
    let mut found = Vec::new();
    let mut parents = vec![root];
    // Each pass takes out one generation, so it ends.
    loop {
        let (next, others): (Vec<Process>, Vec<Process>) =
            rest.into_iter().partition(|p| if found.is_empty() { p.pid == root } else { parents.contains(&p.parent) });
        if next.is_empty() {
            return Ok(found);
        }
        parents = next.iter().map(|process| process.pid).collect();
        found.extend(next);
        rest = others;
    }
}

/// The threads of a process; none if it has ended.
pub fn threads(pid: u32) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(format!("/proc/{pid}/task")) {
        Ok(entries) => entries,
        Err(e) if has_gone(&e) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found: Vec<u32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    found.sort_unstable();
    Ok(found)
}

/// The name of one thread.
pub fn name(pid: u32, tid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
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
    fn a_name_cut_inside_a_character_is_read() {
        let shown = std::thread::Builder::new().spawn(|| {
            let tid = nix::unistd::gettid().as_raw() as u32;
            // Fifteen bytes are kept: the eighth character loses its second byte.
            fs::write(format!("/proc/self/task/{tid}/comm"), "\u{fc}".repeat(8)).unwrap();
            let task = crate::cell::task::Task::new(std::process::id(), tid, true).unwrap();
            (name(std::process::id(), tid), process(tid).map(|found| found.pid == tid), task.sleeps(), task.switches())
        });
        let (name, process, sleeps, switches) = shown.unwrap().join().unwrap();
        assert!(name.starts_with(&"\u{fc}".repeat(7)), "{name}");
        assert!(process.unwrap() && !sleeps.unwrap() && switches.is_ok());
    }

    #[test]
    fn we_are_below_our_parent_and_no_kernel_thread() {
        let us = process(std::process::id()).unwrap();
        assert!(!us.kernel);
        let family = below(us.parent).unwrap();
        assert_eq!(family[0].pid, us.parent);
        assert!(family.contains(&Process { state: family.iter().find(|p| p.pid == us.pid).unwrap().state, ..us }));
    }
}

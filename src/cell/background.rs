//! Other load on the machine, as a part of the cell: processes that use CPU time
//! and do nothing else. They are no workers, touch nothing of the cell, and die
//! with the coordinator.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::sys;

/// Running processes.
pub struct Background(Vec<Pid>);

impl Background {
    /// Starts `count` of them, number i on CPU i modulo the CPUs there are, so that
    /// all CPUs carry the same.
    pub fn start(count: u32, cpus: &[usize]) -> Result<Background, String> {
        let mut background = Background(Vec::new());
        let coordinator = nix::unistd::getpid();
        for number in 0..count as usize {
            let pid = sys::fork::fork_running(|| {
                // A name of its own: sources that count by name must see workers only.
                let ready = sys::fork::die_with(coordinator)
                    .and_then(|()| sys::signal::default_termination())
                    .and_then(|()| Ok(nix::sys::prctl::set_name(c"herd-load")?))
                    .and_then(|()| Ok(sys::cpus::pin_to(cpus[number % cpus.len()])?));
                while ready.is_ok() {
                    std::hint::spin_loop();
                }
                1
            })
            .map_err(|e| format!("cannot start background process {number} of {count}: {e}"))?;
            background.0.push(pid);
        }
        Ok(background)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // None is reaped before, so the numbers are still theirs.
        for pid in &self.0 {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        for pid in &self.0 {
            let _ = waitpid(*pid, None);
        }
    }
}

//! All guests of one call: starts them as places become free, hears them by turns,
//! and tries once more without KVM where that does not come up, or where an emulated
//! kernel crashed on its way to PID 1. A guest that has spoken is never run again.

use std::fs::File;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::kernel::Kernel;
use super::qemu::{Accel, Guest, Options, Outcome};

/// All guests of one call: at most `jobs` run at once.
pub struct Farm<'a> {
    pub kernels: &'a [Kernel],
    pub initrd: &'a File,
    pub options: &'a Options,
    pub jobs: usize,
}

impl Farm<'_> {
    /// Runs all. `look` is called some times a second with what runs, and says
    /// whether to go on; guests are ended when it does not.
    pub fn run(&self, mut look: impl FnMut(&[(usize, Guest)]) -> bool) -> Vec<Outcome> {
        let mut outcomes: Vec<Option<Outcome>> = self.kernels.iter().map(|_| None).collect();
        let mut running: Vec<(usize, Guest)> = Vec::new();
        let mut crashed: Vec<Option<String>> = vec![None; self.kernels.len()];
        let mut next = 0;
        let mut go_on = true;
        while (go_on && next < self.kernels.len()) || !running.is_empty() {
            while go_on && next < self.kernels.len() && running.len() < self.jobs {
                match Guest::start(&self.kernels[next], self.initrd, self.options) {
                    Ok(guest) => running.push((next, guest)),
                    Err(why) => outcomes[next] = Some(Outcome::unstarted(why)),
                }
                next += 1;
            }
            wait_for_word(&running);
            go_on &= look(&running);
            for at in (0..running.len()).rev() {
                let (kernel, guest) = &mut running[at];
                let ended = if go_on { guest.hear(self.options.limit) } else { Some(Err("interrupted".into())) };
                let slow = ended.is_none() && self.options.accel == Accel::Auto && guest.crawls();
                let kernel = *kernel;
                let failed = go_on && matches!(ended, Some(Err(_)));
                let crash = if failed && crashed[kernel].is_none() { guest.crash_before_init() } else { None };
                if slow || crash.is_some() {
                    crashed[kernel] = crash.or(crashed[kernel].take());
                    match Guest::emulate(&self.kernels[kernel], self.initrd, self.options) {
                        Ok(again) => running[at].1 = again,
                        Err(why) => {
                            running.swap_remove(at);
                            outcomes[kernel] = Some(Outcome::unstarted(why));
                        }
                    }
                } else if let Some(result) = ended {
                    let (_, guest) = running.swap_remove(at);
                    let mut outcome = guest.finish(result);
                    outcome.crashed_first = crashed[kernel].take();
                    outcomes[kernel] = Some(outcome);
                }
            }
        }
        outcomes
            .into_iter()
            .map(|o| o.unwrap_or_else(|| Outcome::unstarted("interrupted before it was started".into())))
            .collect()
    }
}

/// Until some guest says something, or a moment has passed.
fn wait_for_word(running: &[(usize, Guest)]) {
    let fds = running.iter().flat_map(|(_, guest)| guest.ports());
    let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    let _ = poll(&mut fds, PollTimeout::from(100u8));
}

//! The limit on the CPU time of all workers: a cgroup made for the cell, with a
//! keeper that takes it away when the last of its tasks is gone, whoever was killed.

use std::io;
use std::time::{Duration, Instant};

use crate::cgroup::CpuGroup;
use crate::experiment::settings::Quota;
use crate::observation::Throttling;
use crate::sys::keeper::Keeper;

/// How long tasks that are ending may stay in the group.
const EMPTY_LIMIT: Duration = Duration::from_secs(10);

/// A group that exists.
pub struct Limited {
    group: CpuGroup,
    _keeper: Keeper,
}

impl Limited {
    /// Makes it, named after this process, which stays outside.
    pub fn new(quota: Quota) -> Result<Limited, String> {
        let group = CpuGroup::place(&format!("herd-{}", std::process::id()))?;
        let (quota_us, period_us) = (u64::from(quota.ms) * 1000, u64::from(quota.period_ms) * 1000);
        let keeper =
            Keeper::start(|| group.make(quota_us, period_us).map(|()| 0), |_| remove(&group)).map_err(|e| {
                format!("cannot make the cgroup {} with a quota of {quota} ms: {e}", group.folder().display())
            })?;
        Ok(Limited { group, _keeper: keeper })
    }

    /// Runs `fork`, whose children are born in the group.
    pub fn around<T>(&self, fork: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        let moved = |e: io::Error| format!("cannot move to or from the cgroup {}: {e}", self.group.folder().display());
        self.group.enter().map_err(moved)?;
        let forked = fork();
        self.group.leave().map_err(moved)?;
        forked
    }

    pub fn throttling(&self) -> io::Result<Throttling> {
        self.group.throttling()
    }
}

/// In the keeper: a task lets go of its pipe a moment before it leaves the group.
fn remove(group: &CpuGroup) {
    let deadline = Instant::now() + EMPTY_LIMIT;
    while Instant::now() < deadline && group.remove().is_err_and(|e| e.raw_os_error() == Some(libc::EBUSY)) {
        crate::sys::spin::yield_cpu();
    }
}

//! What the rounds shown so far came to: woken, got it, for nothing.

use crate::scene::{Part, Scene};

/// Sums over rounds that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub rounds: u64,
    pub fired: u64,
    pub wakeups: u64,
    pub claims: u64,
    hidden: u64,
    visible: u64,
    /// By worker: wakeups and claims.
    pub workers: Vec<(u64, u64)>,
}

impl Sums {
    pub fn add(&mut self, scene: &Scene) {
        self.rounds += 1;
        self.fired += scene.fired;
        self.wakeups += scene.wakeups;
        self.workers.resize(self.workers.len().max(scene.parts.len()), (0, 0));
        for (sum, part) in self.workers.iter_mut().zip(&scene.parts) {
            self.claims += part.claims;
            *sum = (sum.0 + part.wakeups, sum.1 + part.claims);
        }
        let (hidden, visible) = for_nothing(scene);
        (self.hidden, self.visible) = (self.hidden + hidden, self.visible + visible);
    }

    /// These of one scene.
    pub fn of(scene: &Scene) -> Sums {
        let mut sums = Sums::default();
        sums.add(scene);
        sums
    }

    /// Events that no worker has taken.
    pub fn left(&self) -> u64 {
        self.fired.saturating_sub(self.claims)
    }

    /// In words; `source` is where the counts come from.
    pub fn words(&self, source: &str) -> String {
        let (hidden, visible) = (self.hidden, self.visible);
        let how = match source {
            // It cannot see who slept again inside the kernel.
            "ledger" => format!("{visible} EAGAIN, hidden unknown"),
            _ => format!("{hidden} hidden, {visible} EAGAIN"),
        };
        let left = if self.left() > 0 { format!(", {} left", self.left()) } else { String::new() };
        format!("{} woken, {} got it, {} for nothing ({how}){left}", self.wakeups, self.claims, hidden + visible)
    }
}

/// Hidden and visible wakeups for nothing in one scene. Of single events these are the
/// metrics of the same names. Of a burst they may be more: there the metrics set the
/// returns of a worker that took many off against the wakeups of those that took none.
fn for_nothing(scene: &Scene) -> (u64, u64) {
    let split = |wakeups: u64, returns: u64, empties: u64| {
        let spurious = wakeups.saturating_sub(returns.saturating_sub(empties));
        let visible = spurious.min(empties);
        (spurious - visible, visible)
    };
    let sum = |of: fn(&Part) -> u64| scene.parts.iter().map(of).sum::<u64>();
    if sum(|part| part.wakeups) != scene.wakeups {
        // The source knows only the sum.
        return split(scene.wakeups, sum(|part| part.returns), sum(|part| part.empties));
    }
    let each = scene.parts.iter().map(|part| split(part.wakeups, part.returns, part.empties));
    each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

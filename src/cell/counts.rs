//! What one worker has counted by its own word, at one moment.

use std::collections::BTreeMap;

/// By the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub returns: u64,
    pub claims: u64,
    pub empty_returns: u64,
    pub own_sleeps: u64,
    /// By errno.
    pub errors: BTreeMap<String, u64>,
}

impl Counts {
    /// What was added since `before`.
    pub fn since(mut self, before: &Counts) -> Counts {
        for (errno, count) in &before.errors {
            self.errors.entry(errno.clone()).and_modify(|now| *now -= count);
        }
        self.errors.retain(|_, count| *count > 0);
        Counts {
            returns: self.returns - before.returns,
            claims: self.claims - before.claims,
            empty_returns: self.empty_returns - before.empty_returns,
            own_sleeps: self.own_sleeps - before.own_sleeps,
            errors: self.errors,
        }
    }
}

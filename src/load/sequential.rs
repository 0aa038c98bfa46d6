//! The next event only when everybody sleeps: the load whose counts are exact.

use super::Load;
use crate::experiment::Settings;

/// One event at a time.
pub struct Sequential;

impl Load for Sequential {
    fn name(&self) -> &'static str {
        "sequential"
    }

    fn about(&self) -> &'static str {
        "one event, then wait until everybody sleeps again"
    }

    fn batch(&self, _: &Settings) -> u64 {
        1
    }
}

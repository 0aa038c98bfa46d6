//! Several events back to back, then the barrier. Within a burst workers are
//! awake when the next event comes, so its counts depend on timing.

use super::Load;
use crate::experiment::Settings;

/// `burst` events at a time.
pub struct Burst;

impl Load for Burst {
    fn name(&self) -> &'static str {
        "burst"
    }

    fn about(&self) -> &'static str {
        "`burst` events back to back, then wait until everybody sleeps again"
    }

    fn batch(&self, settings: &Settings) -> u64 {
        settings.burst
    }
}

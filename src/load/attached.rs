//! Foreign clients: the cell makes no events of its own. Its workers wait on a port,
//! whoever likes connects, and what that cost is counted. For load generators that
//! others wrote, and for holding our own against them.

use super::{Load, Pace};
use crate::experiment::Settings;

/// Whoever comes within `duration_ms`.
pub struct Attached;

impl Load for Attached {
    fn name(&self) -> &'static str {
        "attached"
    }

    fn about(&self) -> &'static str {
        "none of its own: for `duration_ms` whoever connects to `port` is served and counted"
    }

    fn batch(&self, _: &Settings) -> u64 {
        1
    }

    fn pace(&self, _: &Settings) -> Option<Pace> {
        Some(Pace::Attached)
    }
}

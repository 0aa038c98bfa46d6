//! The command line of `herd attach`.

use std::time::Duration;

use clap::Args;

use super::advise::time_of;

/// The longest that one call may count.
const LONGEST: Duration = Duration::from_secs(86_400);

#[derive(Debug, Args)]
pub struct AttachArgs {
    /// The process that is the server, or the parent of its workers.
    #[arg(long, short, value_name = "PARENT")]
    pub pid: u32,
    /// Count for so long: 500ms, 10s; 10s if not said, 60s with --events.
    #[arg(long = "for", value_name = "TIME", value_parser = time, conflicts_with = "connect")]
    pub time: Option<Duration>,
    /// Stop when so many connections were accepted.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "connect")]
    pub events: Option<u64>,
    /// Make N connections, one at a time, and count each from quiet to quiet: exact.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub connect: Option<u64>,
    /// Only listeners at this port; all if not said.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Count wakeups with this source instead of the best there is.
    #[arg(long, value_name = "SOURCE", value_parser = crate::attach::counter::NAMES)]
    pub count_with: Option<String>,
    /// How to show it.
    #[arg(long, short, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
    /// No progress.
    #[arg(long, short)]
    pub quiet: bool,
}

impl AttachArgs {
    /// How long to count.
    pub fn time(&self) -> Duration {
        self.time.unwrap_or(Duration::from_secs(if self.events.is_some() { 60 } else { 10 }))
    }
}

fn time(text: &str) -> Result<Duration, String> {
    time_of(text, LONGEST, "500ms, 10s, at most 86400s")
}

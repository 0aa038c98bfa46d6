//! The command line of `herd watch`.

use clap::Args;

use crate::experiment::cells::Set;

#[derive(Debug, Args)]
pub struct WatchArgs {
    /// A name from `herd list`, or an experiment file; NAME:ROW for one of its waits.
    #[arg(value_name = "NAME or FILE")]
    pub experiment: String,
    /// Change a setting: workers=4.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<Set>,
    /// How fast it is shown: at 1 an event takes four seconds, at 2 it takes two.
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = speed)]
    pub speed: f64,
    /// So many events of each wait.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub events: u64,
    /// Count wakeups with this source instead of the best there is.
    #[arg(long, value_name = "SOURCE", value_parser = crate::cell::count::NAMES)]
    pub count_with: Option<String>,
}

/// The slowest and the fastest that a person would want.
pub const SPEEDS: (f64, f64) = (1.0 / 64.0, 64.0);

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (SPEEDS.0..=SPEEDS.1).contains(&speed) {
        true => Ok(speed),
        false => Err(format!("must be from {} to {}", SPEEDS.0, SPEEDS.1)),
    }
}

//! The command line of `herd advise`.

use std::time::Duration;

use clap::Args;

#[derive(Debug, Args)]
pub struct AdviseArgs {
    /// Workers; one for each CPU if not said.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub workers: Option<u32>,
    /// Where the workers live.
    #[arg(long, default_value = "processes", value_parser = ["processes", "threads"])]
    pub placement: String,
    /// What one connection takes: 250us, 1ms.
    #[arg(long, default_value = "0us", value_name = "TIME", value_parser = time)]
    pub service_time: Duration,
    /// The workers sleep for that long (waiting for a database) instead of computing.
    #[arg(long)]
    pub sleeping: bool,
    /// Connections a second, at random times (open loop).
    #[arg(long, value_name = "PER SECOND", conflicts_with = "clients", value_parser = rate)]
    pub rate: Option<f64>,
    /// Clients that each have one connection at a time (closed loop); two for each worker if neither is said.
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub clients: Option<u64>,
    /// Connections in each cell.
    #[arg(long, default_value_t = 2000, value_name = "K", value_parser = clap::value_parser!(u64).range(10..=10_000_000))]
    pub events: u64,
    /// How often each cell is run, in turns, so that drift hits all alike.
    #[arg(long, default_value_t = 3, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// How to show it.
    #[arg(long, short, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
    /// No progress.
    #[arg(long, short)]
    pub quiet: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    time_of(text, Duration::from_secs(10), "250us, 1ms or 2s, at most 10s")
}

/// A number with its unit, at most `longest`; `examples` are for who wrote something else.
pub(super) fn time_of(text: &str, longest: Duration, examples: &str) -> Result<Duration, String> {
    let wanted = || format!("{text:?} is no time; write {examples}");
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| wanted())?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        _ => return Err(wanted()),
    };
    if seconds <= longest.as_secs_f64() { Ok(Duration::from_secs_f64(seconds)) } else { Err(wanted()) }
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=1_000_000.0).contains(rate));
    rate.ok_or_else(|| format!("{text:?} is no rate; write a number from 0.1 to 1000000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_a_bound() {
        assert_eq!(time("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(time("1.5ms"), Ok(Duration::from_micros(1500)));
        for bad in ["5", "ms", "11s", "-1ms", "1h", ""] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(rate("0").is_err() && rate("nan").is_err() && rate("2000") == Ok(2000.0));
    }
}

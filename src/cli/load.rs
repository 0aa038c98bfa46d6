//! The command line of `herd load`.

use std::time::Duration;

use clap::Args;

use super::advise::rate;

/// A load that was forgotten ends after a day.
const LONGEST: Duration = Duration::from_secs(86_400);

#[derive(Debug, Args)]
pub struct LoadArgs {
    /// What is loaded.
    #[arg(value_name = "URL", help = "http://127.0.0.1:PORT/PATH, http://[::1]:PORT/PATH or unix:SOCKET:/PATH")]
    pub url: String,
    /// Connections at a time; 10 if not said, and with --rate at most 1000.
    #[arg(long, short, value_name = "C", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub clients: Option<u64>,
    /// Requests a second, whatever becomes of them (open loop).
    #[arg(long, short, value_name = "PER SECOND", value_parser = rate)]
    pub rate: Option<f64>,
    /// At random times instead of equal distances.
    #[arg(long, requires = "rate")]
    pub poisson: bool,
    /// For how long: 500ms, 30s, 5m; 10s if neither this nor --requests is said.
    #[arg(long, short, value_name = "TIME", value_parser = time)]
    pub duration: Option<Duration>,
    /// End after so many requests, or with --duration where that is sooner.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub requests: Option<u64>,
    /// The same load before, for so long, which does not count.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub warmup: Option<Duration>,
    /// Many requests on one connection (HTTP/1.1), instead of one (HTTP/1.0).
    #[arg(long, short)]
    pub keep_alive: bool,
    /// How long a client waits for its answer.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    pub timeout: Duration,
    /// Aim at an address that is not this machine's own.
    #[arg(long)]
    pub i_own_this_host: bool,
    /// How to show it.
    #[arg(long, short, default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
}

fn time(text: &str) -> Result<Duration, String> {
    let wanted = || format!("{text:?} is no time; write 500ms, 30s or 5m, more than 0 and at most a day");
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text[..text.len() - unit.len()].parse().map_err(|_| wanted())?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(wanted()),
    };
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| wanted())?;
    if time.as_millis() > 0 && time <= LONGEST { Ok(time) } else { Err(wanted()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_bounds() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("1.5m"), Ok(Duration::from_secs(90)));
        for bad in ["5", "0s", "s", "2000m", "-1s", "1h", ""] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}

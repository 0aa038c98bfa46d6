//! Rules and numbers in words, for verdicts, tables and `herd explain`.

use super::metrics::Value;
use super::winners;
use crate::experiment::expectation::{More, Share, Times};
use crate::experiment::{Rule, Settings};

/// A number with at most three digits behind the point.
pub fn short(number: f64) -> String {
    decimals(number, 3)
}

/// A number with at most so many digits behind the point, and no zeros at their end.
pub fn decimals(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    if digits == 0 {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(super) fn number(value: &Value) -> String {
    if value.min == value.max {
        return short(value.mean);
    }
    format!("{} ({} to {})", short(value.mean), short(value.min), short(value.max))
}

/// The rule in words; `settings` turns per-worker bounds into numbers.
pub fn expected(rule: &Rule, settings: Option<&Settings>) -> String {
    let times = |factor: f64| match settings {
        Some(settings) => short(factor * f64::from(settings.workers)),
        None => format!("{} x workers", short(factor)),
    };
    match rule {
        Rule::Exact(want) => short(*want),
        Rule::PerWorker { per_worker, slack } if *slack == 0.0 => times(*per_worker),
        Rule::PerWorker { per_worker, slack } => {
            format!("{}, on average at most {} more", times(*per_worker), short(*slack))
        }
        Rule::PerEvent { per_event } => match settings {
            // How many there are in a given time is not known before.
            Some(settings) if settings.traffic.duration_ms == 0 => short(per_event * settings.events as f64),
            _ => format!("{} x events", short(*per_event)),
        },
        Rule::Winners(want) => format!("{want:?}").to_lowercase(),
        Rule::Growth(growth) => growth.to_string(),
        Rule::Error(name) => name.clone(),
        Rule::NeverAbove(bound) => format!("never above {}", short(*bound)),
        Rule::Share(Share { worker, part: Some(part) }) => {
            format!("w{worker} gets {} of the claims, p = {}", short(*part), winners::ERROR_RATE)
        }
        Rule::Share(Share { worker, part: None }) => {
            format!("w{worker} gets an equal share of the claims, p = {}", winners::ERROR_RATE)
        }
        Rule::Times(Times { times_of, min, max }) => {
            let mut parts = Vec::new();
            parts.extend(min.map(|b| format!("at least {}", short(b))));
            parts.extend(max.map(|b| format!("at most {}", short(b))));
            format!("{} times that of {times_of}", parts.join(" and "))
        }
        Rule::More(More { more_than, times, over }) => {
            let times = times.map(|factor| format!("{} times ", short(factor))).unwrap_or_default();
            let over = over.as_ref().map(|axis| format!(", over all {axis}")).unwrap_or_default();
            format!("more than {times}{more_than}{over}")
        }
        Rule::Range(range) => {
            let mut parts = Vec::new();
            let mut add = |word: &str, bound: Option<String>| parts.extend(bound.map(|b| format!("{word} {b}")));
            add("at least", range.min.map(short));
            add("at least", range.min_per_worker.map(times));
            add("at most", range.max.map(short));
            add("at most", range.max_per_worker.map(times));
            add("on average at least", range.mean_min.map(short));
            add("on average at most", range.mean_max.map(short));
            parts.join(", ")
        }
    }
}

//! The observation of a `null` cell, made up from its settings.
//!
//! Pure: no clock, no kernel. Work rotates, as accept's does.

use crate::experiment::Settings;
use crate::load;
use crate::observation::{End, Latency, Observation, WorkerFacts};

/// What a cell with these settings is said to have seen.
pub fn observe(settings: &Settings, repetition: u32) -> Observation {
    let script = &settings.null;
    if let Some(reason) = &script.invalid {
        return Observation::empty(End::Invalid { reason: reason.clone(), again: false });
    }
    let turn = (repetition.max(1) - 1) as usize % script.flaky.len().max(1);
    let wakeups_per_event = script.flaky.get(turn).copied().unwrap_or(script.wakeups);
    let batch = load::find(&settings.load).expect("checked in the plan").batch(settings);
    let lost = script.lose.filter(|event| *event < settings.events);
    let fired = lost.map_or(settings.events, |event| event + 1);
    let claims = lost.unwrap_or(settings.events);
    let rounds = claims / batch;
    let workers = u64::from(settings.workers);
    let mut found = Observation::empty(match lost {
        Some(event) => End::Lost { event, states: vec!["w0: made up by the null wait".into()] },
        None => End::Complete,
    });
    found.count_source = "scripted".into();
    found.fired = fired;
    found.batch = batch;
    found.stranded = fired - claims;
    found.winners = (0..claims.min(20_000)).map(|event| (event % workers) as u32).collect();
    found.wakeups_per_round.insert(wakeups_per_event * batch, rounds);
    found.returns_per_round.insert(script.returns * batch, rounds);
    found.claim_latency = Latency {
        samples: claims,
        min: 10_000,
        p50: 10_000,
        p90: 10_000,
        p99: 10_000,
        p999: 10_000,
        p9999: 10_000,
        max: 10_000,
    };
    found.elapsed_ns = claims * 20_000;
    // Each total is dealt out round robin, so that the sums are right to the digit.
    let share = |total: u64, worker: u64| total / workers + u64::from(worker < total % workers);
    for worker in 0..workers {
        let claimed = share(claims, worker);
        let returns = share(claims * script.returns, worker).max(claimed);
        found.workers.push(WorkerFacts {
            wakeups: share(claims * wakeups_per_event, worker),
            returns,
            claims: claimed,
            empty_returns: returns - claimed,
            ..WorkerFacts::default()
        });
    }
    found
}

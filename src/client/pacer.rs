//! When the events of a timed load are made.

use crate::load::Pace;
use crate::sys::clock::now_ns;

/// The clock of one timed round.
pub struct Pacer {
    pace: Pace,
    events: u64,
    until: Option<u64>,
    random: fastrand::Rng,
    started: u64,
    next: u64,
    fired: u64,
    /// When the last event had been made, and how many were open then.
    last: Option<(u64, u64)>,
}

impl Pacer {
    /// `events` in all, or as many as there are in `duration_ms` where that is not
    /// 0; from now on.
    pub fn new(pace: Pace, events: u64, duration_ms: u64) -> Pacer {
        let started = now_ns();
        Pacer {
            pace,
            events: if duration_ms > 0 { u64::MAX } else { events },
            until: (duration_ms > 0).then(|| started + duration_ms * 1_000_000),
            random: fastrand::Rng::with_seed(events),
            started,
            next: started,
            fired: 0,
            last: None,
        }
    }

    /// No more from now on.
    pub fn stop(&mut self) {
        self.events = self.fired;
    }

    /// Events made so far.
    pub fn fired(&self) -> u64 {
        self.fired
    }

    pub fn started(&self) -> u64 {
        self.started
    }

    /// Whether all events were made; so many of them are open.
    pub fn is_over(&mut self, now: u64, open: u64) -> bool {
        let over = self.ended(now);
        if over {
            self.last.get_or_insert((now, open));
        }
        over
    }

    fn ended(&self, now: u64) -> bool {
        self.fired >= self.events || self.until.is_some_and(|until| now >= until)
    }

    /// When the next event is to start, with so many open; never, if that is for
    /// one of them to say.
    pub fn next(&self, now: u64, open: u64) -> u64 {
        match self.pace {
            _ if self.ended(now) => u64::MAX,
            Pace::Rate { .. } => self.next,
            Pace::Clients(clients) if open < clients => now,
            Pace::Clients(_) | Pace::Attached => u64::MAX,
        }
    }

    /// The intended start of the next event, if that has come.
    pub fn due(&self, now: u64, open: u64) -> Option<u64> {
        Some(self.next(now, open)).filter(|next| *next <= now)
    }

    /// One more was made.
    pub fn made(&mut self) {
        self.fired += 1;
        if let Pace::Rate { per_second, poisson } = self.pace {
            let gap = 1e9 / per_second;
            // From the last intended start: rounding and delays must not add up.
            self.next = match poisson {
                true => self.next + (-(1.0 - self.random.f64()).ln() * gap) as u64,
                false => self.started + (self.fired as f64 * gap) as u64,
            };
        }
    }

    /// Events a second that were made, of an open loop that has ended.
    pub fn reached(&self) -> Option<f64> {
        let (Pace::Rate { .. }, Some((ended, _))) = (self.pace, self.last) else {
            return None;
        };
        Some(self.fired as f64 * 1e9 / ended.saturating_sub(self.started).max(1) as f64)
    }

    /// Why the latencies are those of a machine that could not keep up, if they are.
    pub fn saturated(&self) -> Option<String> {
        let (Pace::Rate { per_second, .. }, Some((_, open))) = (self.pace, self.last) else {
            return None;
        };
        let reached = self.reached()?;
        if self.fired > 100 && reached < 0.95 * per_second {
            return Some(format!(
                "{per_second} events a second were asked for and {reached:.0} were made: the latencies are those of a \
                 generator that could not keep up; choose a lower rate"
            ));
        }
        (open as f64 > 0.05 * per_second).then(|| {
            format!(
                "{open} of {} events were still open when the last one was made: at {per_second} a second the workers \
                 could not keep up, and latencies grow with the length of the run",
                self.fired
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_keeps_its_times_whatever_happened() {
        let mut pacer = Pacer::new(Pace::Rate { per_second: 1000.0, poisson: false }, 3, 0);
        let start = pacer.started();
        assert_eq!(pacer.due(start, 0), Some(start));
        pacer.made();
        assert_eq!(pacer.due(start + 999_999, 0), None);
        // Late, but the intended start does not move.
        assert_eq!(pacer.due(start + 5_000_000, 0), Some(start + 1_000_000));
        pacer.made();
        pacer.made();
        assert_eq!(pacer.due(u64::MAX - 1, 0), None, "all were made");
        assert!(pacer.is_over(start, 0));
    }

    #[test]
    fn poisson_gaps_have_the_mean_of_the_rate() {
        let mut pacer = Pacer::new(Pace::Rate { per_second: 1e6, poisson: true }, 100_000, 0);
        (0..100_000).for_each(|_| pacer.made());
        let mean = (pacer.next - pacer.started()) as f64 / 1e5;
        // Standard error 0.3 %.
        assert!((985.0..1015.0).contains(&mean), "{mean} ns");
    }

    #[test]
    fn clients_of_a_closed_loop_wait_for_each_other() {
        let pacer = Pacer::new(Pace::Clients(2), 10, 0);
        assert_eq!(pacer.due(7, 1), Some(7));
        assert_eq!(pacer.due(7, 2), None);
    }

    #[test]
    fn a_rate_that_was_not_reached_is_said() {
        let mut pacer = Pacer::new(Pace::Rate { per_second: 1000.0, poisson: false }, 200, 0);
        (0..200).for_each(|_| pacer.made());
        let started = pacer.started();
        assert!(pacer.is_over(started + 400_000_000, 0));
        assert!(pacer.saturated().unwrap().contains("500 were made"));
    }
}

//! When the events of a timed load are made.

use crate::load::Pace;
use crate::sys::clock::now_ns;

/// A queue that grows by more than this part of the events meanwhile is no chance.
const GROWS: f64 = 0.02;

/// Fewer than come in this time, in seconds, may be a single answer that is late.
const MOMENT_S: f64 = 0.05;

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
    /// How many were open when so many had been made, each mark a quarter later than the
    /// one before: wherever the end is, one of them is near its half.
    marks: Vec<(u64, u64)>,
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
            // Enough for any u64: nothing is allocated while the load runs.
            marks: Vec::with_capacity(256),
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
        } else if self.marks.last().is_none_or(|(fired, _)| self.fired > fired + fired / 4) {
            self.marks.push((self.fired, open));
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
        self.grown_from(open, per_second).map(|before| {
            format!(
                "{open} of {} events were still open when the last one was made, and {before} about half-way: at \
                 {per_second} a second the workers could not keep up, and latencies grow with the length of the run",
                self.fired
            )
        })
    }

    /// How many were open about half-way, where that was clearly less than at the end.
    ///
    /// Slow answers alone are no overload: the number open is rate times latency (J. D. C.
    /// Little, 1961), and stays. What is served too slowly piles up all the time: twice as
    /// many at the end. Four standard deviations of a number that is one by chance
    /// (Poisson) are no growth, and neither is what came in the last moment.
    fn grown_from(&self, open: u64, per_second: f64) -> Option<u64> {
        let half = self.marks.iter().rev().find(|(fired, _)| fired * 2 <= self.fired);
        let (fired, before) = half.copied().unwrap_or_default();
        let grown = open.saturating_sub(before) as f64;
        let chance = GROWS * (self.fired - fired) as f64 + 4.0 * (open as f64).sqrt();
        (grown > chance && open as f64 > MOMENT_S * per_second).then_some(before)
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

    /// Makes `events` at 1000 a second; after each so many are open.
    fn paced(events: u64, open: fn(u64) -> u64) -> Pacer {
        let mut pacer = Pacer::new(Pace::Rate { per_second: 1000.0, poisson: false }, events, 0);
        let started = pacer.started();
        for made in 1..=events {
            pacer.made();
            pacer.is_over(started + made * 1_000_000, open(made));
        }
        pacer
    }

    #[track_caller]
    fn check_steady(events: u64, open: fn(u64) -> u64) {
        assert_eq!(paced(events, open).saturated(), None);
    }

    #[test]
    fn slow_answers_are_no_overload() {
        // 100 ms each, 700 ms each, and 3 s each of a run of 10 s.
        check_steady(1000, |made| made.min(100));
        check_steady(2000, |made| made.min(700));
        check_steady(10_000, |made| made.min(3000));
        // The last one is always open; and a few more by chance.
        check_steady(10, |_| 1);
        check_steady(100, |made| made % 8);
        // Shorter than one answer.
        check_steady(40, |made| made);
    }

    #[test]
    fn a_queue_that_grows_is_an_overload() {
        // Half of them served, nine of ten, and nineteen of twenty after a good start.
        for open in [|made| made / 2, |made| made / 10, |made: u64| made.saturating_sub(400) / 20] {
            let said = paced(10_000, open).saturated().expect("it grows");
            assert!(said.contains("of 10000 events were still open when the last one was made"), "{said}");
        }
        assert!(paced(300, |made| made / 2).saturated().is_some(), "as short as this, too");
        // A signal ends it at any time, and there is a half of that, too.
        let mut cut = Pacer::new(Pace::Rate { per_second: 1000.0, poisson: false }, u64::MAX, 3_600_000);
        let started = cut.started();
        for made in 1..=777 {
            cut.made();
            cut.is_over(started + made * 1_000_000, made / 2);
        }
        cut.stop();
        assert!(cut.is_over(started + 778_000_000, 388));
        assert!(cut.saturated().is_some());
    }
}

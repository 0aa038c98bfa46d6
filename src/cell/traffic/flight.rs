//! How many clients are under way, summed over time: the L of Little's law (L is the
//! rate times the mean time inside). It is counted from the clock, client by client
//! coming and going, and not from latencies, so that the two can be held against each
//! other.

/// Clients inside and the sum so far.
pub(super) struct Flight {
    inside: u64,
    since: u64,
    /// Clients times nanoseconds.
    sum: u64,
}

impl Flight {
    /// Nobody is inside at `now`.
    pub fn new(now: u64) -> Flight {
        Flight { inside: 0, since: now, sum: 0 }
    }

    fn advance(&mut self, now: u64) {
        self.sum += self.inside * now.saturating_sub(self.since);
        self.since = self.since.max(now);
    }

    /// One that was to start at `intended` and was made now: it counts from then on, as
    /// its latency does.
    pub fn starts(&mut self, intended: u64, now: u64) {
        self.advance(now);
        self.sum += now.saturating_sub(intended);
        self.inside += 1;
    }

    /// One has come to its end, whatever that is.
    pub fn ends(&mut self, now: u64) {
        self.advance(now);
        self.inside = self.inside.saturating_sub(1);
    }

    /// Clients times nanoseconds up to `now`.
    pub fn sum(mut self, now: u64) -> u64 {
        self.advance(now);
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_count_for_as_long_as_they_are_inside() {
        let mut flight = Flight::new(100);
        flight.starts(100, 100);
        // Made 5 late; counts from 110 on.
        flight.starts(110, 115);
        flight.ends(130);
        flight.ends(150);
        // 30 for the first, 40 for the second, and nobody afterwards.
        assert_eq!(flight.sum(1000), 70);
    }
}

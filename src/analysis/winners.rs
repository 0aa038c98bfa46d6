//! In which order the work went round, and how evenly.

use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF};

/// Chance of calling a fair hash unfair.
pub const ERROR_RATE: f64 = 0.001;

/// A word for what a reader sees in the order of the winners.
pub fn pattern(winners: &[u32], workers: u32) -> String {
    let Some(first) = winners.first() else {
        return "nobody".into();
    };
    if winners.iter().all(|w| w == first) {
        return format!("w{first} only");
    }
    if is_rotation(winners, workers) {
        return "rotates".into();
    }
    let mut counts = vec![0u64; workers as usize];
    for w in winners {
        counts[*w as usize] += 1;
    }
    if counts.iter().all(|c| *c == counts[0]) {
        return "even".into();
    }
    let busy = counts.iter().filter(|c| **c > 0).count();
    format!("{busy} of {workers}")
}

/// w0, w1, .. wN-1, w0, ..
pub fn is_rotation(winners: &[u32], workers: u32) -> bool {
    winners.iter().enumerate().all(|(i, w)| *w as usize == i % workers as usize)
}

/// Jain's fairness index: 1 is even, 1/n is all to one.
pub fn jain(claims: &[u64]) -> Option<f64> {
    let sum: f64 = claims.iter().map(|c| *c as f64).sum();
    let squares: f64 = claims.iter().map(|c| (*c as f64).powi(2)).sum();
    (squares > 0.0).then(|| sum * sum / (claims.len() as f64 * squares))
}

/// Chi-square of the claims against equal shares.
pub fn chi_square(claims: &[u64]) -> f64 {
    let mean = claims.iter().sum::<u64>() as f64 / claims.len().max(1) as f64;
    if mean == 0.0 {
        return 0.0;
    }
    claims.iter().map(|c| (*c as f64 - mean).powi(2) / mean).sum()
}

/// The value that chi-square stays below with probability 1 - [`ERROR_RATE`].
pub fn chi_square_limit(workers: usize) -> f64 {
    let freedom = workers.saturating_sub(1).max(1) as f64;
    let distribution = ChiSquared::new(freedom).expect("a positive number of degrees of freedom");
    distribution.inverse_cdf(1.0 - ERROR_RATE)
}

/// The counts between which one worker's claims out of `all` fall with
/// probability 1 - [`ERROR_RATE`], when each goes there with chance `part`.
pub fn binomial_bounds(all: u64, part: f64) -> (u64, u64) {
    let distribution = Binomial::new(part, all).expect("a part between 0 and 1, checked when it was read");
    (distribution.inverse_cdf(ERROR_RATE / 2.0), distribution.inverse_cdf(1.0 - ERROR_RATE / 2.0))
}

/// Winners cut into trials of `size`: the mean of the largest share (in events),
/// and the part of the trials that left a worker idle.
pub fn trials(winners: &[u32], workers: u32, size: usize) -> Option<(f64, f64)> {
    if size == 0 || winners.len() < size {
        return None;
    }
    let (mut largest, mut idle, mut count) = (0u64, 0u64, 0u64);
    for trial in winners.chunks_exact(size) {
        let mut counts = vec![0u64; workers as usize];
        for w in trial {
            counts[*w as usize] += 1;
        }
        largest += counts.iter().max().copied().unwrap_or(0);
        idle += u64::from(counts.contains(&0));
        count += 1;
    }
    Some((largest as f64 / count as f64, idle as f64 / count as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_names() {
        assert_eq!(pattern(&[0, 1, 2, 0, 1], 3), "rotates");
        assert_eq!(pattern(&[0, 0, 0], 3), "w0 only");
        assert_eq!(pattern(&[2, 2], 3), "w2 only");
        assert_eq!(pattern(&[1, 1], 3), "w1 only");
        assert_eq!(pattern(&[0, 2, 2], 3), "2 of 3");
        assert_eq!(pattern(&[0, 0, 1, 1], 2), "even");
        assert_eq!(pattern(&[], 3), "nobody");
        assert_eq!(pattern(&[0, 0], 1), "w0 only");
    }

    #[test]
    fn fairness_has_known_values() {
        assert_eq!(jain(&[5, 5, 5, 5]), Some(1.0));
        assert_eq!(jain(&[20, 0, 0, 0]), Some(0.25));
        assert_eq!(jain(&[0, 0]), None);
    }

    #[test]
    fn chi_square_limit_matches_the_tables() {
        // 24.32 for seven degrees of freedom at p = 0.001.
        assert!((chi_square_limit(8) - 24.32).abs() < 0.01);
        assert_eq!(chi_square(&[10, 10]), 0.0);
        assert_eq!(chi_square(&[15, 5]), 5.0);
    }

    #[test]
    fn binomial_bounds_hold_the_error_rate() {
        // Mean 500, standard deviation 15.8: 3.29 of them to either side.
        assert_eq!(binomial_bounds(1000, 0.5), (448, 552));
        assert_eq!(binomial_bounds(0, 0.5), (0, 0));
        // All eight to one of two happens once in 256 times: not rare enough.
        assert_eq!(binomial_bounds(8, 0.5), (0, 8));
        assert_eq!(binomial_bounds(12, 0.5), (1, 11));
    }

    #[test]
    fn trials_are_cut_and_the_rest_is_dropped() {
        assert_eq!(trials(&[0, 0, 0, 1, 1], 2, 2), Some((1.5, 0.5)));
        assert_eq!(trials(&[0], 2, 2), None);
        assert_eq!(trials(&[0], 2, 0), None);
    }
}

//! The Mann-Whitney test: do two samples come from one distribution? It asks
//! only which value is larger, so it needs no shape and no unit.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, Normal};

/// Up to so many values together, every order of them is counted.
const EXACT: usize = 60;

/// What the test says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Chance of ranks at least as lopsided as these if both are one distribution.
    pub p: f64,
    /// Chance that a value of the second sample is above one of the first, ties
    /// counted half: 0.5 is no effect, 0 and 1 are complete separation.
    pub superiority: f64,
}

/// A sample as value and how often it was seen. Values are whole numbers, so
/// that equal means equal.
pub type Histogram = BTreeMap<u64, u64>;

/// Compares two samples; `None` when one of them is empty.
pub fn mann_whitney(first: &Histogram, second: &Histogram) -> Option<Ranked> {
    let (n, m) = (first.values().sum::<u64>(), second.values().sum::<u64>());
    if n == 0 || m == 0 {
        return None;
    }
    // Doubled midranks are whole numbers: (ties below) * 2 + ties + 1.
    let mut ties: BTreeMap<u64, u64> = first.clone();
    second.iter().for_each(|(value, count)| *ties.entry(*value).or_default() += count);
    let mut below = 0;
    let mut rank_sum = 0u64;
    let mut groups = Vec::new();
    for (value, count) in &ties {
        let doubled = 2 * below + count + 1;
        rank_sum += doubled * first.get(value).copied().unwrap_or(0);
        groups.push((doubled, *count));
        below += count;
    }
    // Pairs in which the first sample is above, ties half, doubled.
    let above = rank_sum - n * (n + 1);
    let superiority = 1.0 - above as f64 / (2 * n * m) as f64;
    let p = match n + m <= EXACT as u64 {
        true => exact(&groups, n as usize, rank_sum),
        false => approximate(&groups, n as f64, m as f64, superiority),
    };
    Some(Ranked { p: p.min(1.0), superiority })
}

/// Every way to choose `n` of all the values, by its doubled rank sum: the part
/// that lies at least as far from the middle as `seen`.
fn exact(groups: &[(u64, u64)], n: usize, seen: u64) -> f64 {
    let ranks: Vec<usize> =
        groups.iter().flat_map(|(rank, count)| std::iter::repeat_n(*rank as usize, *count as usize)).collect();
    let largest: usize = ranks.iter().sum();
    // ways[k][s]: choices of k values with the sum s.
    let mut ways = vec![vec![0f64; largest + 1]; n + 1];
    ways[0][0] = 1.0;
    for rank in &ranks {
        for k in (1..=n).rev() {
            let (fewer, this) = ways.split_at_mut(k);
            for sum in *rank..=largest {
                this[0][sum] += fewer[k - 1][sum - rank];
            }
        }
    }
    let middle = n as f64 * (ranks.len() as f64 + 1.0);
    let distance = (seen as f64 - middle).abs() - 1e-9;
    let chosen = &ways[n];
    let far: f64 =
        chosen.iter().enumerate().filter(|(s, _)| (*s as f64 - middle).abs() >= distance).map(|(_, w)| w).sum();
    far / chosen.iter().sum::<f64>()
}

/// The normal approximation, corrected for ties and for whole numbers.
fn approximate(groups: &[(u64, u64)], n: f64, m: f64, superiority: f64) -> f64 {
    let all = n + m;
    let tied: f64 = groups.iter().map(|(_, t)| (*t as f64).powi(3) - *t as f64).sum();
    let variance = n * m / 12.0 * ((all + 1.0) - tied / (all * (all - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let off = ((superiority - 0.5).abs() * n * m - 0.5).max(0.0);
    let standard = Normal::new(0.0, 1.0).expect("constant parameters");
    2.0 * standard.sf(off / variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[u64]) -> Histogram {
        let mut found = Histogram::new();
        values.iter().for_each(|v| *found.entry(*v).or_default() += 1);
        found
    }

    #[track_caller]
    fn check(first: &[u64], second: &[u64], p: f64, superiority: f64) {
        let found = mann_whitney(&sample(first), &sample(second)).unwrap();
        assert!((found.p - p).abs() < 1e-6 && (found.superiority - superiority).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn small_samples_have_the_tabled_chances() {
        // 2 of 3432 orders separate seven from seven, 2 of 70 four from four.
        check(&[1, 2, 3, 4, 5, 6, 7], &[8, 9, 10, 11, 12, 13, 14], 2.0 / 3432.0, 1.0);
        check(&[5, 6, 7, 8], &[1, 2, 3, 4], 2.0 / 70.0, 0.0);
        // U = 1 of 9, the next to last: 4 of 20 orders are as lopsided.
        check(&[1, 2, 4], &[3, 5, 6], 4.0 / 20.0, 8.0 / 9.0);
        check(&[1, 1, 1], &[1, 1, 1], 1.0, 0.5);
    }

    #[test]
    fn large_samples_are_approximated() {
        let low: Histogram = [(8, 101)].into();
        let high: Histogram = [(9, 101)].into();
        let apart = mann_whitney(&low, &high).unwrap();
        assert!(apart.p < 1e-12 && apart.superiority == 1.0, "{apart:?}");
        let same = mann_whitney(&low, &low).unwrap();
        assert_eq!(same, Ranked { p: 1.0, superiority: 0.5 });
    }

    #[test]
    fn nothing_can_be_said_of_nothing() {
        assert_eq!(mann_whitney(&Histogram::new(), &sample(&[1])), None);
    }

    #[test]
    fn both_ways_agree_where_they_meet() {
        let (a, b): (Vec<u64>, Vec<u64>) = ((0..30).map(|i| i * 3).collect(), (0..30).map(|i| i * 3 + 14).collect());
        let found = mann_whitney(&sample(&a), &sample(&b)).unwrap();
        let groups: Vec<(u64, u64)> = (0..60).map(|i| (2 * i + 2, 1)).collect();
        let near = approximate(&groups, 30.0, 30.0, found.superiority);
        assert!((found.p - near).abs() < 0.005, "{} and {near}", found.p);
    }
}

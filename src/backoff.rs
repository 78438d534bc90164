//! Pauses between attempts.

use std::time::Duration;

use crate::random::random_fraction;

/// Exponential backoff with full jitter: each pause is random, up to a bound that doubles until it reaches the maximum.
///
/// Writers that failed together then do not try again together. With 50 ms and 2 s, the pauses are at most 50 ms, 100 ms,
/// 200 ms, …, 1.6 s, 2 s, 2 s. Source: M. Brooker, "Exponential Backoff And Jitter", 2015.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    bound: Duration,
    max: Duration,
}

impl Backoff {
    /// Bounds the first pause by `first` and every pause by `max`.
    pub(crate) const fn new(first: Duration, max: Duration) -> Self {
        Self { bound: first, max }
    }

    /// Returns the next pause: at least a millisecond, so that no loop spins.
    pub(crate) fn next_pause(&mut self) -> Duration {
        let bound = self.bound;
        self.bound = bound.saturating_mul(2).min(self.max);
        bound.mul_f64(random_fraction()).max(MIN_PAUSE)
    }
}

const MIN_PAUSE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_random_below_a_bound_that_doubles_up_to_the_maximum() {
        let (first, max) = (Duration::from_millis(50), Duration::from_secs(2));
        for (attempt, bound_ms) in [50, 100, 200, 400, 800, 1600, 2000, 2000].into_iter().enumerate() {
            let nth = || {
                let mut backoff = Backoff::new(first, max);
                (0..=attempt).map(|_| backoff.next_pause()).last().expect("there is a pause")
            };
            let pauses: Vec<Duration> = (0..200).map(|_| nth()).collect();
            let bound = Duration::from_millis(bound_ms);
            assert!(pauses.iter().all(|pause| (MIN_PAUSE..=bound).contains(pause)), "{attempt}: {pauses:?}");
            let is_spread = |part: f64| pauses.iter().any(|pause| *pause > bound.mul_f64(part));
            assert!(
                is_spread(0.75) && pauses.iter().any(|pause| *pause < bound.mul_f64(0.25)),
                "{attempt}: {pauses:?}"
            );
        }
    }
}

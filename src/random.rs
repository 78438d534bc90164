//! The only source of random numbers.
//!
//! Each thread has a generator that the system seeds. The common one of `fastrand` would not do: an app may seed that, for
//! tests that can be repeated, and two of its processes then draw equal ids and equal names of files.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

use fastrand::Rng;

/// Returns a random number.
pub(crate) fn random() -> u64 {
    let draw = |state: &Cell<u64>| {
        let mut generator = Rng::with_seed(state.get());
        let number = generator.u64(..);
        state.set(generator.get_seed());
        number
    };
    // A thread that ends has none any more.
    STATE.try_with(draw).unwrap_or_else(|_| seed())
}

/// Returns a random number from 0 to below 1.
pub(crate) fn random_fraction() -> f64 {
    /// A `f64` has 53 significant bits.
    const STEPS: f64 = (1_u64 << 53) as f64;
    (random() >> 11) as f64 / STEPS
}

thread_local! {
    static STATE: Cell<u64> = Cell::new(seed());
}

/// The system's own randomness: the standard library asks it once for each thread, and hashes with it.
fn seed() -> u64 {
    RandomState::new().hash_one("tower-audit")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Draws as a process does that an app has seeded.
    fn draw() -> Vec<u64> {
        fastrand::seed(7);
        (0..1000).map(|_| random()).collect()
    }

    #[test]
    fn seeding_by_the_app_makes_no_equal_numbers() {
        let all: HashSet<u64> =
            (0..4).flat_map(|_| std::thread::spawn(draw).join().unwrap()).chain(draw()).chain(draw()).collect();
        assert_eq!(all.len(), 6000);
    }

    #[test]
    fn fractions_lie_between_0_and_1() {
        let all: Vec<f64> = (0..10_000).map(|_| random_fraction()).collect();
        assert!(all.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}

//! The only place that reads the wall clock.
//!
//! One reading gives the time of an event and the time inside its id, so that sorting by either agrees.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The latest [`Stamp::id_micros`] of this process.
static LAST_MICROS: AtomicI64 = AtomicI64::new(i64::MIN);

/// Returns the current time, in microseconds since 1970.
pub(crate) fn now_micros() -> i64 {
    wall_micros()
}

/// The times of a new event, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    /// The time inside the id. Within a process it always increases, even when the clock is set back.
    pub(crate) id_micros: i64,
    /// The time that the event shows.
    pub(crate) micros: i64,
}

/// Returns the times of a new event.
///
/// Both times are equal while the clock runs forward. After the clock is set back by more than [`TOLERATED_STEP_MICROS`],
/// the shown time follows the clock, and the id keeps its order:
///
/// ```text
/// clock 12:00:00.000007  →  id 12:00:00.000007, shown 12:00:00.000007
/// clock 12:00:00.000007  →  id 12:00:00.000008, shown 12:00:00.000008   one microsecond an id
/// clock 11:00:00.000000  →  id 12:00:00.000009, shown 11:00:00.000000   set back by an hour
/// ```
pub(crate) fn stamp() -> Stamp {
    let wall = wall_micros();
    let mut last = LAST_MICROS.load(Ordering::Relaxed);
    let id_micros = loop {
        let next = if wall > last { wall } else { last + 1 };
        match LAST_MICROS.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => break next,
            Err(current) => last = current,
        }
    };
    Stamp { id_micros, micros: if id_micros - wall > TOLERATED_STEP_MICROS { wall } else { id_micros } }
}

/// The lead of the id's time over the clock up to which the event shows the id's time: one second.
const TOLERATED_STEP_MICROS: i64 = 1_000_000;

#[expect(clippy::disallowed_methods, reason = "this file is where the wall clock is read")]
fn wall_micros() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX / 2),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_process_are_strictly_increasing() {
        let threads: Vec<_> =
            (0..4).map(|_| std::thread::spawn(|| (0..20_000).map(|_| stamp()).collect::<Vec<_>>())).collect();
        let mut all = Vec::new();
        for thread in threads {
            let made = thread.join().expect("the thread only stamps");
            assert!(made.windows(2).all(|pair| pair[0].id_micros < pair[1].id_micros), "ids went back");
            all.extend(made.into_iter().map(|stamp| stamp.id_micros));
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "two ids share a microsecond");
    }
}

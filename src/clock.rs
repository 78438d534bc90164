//! The only place that reads the wall clock.
//!
//! One reading gives both the time of an event and the time inside its id, so that sorting by either agrees.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::event::{EventId, Timestamp};

/// The last microsecond that was given to an id by this process.
static LAST_MICROS: AtomicI64 = AtomicI64::new(i64::MIN);

/// The current time, to the microsecond.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros_clamped(wall_micros())
}

/// A new id and the time it was made at.
///
/// Ids never go back within a process: each takes a microsecond of its own, later than the one before.
/// The time is that same microsecond while the clock runs forward. When the clock is set back by more than
/// [`TOLERATED_STEP_MICROS`], the time follows the clock (it is the truth), and only the id keeps its order.
pub(crate) fn stamp() -> (EventId, Timestamp) {
    let wall = wall_micros();
    let mut last = LAST_MICROS.load(Ordering::Relaxed);
    let micros = loop {
        let next = if wall > last { wall } else { last + 1 };
        match LAST_MICROS.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => break next,
            Err(seen) => last = seen,
        }
    };
    let shown = if micros - wall > TOLERATED_STEP_MICROS { wall } else { micros };
    (EventId::from_micros(micros, fastrand::u64(..)), Timestamp::from_micros_clamped(shown))
}

/// How far the id's time may run ahead of the clock before the event shows the clock's own time: one second.
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
            assert!(made.windows(2).all(|pair| pair[0].0 < pair[1].0), "ids went back");
            all.extend(made.into_iter().map(|(id, _)| id));
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "two events share an id");
    }
}

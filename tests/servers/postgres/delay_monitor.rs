//! The delay with which this machine runs its threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A thread that only sleeps for moments and records by how much each was too long: others use this machine, too.
pub(crate) struct SchedulingDelay {
    delays: Arc<Mutex<Vec<(Instant, Duration)>>>,
    stop: Arc<AtomicU64>,
}

impl SchedulingDelay {
    pub(crate) fn watch() -> Self {
        const MOMENT: Duration = Duration::from_millis(5);
        let (delays, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let (seen, stopped) = (delays.clone(), stop.clone());
        std::thread::spawn(move || {
            while stopped.load(Ordering::Relaxed) == 0 {
                let begun = Instant::now();
                std::thread::sleep(MOMENT);
                let late = begun.elapsed().saturating_sub(MOMENT);
                seen.lock().expect("nobody panics").push((begun, late));
            }
        });
        Self { delays, stop }
    }

    /// The longest delay within this time.
    pub(crate) fn longest_within(&self, begun: Instant, took: Duration) -> Duration {
        let delays = self.delays.lock().expect("nobody panics");
        let within = delays.iter().filter(|(at, late)| *at + *late >= begun && *at <= begun + took);
        within.map(|(_, late)| *late).max().unwrap_or_default()
    }

    pub(crate) fn latest(&self, times: impl Iterator<Item = (Instant, Duration)>) -> Duration {
        times.map(|(begun, took)| self.longest_within(begun, took)).max().unwrap_or_default()
    }
}

impl Drop for SchedulingDelay {
    fn drop(&mut self) {
        self.stop.store(1, Ordering::Relaxed);
    }
}

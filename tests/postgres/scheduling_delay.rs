//! How late this machine is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How late this machine is, which others use as well: a thread that does nothing but sleep for a moment.
pub(crate) struct Machine {
    lates: Arc<Mutex<Vec<(Instant, Duration)>>>,
    stop: Arc<AtomicU64>,
}

impl Machine {
    pub(crate) fn watch() -> Self {
        const MOMENT: Duration = Duration::from_millis(5);
        let (lates, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
        let (seen, stopped) = (lates.clone(), stop.clone());
        std::thread::spawn(move || {
            while stopped.load(Ordering::Relaxed) == 0 {
                let begun = Instant::now();
                std::thread::sleep(MOMENT);
                let late = begun.elapsed().saturating_sub(MOMENT);
                seen.lock().expect("nobody panics").push((begun, late));
            }
        });
        Self { lates, stop }
    }

    /// By how much a moment of this time took longer than it should, at the most.
    pub(crate) fn late_within(&self, begun: Instant, took: Duration) -> Duration {
        let lates = self.lates.lock().expect("nobody panics");
        let within = lates.iter().filter(|(at, late)| *at + *late >= begun && *at <= begun + took);
        within.map(|(_, late)| *late).max().unwrap_or_default()
    }

    pub(crate) fn latest(&self, times: impl Iterator<Item = (Instant, Duration)>) -> Duration {
        times.map(|(begun, took)| self.late_within(begun, took)).max().unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop.store(1, Ordering::Relaxed);
    }
}

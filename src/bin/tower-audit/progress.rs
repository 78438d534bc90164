//! Progress of long work, on a terminal.

use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Work that is done sooner shows nothing.
const SHOW_AFTER: Duration = Duration::from_secs(1);
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// One line on stderr that counts; nothing at all where stderr is no terminal.
pub(crate) struct Progress {
    what: &'static str,
    next: Option<Instant>,
    shown: bool,
    /// The total, once it is known.
    total: Arc<OnceLock<u64>>,
}

impl Progress {
    /// Counts `what`, if `wanted`.
    pub(crate) fn new(what: &'static str, wanted: bool) -> Self {
        let next = (wanted && io::stderr().is_terminal()).then(|| Instant::now() + SHOW_AFTER);
        Self { what, next, shown: false, total: Arc::default() }
    }

    /// Returns true if progress is shown.
    pub(crate) fn is_enabled(&self) -> bool {
        self.next.is_some()
    }

    /// Returns the cell for the total.
    pub(crate) fn total(&self) -> Arc<OnceLock<u64>> {
        Arc::clone(&self.total)
    }

    pub(crate) fn at(&mut self, count: u64) {
        if self.next.is_some_and(|next| Instant::now() >= next) {
            self.next = Some(Instant::now() + SHOW_EVERY);
            self.shown = true;
            let of = self.total.get().map(|total| format!(" of {total}")).unwrap_or_default();
            show(&format!("\r{count}{of} {}…", self.what));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            show(CLEAR);
        }
    }
}

/// Waits for work that cannot say how far it is.
pub(crate) async fn with_progress<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if !io::stderr().is_terminal() {
        return work.await;
    }
    if let Ok(done) = tokio::time::timeout(SHOW_AFTER, work.as_mut()).await {
        return done;
    }
    show(&format!("{what}…"));
    let done = work.await;
    show(CLEAR);
    done
}

/// Back to the start of the line, and the line emptied.
const CLEAR: &str = "\r\u{1b}[K";

fn show(text: &str) {
    // Progress that nobody can see is no failure.
    let _ = io::stderr().write_all(text.as_bytes());
}

//! Being asked to end.

use std::future::Future;

/// Ends when somebody asks the process to end. From this call on, the process does not end by itself when asked.
#[cfg(unix)]
pub(crate) fn interrupt() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        // Where signals cannot be listened to, they do what they always do.
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

/// Ends at Ctrl-C, the only signal on this platform.
#[cfg(not(unix))]
pub(crate) async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

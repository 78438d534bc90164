//! Replies to requests that are waited for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::Message;
use tokio::sync::oneshot;

/// The requests without a reply. A request that is given up is removed, so their number is that of the waiting callers.
#[derive(Default)]
pub(super) struct Replies {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Message>>>,
    next: AtomicU64,
}

/// A request that waits for its reply.
pub(super) struct Waiting {
    replies: Arc<Replies>,
    pub(super) token: u64,
    pub(super) reply: oneshot::Receiver<Message>,
}

impl Replies {
    pub(super) fn register(self: &Arc<Self>) -> Waiting {
        let (sender, reply) = oneshot::channel();
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(token, sender);
        Waiting { replies: Arc::clone(self), token, reply }
    }

    /// Hands a reply to the request whose token ends its subject. Others are late: nobody waits for them.
    pub(super) fn deliver(&self, message: Message) {
        let token = message.subject.rsplit_once('.').and_then(|(_, token)| token.parse().ok());
        if let Some(sender) = token.and_then(|token: u64| self.lock().remove(&token)) {
            // A caller that has stopped waiting meanwhile needs no reply.
            let _ = sender.send(message);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Message>>> {
        // No code panics under this lock half way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.replies.lock().remove(&self.token);
    }
}

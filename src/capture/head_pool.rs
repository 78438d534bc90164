//! The place in which the head of a request is kept.

use std::cell::RefCell;
use std::ops::Deref;

use http::{Extensions, HeaderMap, Method, Uri};

use super::request_head::RequestHead;

/// The head of a request, in a block of memory that is used again. So the future of a request is as small as if the head were not
/// kept, and a request allocates nothing for it once its thread has served others.
pub(crate) struct KeptHead(Option<Box<RequestHead>>);

/// The maximum number of empty blocks that a thread keeps: some 70 KiB.
const MAX_EMPTY: usize = 128;

/// A block that keeps no head.
struct EmptyBlock(Box<RequestHead>);

thread_local! {
    static EMPTY: RefCell<Vec<EmptyBlock>> = const { RefCell::new(Vec::new()) };
}

impl KeptHead {
    /// Keeps the head of a request. `target`: the target as the client sent it.
    pub(crate) fn of(method: &Method, target: &Uri, headers: &HeaderMap, extensions: &Extensions) -> Self {
        // A thread that ends keeps none.
        let empty = EMPTY.try_with(|empty| empty.borrow_mut().pop()).ok().flatten();
        let mut head = empty.map_or_else(Box::default, |block| block.0);
        head.fill(method, target, headers, extensions);
        Self(Some(head))
    }
}

impl Deref for KeptHead {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        // It is there until the drop.
        self.0.as_deref().unwrap_or_else(|| unreachable!("a kept head is there until it is dropped"))
    }
}

impl Drop for KeptHead {
    fn drop(&mut self) {
        let Some(mut head) = self.0.take() else { return };
        // Its parts keep the server's read buffer alive. Outside of the borrow: a part may run code of the app's.
        *head = RequestHead::default();
        let _ = EMPTY.try_with(|empty| {
            let mut empty = empty.borrow_mut();
            if empty.len() < MAX_EMPTY {
                empty.push(EmptyBlock(head));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use bytes::Bytes;
    use http::{HeaderValue, Request};

    use super::*;

    fn keep(request: &Request<()>) -> KeptHead {
        KeptHead::of(request.method(), request.uri(), request.headers(), request.extensions())
    }

    #[test]
    fn nothing_of_a_head_is_left_for_the_next() {
        struct Buffer(Arc<AtomicBool>);
        impl AsRef<[u8]> for Buffer {
            fn as_ref(&self) -> &[u8] {
                b"probe"
            }
        }
        impl Drop for Buffer {
            fn drop(&mut self) {
                self.0.store(true, Relaxed);
            }
        }
        let is_dropped = Arc::new(AtomicBool::new(false));
        let agent = Bytes::from_owner(Buffer(Arc::clone(&is_dropped)));
        let mut request = Request::post("/a").header("x-request-id", "one").body(()).expect("a request");
        request.headers_mut().insert("user-agent", HeaderValue::from_maybe_shared(agent).expect("a value"));
        let head = keep(&request);
        drop(request);
        assert!(head.clean_request_id().is_some() && !is_dropped.load(Relaxed));
        drop(head);
        assert!(is_dropped.load(Relaxed), "the server's buffer is free");
        let head = keep(&Request::get("/b").body(()).expect("a request"));
        assert!(head.is_of(&Method::GET, "/b") && head.clean_request_id().is_none());
    }
}

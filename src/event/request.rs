//! What is known of the request beyond the actor and the resource.

use super::open_struct::open_struct;
use super::{EventId, Text};

open_struct! {
    /// What is known of the request beyond the actor and the resource; each field is absent when empty.
    RequestInfo, sparse {
        /// The client's `x-request-id` if it is bounded and clean, else one made for the request. All events of one
        /// request share it.
        request_id: Text,
        /// The `started` event that this event ends.
        started_event_id: EventId,
        /// The path as the client sent it, without parameters that are credentials; with the query, redacted, where the
        /// policy asks for it. Of `CONNECT`, the host and port.
        request_uri: Text,
        /// The header `user-agent`.
        user_agent: Text,
        /// The header `forwarded`, or `x-forwarded-for`, as it came: a claim, kept apart from `remote_addr`.
        forwarded: Text,
        /// The trace id of the header `traceparent` (W3C Trace Context).
        trace_id: Text,
        /// From the arrival of the request at the layer to the head of the response, or to the end of its body where
        /// the rule asks for that, in microseconds.
        duration_us: u64,
    }
}

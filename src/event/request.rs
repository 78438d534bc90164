//! Facts about a request beyond actor and resource.

use super::extensible_struct::extensible_struct;
use super::{CompactText, EventId};

extensible_struct! {
    /// Facts about the request beyond the actor and the resource; each field is absent when empty.
    RequestInfo, sparse {
        /// The client's `x-request-id` if it is bounded and clean, else one made for the request. All events of one
        /// request share it.
        request_id: CompactText,
        /// The `started` event that this event ends.
        started_event_id: EventId,
        /// The path as the client sent it, without parameters that are credentials; with the query, redacted, where the
        /// policy asks for it. Of `CONNECT`, the host and port.
        request_uri: CompactText,
        /// The header `user-agent`.
        user_agent: CompactText,
        /// The header `forwarded`, or `x-forwarded-for`, as it came: a claim, kept apart from `remote_addr`.
        forwarded: CompactText,
        /// The trace id of W3C Trace Context: of the app's current span, if the layer is told how to find it, else of the header
        /// `traceparent`.
        trace_id: CompactText,
        /// From the arrival of the request at the layer to the head of the response, or to the end of its body where
        /// the rule asks for that, in microseconds.
        duration_us: u64,
    }
}

//! The maximum sizes of an event's parts, in bytes of UTF-8, the notes of truncations included.

/// `actor.user_email` and `actor.acting_for`.
pub const MAX_USER_EMAIL_BYTES: usize = 512;
/// `actor.api_key_hash` and `actor.remote_addr`.
pub const MAX_ADDR_BYTES: usize = 256;
/// `resource.route`.
pub const MAX_ROUTE_BYTES: usize = 512;
/// `resource.method`.
pub const MAX_METHOD_BYTES: usize = 128;
/// `request.request_uri`.
pub const MAX_URI_BYTES: usize = 2048;
/// `request.user_agent` and `request.forwarded`.
pub const MAX_HEADER_BYTES: usize = 512;
/// `request.request_id`, `request.trace_id`, `classification.domain` and `classification.action`; `event_type` and
/// `classification.error` too, where a later version has more of them than this one.
pub const MAX_NAME_BYTES: usize = 128;
/// The targets of an event; more are counted in `targets_omitted`.
pub const MAX_TARGETS: usize = 16;
/// The `type` of a target.
pub const MAX_TARGET_TYPE_BYTES: usize = 64;
/// The `id` of a target.
pub const MAX_TARGET_ID_BYTES: usize = 256;
/// The `label` of a target.
pub const MAX_TARGET_LABEL_BYTES: usize = 256;
/// The fields of a later version that a reader has kept in a target, as compact JSON.
pub const MAX_TARGET_EXTRA_BYTES: usize = 256;
/// One string anywhere in `details`.
pub const MAX_DETAIL_STRING_BYTES: usize = 4096;
/// One key anywhere in `details`.
pub const MAX_DETAIL_KEY_BYTES: usize = 256;
/// The maximum nesting depth of objects and arrays in `details`.
pub const MAX_DETAIL_DEPTH: usize = 16;
/// The whole of `details`, as compact JSON.
pub const MAX_DETAILS_BYTES: usize = 16 * 1024;
/// The fields of a later version that a reader has kept, in each of the five objects that may have some.
pub const MAX_EXTRA_BYTES: usize = 2 * 1024;
/// The maximum size of an event as JSON, for any input (a byte of a string may take six in JSON).
pub const MAX_EVENT_BYTES: usize = 128 * 1024;

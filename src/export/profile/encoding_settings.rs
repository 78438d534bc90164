//! Settings that encoders share.

use super::EventSource;

/// Settings of an encoder, beside the event.
#[derive(Debug, Clone)]
pub(crate) struct EncodingSettings {
    pub(crate) source: EventSource,
    /// False to leave out the whole event where the profile has a field for it beside its own.
    pub(crate) with_original: bool,
}

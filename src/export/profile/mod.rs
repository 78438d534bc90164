//! Shapes of other systems: each event as one line of their format. `docs/export.md` has them field by field.

mod activity;
mod cef;
mod cloud_events;
mod ecs;
mod encoding;
mod encoding_settings;
mod event_source;
mod ip_address;
mod iq;
mod message;
mod ocsf;
mod original;
mod otlp;
mod outcome;
mod plain_string;
mod profile_format;
mod profile_name;

pub(crate) use encoding::Encoding;
pub(crate) use encoding_settings::EncodingSettings;
pub use event_source::{EventSource, EventSourceError};
pub(crate) use original::original_of;
pub use profile_format::ProfileFormat;
pub use profile_name::{Profile, ProfileError};

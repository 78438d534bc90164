//! Shapes of other systems: each event as one line of their format. `docs/export.md` has them field by field.

mod activity;
mod cef;
mod cloud_events;
mod ecs;
mod embedded_event;
mod encoding;
mod encoding_settings;
mod event_source;
mod ip_address;
mod iq;
mod message;
mod ocsf;
mod otlp;
mod outcome;
mod plain_string;
mod profile_format;
mod profile_name;

pub(crate) use embedded_event::original_of;
pub(crate) use encoding::Encoding;
pub(crate) use encoding_settings::EncodingSettings;
pub use event_source::{EventSource, EventSourceError};
pub use profile_format::ProfileFormat;
pub use profile_name::{Profile, ProfileError};

//! `syslog:`: events as syslog messages, for the collectors and alarms that a site has already.
//!
//! - **Durable:** never. A collector acknowledges nothing, so an appended event may be lost; keep the events in a durable store
//!   as well.
//! - **Ordered:** as they are appended, over one connection.
//! - **Readable:** not here.
//!
//! Formats: RFC 5424 with structured data, and RFC 3164. No value of an event can end its line, its field or its parameter.

mod error;
mod escape;

mod facility;
mod severity;

mod template;

mod header;
mod structured_data;

mod message;

mod transport;

mod type_settings;

mod settings;
#[cfg(feature = "policy-file")]
mod settings_file;
mod url;

mod diagnostics;

mod store;

pub use facility::Facility;
pub use message::Format;
pub use settings::SyslogSettings;
pub use severity::Severity;
pub use store::SyslogStore;
pub use template::Template;
pub use transport::{Framing, UnixSocket};
pub use type_settings::TypeSettings;

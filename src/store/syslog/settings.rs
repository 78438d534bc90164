//! The settings of the sink.

use std::collections::HashMap;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::error::config;
use super::header::Sender;
use super::message::{MIN_BYTES, Message, MessageStyle};
use super::structured_data::SdId;
use super::transport::{Certificates, Destination, Server};
use super::{Facility, Format, Framing, Severity, Template, TypeSettings, UnixSocket};
use crate::event::{AuditEvent, EventType};
use crate::store::StoreError;

/// The settings of a [`SyslogStore`](super::SyslogStore): the collector, and the form of the messages.
///
/// ```
/// use tower_audit::store::syslog::{Facility, Severity, SyslogSettings, Template};
/// use tower_audit::{AuditEvent, EventType};
///
/// let settings = SyslogSettings::unix("/dev/log")
///     .facility(Facility::Authpriv)
///     .severity(Severity::Notice)
///     .template(Template::new("{type} {userid}")?)
///     .app_name("shop")?;
/// let message = settings.message(&AuditEvent::new(EventType::UPLOAD));
/// assert!(message.starts_with("<85>") && message.ends_with(": upload "));
/// # Ok::<(), tower_audit::store::StoreError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SyslogSettings {
    pub(super) destination: Destination,
    pub(super) max_bytes: usize,
    format: Format,
    general: TypeSettings,
    by_type: HashMap<EventType, TypeSettings>,
    template: Template,
    sender: Sender,
    sd_id: Option<SdId>,
    with_bom: bool,
    /// A setting that was given, and that RFC 3164 has no place for.
    of_rfc5424: Option<&'static str>,
}

impl SyslogSettings {
    /// A collector on this machine, at the path of its socket. The format is RFC 3164.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::new(Destination::Unix { path: path.into(), socket: UnixSocket::Any }, Format::Rfc3164)
    }

    /// A collector over UDP. The format is RFC 5424.
    ///
    /// # Errors
    /// If `host` is neither the name of a host nor an address.
    pub fn udp(host: &str, port: u16) -> Result<Self, StoreError> {
        Ok(Self::new(Destination::Udp(Server::new(host, port)?), Format::Rfc5424))
    }

    /// A collector over TCP. The format is RFC 5424.
    ///
    /// # Errors
    /// If `host` is neither the name of a host nor an address.
    pub fn tcp(host: &str, port: u16) -> Result<Self, StoreError> {
        let server = Server::new(host, port)?;
        Ok(Self::new(Destination::Tcp { server, framing: Framing::OctetCounting }, Format::Rfc5424))
    }

    /// A collector over TLS (RFC 5425). The format is RFC 5424.
    ///
    /// # Errors
    /// If `host` is neither the name of a host nor an address.
    pub fn tls(host: &str, port: u16) -> Result<Self, StoreError> {
        let server = Server::new(host, port)?;
        Ok(Self::new(Destination::Tls { server, certificates: Certificates::default() }, Format::Rfc5424))
    }

    fn new(destination: Destination, format: Format) -> Self {
        Self {
            max_bytes: destination.default_max_bytes(),
            destination,
            format,
            general: TypeSettings::new(),
            by_type: HashMap::new(),
            template: Template::default(),
            sender: Sender::current(),
            sd_id: Some(SdId::default()),
            with_bom: true,
            of_rfc5424: None,
        }
    }

    /// Checks that every setting that was given has an effect.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self.of_rfc5424 {
            Some(name) if self.format == Format::Rfc3164 => Err(config(format!(
                "messages of RFC 3164 have no place for `{name}`: leave it out, or set `format=rfc5424`"
            ))),
            _ => Ok(()),
        }
    }

    /// Sets the format.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Sets the facility of every type without its own: `local0` by default.
    pub fn facility(mut self, facility: Facility) -> Self {
        self.general.facility = Some(facility);
        self
    }

    /// Sets the severity of every type without its own. By default it depends on the event: `crit` for `audit.failed`, `err`
    /// for a 5xx, `warning` for a 4xx and for `oversize_query`, else `notice`.
    pub fn severity(mut self, severity: Severity) -> Self {
        self.general.severity = Some(severity);
        self
    }

    /// Sets the template of every type without its own.
    pub fn template(mut self, template: Template) -> Self {
        self.general.template = Some(template);
        self
    }

    /// Sets what differs for events of this type.
    pub fn event_type(mut self, event_type: EventType, settings: TypeSettings) -> Self {
        self.by_type.insert(event_type, settings);
        self
    }

    /// Sets the name of the app: `tower-audit` by default.
    ///
    /// # Errors
    /// If a collector would read another one: at most 32 letters, digits, `-`, `_` and `.`.
    pub fn app_name(mut self, name: &str) -> Result<Self, StoreError> {
        Sender::check_app_name(name)?;
        self.sender.app_name = name.to_owned();
        Ok(self)
    }

    /// Sets the name of the host: that of this machine by default. RFC 3164 over a local socket has none.
    ///
    /// # Errors
    /// If a collector would read another one: at most 255 letters, digits, `-`, `_`, `.` and `:`.
    pub fn host_name(mut self, name: &str) -> Result<Self, StoreError> {
        Sender::check_host_name(name)?;
        self.sender.host_name = name.to_owned();
        Ok(self)
    }

    /// Sets the name of the structured data, with your private enterprise number; `none`: no structured data. By default it is
    /// `audit@32473`, with the number for examples of RFC 5612. Of RFC 5424 alone: with the other format no sink opens.
    ///
    /// # Errors
    /// If it is neither `none` nor of the form `NAME@NUMBER`.
    pub fn structured_data(mut self, id: &str) -> Result<Self, StoreError> {
        self.of_rfc5424 = Some("structured_data");
        self.sd_id = if id == "none" { None } else { Some(SdId::parse(id)?) };
        Ok(self)
    }

    /// Sets whether text that is more than ASCII begins with a byte order mark, as RFC 5424 section 6.4 has it: yes by default. Of that format
    /// alone: with the other one no sink opens.
    pub fn byte_order_mark(mut self, with_mark: bool) -> Self {
        self.of_rfc5424 = Some("bom");
        self.with_bom = with_mark;
        self
    }

    /// Sets the largest message, in bytes: 2,048 over UDP, else 8,000 by default. A larger one is cut.
    ///
    /// # Errors
    /// If it is below 480, which every collector takes, or above the maximum of the transport: 65,507 over UDP, else 1 MiB.
    pub fn max_bytes(mut self, bytes: usize) -> Result<Self, StoreError> {
        let largest = self.destination.largest_max_bytes();
        if !(MIN_BYTES..=largest).contains(&bytes) {
            return Err(config(format!("a largest message of {bytes} bytes: expected {MIN_BYTES} to {largest}")));
        }
        self.max_bytes = bytes;
        Ok(self)
    }

    /// Sets the kind of the local socket: any by default.
    ///
    /// # Errors
    /// If the collector is not on a local socket.
    pub fn socket(mut self, kind: UnixSocket) -> Result<Self, StoreError> {
        match &mut self.destination {
            Destination::Unix { socket, .. } => *socket = kind,
            _ => return Err(config("the kind of a socket is for a local one: use a path, as in `syslog:///dev/log`")),
        }
        Ok(self)
    }

    /// Sets the borders of messages in a stream: octet counting by default.
    ///
    /// # Errors
    /// If the transport is not TCP. TLS has octet counting (RFC 5425 section 4.3); local sockets have line feeds.
    pub fn framing(mut self, kind: Framing) -> Result<Self, StoreError> {
        match &mut self.destination {
            Destination::Tcp { framing, .. } => *framing = kind,
            _ => return Err(config("framing is for TCP: use `syslog+tcp://`")),
        }
        Ok(self)
    }

    /// Sets the file of the authorities that sign the collector's certificate, in PEM: public ones by default.
    ///
    /// # Errors
    /// If the transport is not TLS.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        self.certificates()?.ca_file = Some(path.into());
        Ok(self)
    }

    /// Sets the file of the certificate that the sink shows, with those up to its authority, in PEM.
    ///
    /// # Errors
    /// If the transport is not TLS.
    pub fn cert_file(mut self, path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        self.certificates()?.cert_file = Some(path.into());
        Ok(self)
    }

    /// Sets the file of the key of [`cert_file`](Self::cert_file), in PEM.
    ///
    /// # Errors
    /// If the transport is not TLS.
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        self.certificates()?.key_file = Some(path.into());
        Ok(self)
    }

    /// Sets the name in the collector's certificate: the host by default.
    ///
    /// # Errors
    /// If the transport is not TLS.
    pub fn server_name(mut self, name: impl Into<String>) -> Result<Self, StoreError> {
        self.certificates()?.server_name = Some(name.into());
        Ok(self)
    }

    fn certificates(&mut self) -> Result<&mut Certificates, StoreError> {
        match &mut self.destination {
            Destination::Tls { certificates, .. } => Ok(certificates),
            _ => Err(config("certificates are for TLS: use `syslog+tls://`")),
        }
    }

    /// Returns the message of an event, as it is sent.
    pub fn message(&self, event: &AuditEvent) -> String {
        self.message_within(event, self.max_bytes, &TimeZone::system()).text
    }

    /// Returns the message of an event, of at most `max_bytes`.
    pub(super) fn message_within(&self, event: &AuditEvent, max_bytes: usize, zone: &TimeZone) -> Message {
        let own = self.by_type.get(&event.event_type);
        let style = MessageStyle {
            format: self.format,
            facility: own.and_then(|own| own.facility).or(self.general.facility).unwrap_or_default(),
            severity: own.and_then(|own| own.severity).or(self.general.severity).unwrap_or_else(|| Severity::of(event)),
            template: own
                .and_then(|own| own.template.as_ref())
                .or(self.general.template.as_ref())
                .unwrap_or(&self.template),
            sender: &self.sender,
            sd_id: self.sd_id.as_ref(),
            with_host: !matches!(self.destination, Destination::Unix { .. }),
            with_bom: self.with_bom,
            zone,
        };
        Message::new(event, &style, max_bytes)
    }

    /// Adds settings behind those that are set already.
    #[cfg(feature = "policy-file")]
    pub(super) fn with_defaults(
        mut self,
        general: TypeSettings,
        types: impl IntoIterator<Item = (EventType, TypeSettings)>,
    ) -> Self {
        self.general = self.general.or(general);
        for (event_type, settings) in types {
            let own = self.by_type.remove(&event_type).unwrap_or_default();
            self.by_type.insert(event_type, own.or(settings));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_may_have_settings_of_its_own() {
        let settings = SyslogSettings::tcp("127.0.0.1", 514)
            .unwrap()
            .structured_data("none")
            .unwrap()
            .app_name("shop")
            .unwrap()
            .host_name("web1")
            .unwrap()
            .facility(Facility::Local7)
            .template(Template::new("general").unwrap())
            .event_type(
                EventType::AUTH,
                TypeSettings::new()
                    .facility(Facility::Authpriv)
                    .severity(Severity::Alert)
                    .template(Template::new("own").unwrap()),
            );
        let of = |event_type| settings.message(&AuditEvent::new(event_type));
        let upload = of(EventType::UPLOAD);
        assert!(upload.starts_with("<189>1 ") && upload.ends_with(" upload - general"), "{upload}");
        let auth = of(EventType::AUTH);
        assert!(auth.starts_with("<81>1 ") && auth.ends_with(" auth - own"), "{auth}");
    }

    #[test]
    fn sizes_are_those_of_the_transport() {
        let udp = || SyslogSettings::udp("::1", 514).unwrap();
        assert_eq!(udp().max_bytes, 2048);
        assert!(udp().max_bytes(65_507).is_ok() && udp().max_bytes(65_508).is_err() && udp().max_bytes(479).is_err());
        assert!(SyslogSettings::unix("/dev/log").max_bytes(65_508).is_ok());
        assert!(udp().framing(Framing::Newline).is_err() && udp().socket(UnixSocket::Stream).is_err());
    }
}

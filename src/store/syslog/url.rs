//! `syslog:` URLs.

use super::error::config;
use super::{Facility, Format, Framing, Severity, SyslogSettings, Template, UnixSocket};
use crate::export::ProfileError;
use crate::store::StoreError;
use crate::store::redacted_url::parameter_name;
use crate::store::url_parameters::url_parameters;

/// The forms of a URL.
const FORMS: &str =
    "`syslog:///dev/log`, `syslog+udp://HOST:PORT`, `syslog+tcp://HOST:PORT` or `syslog+tls://HOST:PORT`";
const DEFAULT_SOCKET: &str = "/dev/log";
/// Of UDP (RFC 5426), and of TCP by custom.
const DEFAULT_PORT: u16 = 514;
/// RFC 5425 section 4.1.
const DEFAULT_TLS_PORT: u16 = 6514;

/// Reads a whole URL. Nothing in it is decoded.
pub(super) fn parse(url: &str) -> Result<SyslogSettings, StoreError> {
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    if let Some(control) = url.chars().find(|c| c.is_control()) {
        return Err(config(format!("the URL has the control character {control:?} in it: take it out")));
    }
    let settings = match scheme.to_ascii_lowercase().as_str() {
        "syslog" => SyslogSettings::unix(socket_path(place)?),
        "syslog+udp" => {
            let (host, port) = server(place, DEFAULT_PORT)?;
            SyslogSettings::udp(host, port)?
        }
        "syslog+tcp" => {
            let (host, port) = server(place, DEFAULT_PORT)?;
            SyslogSettings::tcp(host, port)?
        }
        "syslog+tls" => {
            let (host, port) = server(place, DEFAULT_TLS_PORT)?;
            SyslogSettings::tls(host, port)?
        }
        _ => return Err(config(format!("the URL is none of a collector: expected {FORMS}"))),
    };
    with_parameters(settings, parameters)
}

fn socket_path(place: &str) -> Result<&str, StoreError> {
    let path = place.strip_prefix("//").unwrap_or(place);
    match path {
        "" => Ok(DEFAULT_SOCKET),
        _ if path.starts_with('/') => Ok(path),
        _ => Err(config(format!("the path of the socket is not absolute: expected {FORMS}"))),
    }
}

/// Reads `//HOST`, `//HOST:PORT` or `//[ADDRESS]:PORT`.
fn server(place: &str, default_port: u16) -> Result<(&str, u16), StoreError> {
    let wrong = || config(format!("the host or the port cannot be one, and is not shown: expected {FORMS}"));
    let authority = place.strip_prefix("//").ok_or_else(wrong)?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = match authority.strip_prefix('[') {
        Some(address) => address.split_once(']').ok_or_else(wrong)?,
        None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().map_err(|_| wrong())?,
        None if port.is_empty() => default_port,
        None => return Err(wrong()),
    };
    Ok((host, port))
}

/// The parameters, for the error that lists them.
const PARAMETERS: &str = "`format`, `profile`, `facility`, `severity`, `formats`, `app_name`, `host_name`, `structured_data`, `bom` and `max_bytes`; of a local \
     socket `socket`; of TCP `framing`; of TLS `ca_file`, `cert_file`, `key_file` and `server_name`";

fn with_parameters(mut settings: SyslogSettings, parameters: &str) -> Result<SyslogSettings, StoreError> {
    for (name, value) in url_parameters(parameters).map_err(config)? {
        settings = with_parameter(settings, name, value)?;
    }
    Ok(settings)
}

fn with_parameter(settings: SyslogSettings, name: &str, value: &str) -> Result<SyslogSettings, StoreError> {
    Ok(match name {
        "format" => {
            settings.format(choice(name, value, &[("rfc5424", Format::Rfc5424), ("rfc3164", Format::Rfc3164)])?)
        }
        "facility" => settings.facility(Facility::from_name(value)?),
        "severity" => settings.severity(Severity::from_name(value)?),
        "profile" => {
            let profile = value.parse().map_err(|error: ProfileError| config(error.to_string()))?;
            settings.template(Template::profile(profile))
        }
        "formats" => with_file(settings, value)?,
        "app_name" => settings.app_name(value)?,
        "host_name" => settings.host_name(value)?,
        "structured_data" => settings.structured_data(value)?,
        "bom" => settings.byte_order_mark(choice(name, value, &[("true", true), ("false", false)])?),
        "max_bytes" => {
            let bytes =
                value.parse().map_err(|_| config("`max_bytes` is no number: expected one of bytes, such as 8000"))?;
            settings.max_bytes(bytes)?
        }
        "socket" => settings.socket(choice(
            name,
            value,
            &[("any", UnixSocket::Any), ("datagram", UnixSocket::Datagram), ("stream", UnixSocket::Stream)],
        )?)?,
        "framing" => settings.framing(choice(
            name,
            value,
            &[("octet-counting", Framing::OctetCounting), ("newline", Framing::Newline)],
        )?)?,
        "ca_file" => settings.ca_file(value)?,
        "cert_file" => settings.cert_file(value)?,
        "key_file" => settings.key_file(value)?,
        "server_name" => settings.server_name(value)?,
        _ => {
            return Err(config(format!("{:?} is no parameter: expected {PARAMETERS}", parameter_name(name))));
        }
    })
}

fn choice<T: Copy>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T, StoreError> {
    choices.iter().find(|(given, _)| *given == value).map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
        config(format!("`{name}` is {}", names.join(" or ")))
    })
}

#[cfg(feature = "policy-file")]
fn with_file(settings: SyslogSettings, path: &str) -> Result<SyslogSettings, StoreError> {
    settings.with_file(std::path::Path::new(path))
}

#[cfg(not(feature = "policy-file"))]
fn with_file(_: SyslogSettings, _: &str) -> Result<SyslogSettings, StoreError> {
    Err(config(
        "`formats` names a file, and this build reads none: add the feature `policy-file` to `tower-audit` in Cargo.toml",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AuditEvent, EventType};

    fn error(url: &str) -> String {
        parse(url).unwrap_err().to_string()
    }

    #[test]
    fn the_forms_of_a_url() {
        for (url, transport) in [
            ("syslog:", "a local socket"),
            ("syslog:/run/log", "a local socket"),
            ("syslog:///dev/log?socket=stream", "a local socket"),
            ("SYSLOG+UDP://collector", "UDP"),
            ("syslog+udp://[2001:db8::1]:5514/", "UDP"),
            ("syslog+tcp://collector:601?framing=newline", "TCP"),
            ("syslog+tls://collector?ca_file=/a.pem&cert_file=/b.pem&key_file=/c.pem&server_name=d", "TLS"),
        ] {
            assert_eq!(parse(url).unwrap_or_else(|error| panic!("{url}: {error}")).destination.transport(), transport);
        }
        let settings = parse(
            "syslog+tcp://c?format=rfc3164&facility=authpriv&severity=crit&app_name=shop&host_name=web1&max_bytes=500&bom=false",
        );
        let message = settings.unwrap().message(&AuditEvent::new(EventType::UPLOAD));
        assert!(message.starts_with("<82>") && message.contains(" web1 shop["), "{message}");
        let message =
            parse("syslog+udp://c?structured_data=none").unwrap().message(&AuditEvent::new(EventType::UPLOAD));
        assert!(message.contains(" upload - upload completed "), "{message}");
    }

    #[test]
    fn the_text_may_be_in_the_format_of_another_system() {
        let event = AuditEvent::new(EventType::UPLOAD);
        let text = |url: &str| parse(url).unwrap().message(&event);
        let cef = text("syslog+udp://c?profile=cef&structured_data=none");
        assert!(cef.contains(" upload - CEF:0|tower-audit|tower-audit|") && !cef.contains('\n'), "{cef}");
        let ecs = text("syslog+udp://c?profile=ecs&structured_data=none");
        let (_, document) = ecs.split_once(" upload - ").unwrap();
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        assert_eq!(document["event"]["id"], event.event_id.to_string());
        // A message has a limit: the whole event is not in it twice.
        assert!(document["event"].get("original").is_none());
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        for (url, named) in [
            ("syslog:log", "not absolute"),
            ("syslog://collector:514", "`syslog+udp://HOST:PORT`"),
            ("syslog+udp:collector", "`syslog+udp://HOST:PORT`"),
            ("syslog+tcp://user:Hunter2@collector", "not shown"),
            ("syslog+tcp://Hunter2@collector", "not shown"),
            ("syslog+udp://", "not shown"),
            ("syslog+udp://c:0", "not shown"),
            ("syslog+udp://c:99999", "not shown"),
            ("syslog+udp://[::1", "not shown"),
            ("syslog+udp://c/Hunter2", "not shown"),
            ("syslog+relp://c", "none of a collector"),
            ("syslog:?format=json", "`rfc5424` or `rfc3164`"),
            ("syslog:?profile=splunk", "`cef`"),
            ("syslog:?facility=local9", "local7"),
            ("syslog:?severity=loud", "notice"),
            ("syslog:?app_name=a%20b", "name of an app"),
            ("syslog:?structured_data=audit", "audit@32473"),
            ("syslog:?bom=yes", "`bom` is `true` or `false`"),
            ("syslog:?max_bytes=8K", "`max_bytes`"),
            ("syslog+udp://c?max_bytes=65508", "65507"),
            ("syslog:?framing=newline", "`syslog+tcp://`"),
            ("syslog+udp://c?socket=stream", "local"),
            ("syslog:?facility=mail&facility=mail", "twice"),
            ("syslog+tcp://c?ca_file=/a.pem", "`syslog+tls://`"),
            ("syslog:?level=notice", "`severity`"),
            ("syslog:?Hunter2=1", "…"),
            ("syslog:///dev/log\n", "'\\n'"),
        ] {
            let error = error(url);
            assert!(error.contains(named) && !error.contains("Hunter2"), "{url}: {error}");
        }
    }
}

//! `nats://` and `tls://` URLs.

use std::path::PathBuf;

use super::error::config;
use super::url_settings::{Login, MonitoringPort, Server, SyncEvidence, UrlSettings};
use crate::store::StoreError;
use crate::store::redacted_url::parameter_name;
use crate::store::url_parameters::{percent_decoded, url_parameters};

const FORMS: &str = "`nats://USER:PASSWORD@HOST:PORT,HOST:PORT?PARAMETERS` or `tls://…`";
const DEFAULT_PORT: u16 = 4222;
const DEFAULT_MONITOR_PORT: u16 = 8222;
/// More streams than a cluster has disks win nothing.
const MAX_PARTITIONS: u32 = 256;
/// JetStream allows no more.
const MAX_REPLICAS: u64 = 5;
const DEFAULT_REPLICAS: u64 = 3;

/// Reads a whole URL. Percent signs are resolved in names, passwords and paths of files.
pub(super) fn parse(url: &str) -> Result<UrlSettings, StoreError> {
    if let Some(control) = url.chars().find(|c| c.is_control()) {
        return Err(config(format!("the URL has the control character {control:?} in it: take it out")));
    }
    let (scheme, rest) = url.split_once(':').unwrap_or((url, ""));
    let rest = rest.strip_prefix("//").ok_or_else(|| config(format!("expected {FORMS}")))?;
    let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let place = place.strip_suffix('/').unwrap_or(place);
    let (login, hosts) = match place.rsplit_once('@') {
        Some((login, hosts)) => (user_info(login)?, hosts),
        None => (Login::None, place),
    };
    let servers = hosts.split(',').map(|host| server(host, DEFAULT_PORT)).collect::<Option<Vec<_>>>();
    let servers =
        servers.ok_or_else(|| config(format!("a host or a port cannot be one, and is not shown: expected {FORMS}")))?;
    let mut settings = UrlSettings {
        servers,
        is_tls: scheme.eq_ignore_ascii_case("tls"),
        is_tls_first: false,
        ca_file: None,
        cert_file: None,
        key_file: None,
        login,
        stream: "AUDIT".into(),
        subject: "audit".into(),
        partitions: 1,
        partition: None,
        replicas: DEFAULT_REPLICAS,
        consumer: "ship".into(),
        domain: None,
        sync: SyncEvidence::Missing,
    };
    Parameters::default().read(parameters, &mut settings)?;
    Ok(settings)
}

/// Reads `USER:PASSWORD` or `TOKEN`.
fn user_info(text: &str) -> Result<Login, StoreError> {
    let decoded = |text: &str| {
        percent_decoded(text)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| config("a user, a password or a token in the URL is empty, or has a percent sign without two hexadecimal digits"))
    };
    Ok(match text.split_once(':') {
        Some((user, password)) => Login::Password { user: decoded(user)?, password: decoded(password)? },
        None => Login::Token(decoded(text)?),
    })
}

/// Reads `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`.
fn server(text: &str, default_port: u16) -> Option<Server> {
    let (host, port) = match text.strip_prefix('[') {
        Some(address) => address.split_once(']')?,
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None if port.is_empty() => default_port,
        None => return None,
    };
    let is_host = if text.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
    };
    is_host.then(|| Server { host: host.to_owned(), port })
}

/// The parameters, for the error that lists them.
const PARAMETERS: &str = "`stream`, `subject`, `streams`, `partition`, `replicas`, `consumer`, `domain`, `sync`, `monitor`, `credentials_file`, \
                          `nkey_file`, `system_credentials_file`, `system_nkey_file`, `system_user`, `system_password`, `ca_file`, \
                          `cert_file`, `key_file` and `tls_first`";

/// Parameters that are judged together.
#[derive(Default)]
struct Parameters {
    system: Vec<Login>,
    system_user: Option<String>,
    system_password: Option<String>,
    monitor: Option<Vec<MonitoringPort>>,
    is_declared: bool,
}

impl Parameters {
    fn read(mut self, parameters: &str, settings: &mut UrlSettings) -> Result<(), StoreError> {
        for (name, value) in url_parameters(parameters).map_err(config)? {
            let value = percent_decoded(value).ok_or_else(|| {
                let name = parameter_name(name);
                config(format!("a percent sign in `{name}` must begin two hexadecimal digits of UTF-8"))
            })?;
            self.set(name, value, settings)?;
        }
        self.settle(settings)
    }

    fn set(&mut self, name: &str, value: String, settings: &mut UrlSettings) -> Result<(), StoreError> {
        match name {
            "stream" => settings.stream = name_of(name, value, "AUDIT", |byte| matches!(byte, b'_' | b'-'))?,
            "subject" => settings.subject = subject(value)?,
            "streams" => settings.partitions = number(name, &value, 1, MAX_PARTITIONS.into())? as u32,
            "partition" => settings.partition = Some(number(name, &value, 0, u64::from(MAX_PARTITIONS) - 1)? as u32),
            "replicas" => settings.replicas = number(name, &value, 1, MAX_REPLICAS)?,
            "consumer" => settings.consumer = name_of(name, value, "ship", |byte| matches!(byte, b'_' | b'-'))?,
            "domain" => settings.domain = Some(name_of(name, value, "HUB", |byte| matches!(byte, b'_' | b'-'))?),
            "sync" if value == "declared" => self.is_declared = true,
            "sync" if value == "seen" => {}
            "sync" => return Err(config("`sync` is `seen` or `declared`")),
            "monitor" => self.monitor = Some(monitors(&value)?),
            "credentials_file" => set_login(&mut settings.login, Login::Credentials(path(name, value)?))?,
            "nkey_file" => set_login(&mut settings.login, Login::Nkey(path(name, value)?))?,
            "system_credentials_file" => self.system.push(Login::Credentials(path(name, value)?)),
            "system_nkey_file" => self.system.push(Login::Nkey(path(name, value)?)),
            "system_user" => self.system_user = Some(value),
            "system_password" => self.system_password = Some(value),
            "ca_file" => settings.ca_file = Some(path(name, value)?),
            "cert_file" => settings.cert_file = Some(path(name, value)?),
            "key_file" => settings.key_file = Some(path(name, value)?),
            "tls_first" if value == "true" => settings.is_tls_first = true,
            "tls_first" if value == "false" => {}
            "tls_first" => return Err(config("`tls_first` is `true` or `false`")),
            _ => return Err(config(format!("{:?} is no parameter: expected {PARAMETERS}", parameter_name(name)))),
        }
        Ok(())
    }

    fn settle(mut self, settings: &mut UrlSettings) -> Result<(), StoreError> {
        match (self.system_user, self.system_password) {
            (Some(user), Some(password)) => self.system.push(Login::Password { user, password }),
            (None, None) => {}
            _ => return Err(config("`system_user` and `system_password` belong together: give both or none")),
        }
        if self.system.len() > 1 {
            return Err(config("there are two logins of the system account: give one"));
        }
        settings.sync = match (self.system.pop(), self.monitor, self.is_declared) {
            (None, None, false) => SyncEvidence::Missing,
            (Some(login), None, false) => SyncEvidence::System(login),
            (None, Some(monitors), false) => SyncEvidence::MonitoringPort(monitors),
            (None, None, true) => SyncEvidence::Declared,
            _ => {
                return Err(config(
                    "give one evidence of the servers' `sync_interval`: the login of the system account, `monitor`, or \
                     `sync=declared`",
                ));
            }
        };
        let needs_tls = [&settings.ca_file, &settings.cert_file, &settings.key_file].iter().any(|file| file.is_some());
        settings.is_tls |= needs_tls || settings.is_tls_first;
        if settings.partition.is_some_and(|partition| partition >= settings.partitions) {
            return Err(config(format!("`partition` is not below `streams`, which is {}", settings.partitions)));
        }
        Ok(())
    }
}

fn set_login(login: &mut Login, new: Login) -> Result<(), StoreError> {
    if *login != Login::None {
        return Err(config(
            "there are two logins: give a user with a password, a token, `credentials_file` or `nkey_file`",
        ));
    }
    *login = new;
    Ok(())
}

fn path(name: &str, value: String) -> Result<PathBuf, StoreError> {
    if value.is_empty() { Err(config(format!("`{name}` is empty: expected a path"))) } else { Ok(value.into()) }
}

fn number(name: &str, value: &str, least: u64, most: u64) -> Result<u64, StoreError> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| config(format!("`{name}` is no number from {least} to {most}")))
}

fn name_of(name: &str, value: String, example: &str, is_other: fn(u8) -> bool) -> Result<String, StoreError> {
    let is_name =
        (1..=64).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_other(byte));
    if is_name {
        return Ok(value);
    }
    Err(config(format!("`{name}` is 1 to 64 letters, digits, `-` and `_`, such as `{example}`")))
}

fn subject(value: String) -> Result<String, StoreError> {
    let is_subject = value.len() <= 128
        && value.split('.').all(|token| {
            !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        });
    if is_subject {
        return Ok(value);
    }
    Err(config(
        "`subject` is made of letters, digits, `-` and `_`, in parts with a `.` between them, such as `audit` or `shop.audit`",
    ))
}

fn monitors(value: &str) -> Result<Vec<MonitoringPort>, StoreError> {
    let one = |text: &str| {
        let rest = text.strip_prefix("http://")?;
        let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let path = path.strip_suffix('/').unwrap_or(path);
        let is_path = path.bytes().all(|byte| byte.is_ascii_graphic());
        Some(MonitoringPort { server: server(place, DEFAULT_MONITOR_PORT).filter(|_| is_path)?, path: path.to_owned() })
    };
    value.split(',').map(one).collect::<Option<Vec<_>>>().ok_or_else(|| {
        config(
            "`monitor` is a list of monitoring ports, one for each server, such as `http://n1:8222,http://n2:8222,http://n3:8222`; over \
             TLS, give the login of the system account instead",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        match parse(url) {
            Ok(_) => panic!("{url}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_forms_of_a_url() {
        let settings =
            parse("nats://app:p%40ss@n1:4223,n2,[::1]:4224/?streams=4&partition=3&monitor=http://n1,http://n2:1/base")
                .unwrap();
        let addresses: Vec<_> = settings.servers.iter().map(Server::address).collect();
        assert_eq!(addresses, ["n1:4223", "n2:4222", "[::1]:4224"]);
        assert!(matches!(&settings.login, Login::Password { user, password } if user == "app" && password == "p@ss"));
        assert_eq!((settings.stream_name(3).as_str(), settings.subject_name(3).as_str()), ("AUDIT-3", "audit.3"));
        let SyncEvidence::MonitoringPort(monitors) = &settings.sync else { panic!("no monitor") };
        assert_eq!((monitors[0].server.port, monitors[1].path.as_str()), (8222, "/base"));
        assert!(!settings.is_tls);

        let settings =
            parse("TLS://token@n1?stream=SHOP&subject=shop.audit&system_user=s&system_password=p&domain=hub").unwrap();
        assert!(settings.is_tls && matches!(&settings.login, Login::Token(token) if token == "token"));
        assert!(matches!(&settings.sync, SyncEvidence::System(Login::Password { .. })));
        assert_eq!(settings.api("INFO"), "$JS.hub.API.INFO");
        assert!(parse("nats://n1?ca_file=/a.pem").unwrap().is_tls);
        assert!(matches!(parse("nats://n1?sync=declared").unwrap().sync, SyncEvidence::Declared));
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        for (url, named) in [
            ("nats:n1", "nats://USER"),
            ("nats://", "not shown"),
            ("nats://app:Hunter2@", "not shown"),
            ("nats://n1:0", "not shown"),
            ("nats://n1:Hunter2", "not shown"),
            ("nats://n1,,n2", "not shown"),
            ("nats://app:Hunter2%@n1", "percent sign"),
            ("nats://app:@n1", "empty"),
            ("nats://n1?streams=0", "`streams` is no number from 1 to 256"),
            ("nats://n1?replicas=7", "from 1 to 5"),
            ("nats://n1?streams=2&partition=2", "`partition` is not below"),
            ("nats://n1?stream=A.B", "`stream`"),
            ("nats://n1?subject=audit.*", "`subject`"),
            ("nats://n1?sync=always", "`seen` or `declared`"),
            ("nats://n1?monitor=https://n1:8222", "system account"),
            ("nats://n1?sync=declared&monitor=http://n1", "one evidence"),
            ("nats://n1?system_user=Hunter2", "belong together"),
            ("nats://app:Hunter2@n1?nkey_file=/a", "two logins"),
            ("nats://n1?system_nkey_file=/a&system_credentials_file=/b", "two logins of the system account"),
            ("nats://n1?tls_first=yes", "`true` or `false`"),
            ("nats://n1?ca_file=", "`ca_file` is empty"),
            ("nats://n1?Hunter2=1", "…"),
            ("nats://n1\n", "'\\n'"),
        ] {
            let error = error(url);
            assert!(error.contains(named) && !error.contains("Hunter2"), "{url}: {error}");
        }
    }
}

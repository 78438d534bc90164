//! The log's own parameters in a URL, and those of the driver.

use crate::store::StoreError;
use crate::store::redacted_url::parameter_name;

use super::collections::{Collections, DEFAULT_COLLECTION};
use super::error::config;

/// A URL, taken apart.
pub(super) struct Url {
    /// The URL for the driver, without the log's own parameters.
    pub(super) driver: String,
    pub(super) names: Collections,
    /// True if the URL asks for TLS that does not check certificates.
    pub(super) is_unverified: bool,
}

impl Url {
    /// Takes a URL apart, and rejects parameters that nobody knows or that would make the log less than durable.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let url = url.trim_end_matches(['\n', '\r']);
        let (scheme, rest) = url.split_once("://").ok_or_else(malformed)?;
        let (location, parameters) = match rest.split_once('?') {
            Some((location, parameters)) => (location, parameters),
            None => (rest, ""),
        };
        // A password may have a `/` only escaped, so the last `@` ends it.
        let after_account = location.rsplit_once('@').map_or(location, |(_, hosts)| hosts);
        let (hosts, database) = after_account.split_once('/').unwrap_or((after_account, ""));
        if hosts.is_empty() || hosts.contains('#') || parameters.contains(['@', '#', '?']) {
            return Err(malformed());
        }
        let is_database = !database.is_empty()
            && database.len() < 64
            && database.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !is_database {
            return Err(config(
                "the URL names no database: expected `mongodb://HOST/DATABASE`, the database of letters, digits, `_` and `-`",
            ));
        }
        let mut collection = None;
        let mut is_unverified = false;
        let mut kept = Vec::new();
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let lower = name.to_ascii_lowercase();
            match lower.as_str() {
                "collection" | "colname_audit_events" => {
                    if collection.replace(value).is_some() {
                        return Err(config("the collection is given twice"));
                    }
                    continue;
                }
                "w" if value != "majority" => return Err(weaker("w", "w=majority")),
                "journal" | "j" if value != "true" => return Err(weaker("journal", "journal=true")),
                // The driver knows it by its long name.
                "j" => continue,
                "wtimeoutms" => {
                    return Err(config(
                        "the URL has `wtimeoutMS`: remove it, the timeout of a write is that of the log's store",
                    ));
                }
                "readconcernlevel" if value != "majority" => {
                    return Err(weaker("readConcernLevel", "readConcernLevel=majority"));
                }
                "readpreference" if value != "primary" => {
                    return Err(config(
                        "the URL reads from other members than the primary, which may not have an acknowledged event yet: \
                         remove `readPreference`",
                    ));
                }
                "readpreferencetags" | "maxstalenessseconds" => {
                    return Err(config(
                        "the log reads from the primary alone: remove `readPreferenceTags` and `maxStalenessSeconds`",
                    ));
                }
                "tlsinsecure" | "tlsallowinvalidcertificates" => is_unverified |= value == "true",
                known if DRIVER.contains(&known) => {}
                _ => {
                    return Err(config(format!(
                        "the parameter `{}` is not known: expected `collection` or one of MongoDB's connection string options \
                         that the driver of this build has",
                        parameter_name(&lower)
                    )));
                }
            }
            kept.push(parameter);
        }
        let names = Collections::new(database, collection.unwrap_or(DEFAULT_COLLECTION))?;
        // The driver takes the scheme in lower case alone.
        let driver = format!("{}://{location}?{}", scheme.to_ascii_lowercase(), kept.join("&"));
        Ok(Self { driver: driver.trim_end_matches('?').to_owned(), names, is_unverified })
    }
}

/// Nothing of the URL is shown: a password may be in any part of it.
pub(super) fn malformed() -> StoreError {
    config(
        "the URL is malformed: expected `mongodb://USER:PASSWORD@HOST:PORT/DATABASE?replicaSet=NAME`, with `%40` for an `@`, \
         `%2F` for a `/`, `%3A` for a `:` and `%3F` for a `?` in the name or the password",
    )
}

fn weaker(name: &str, expected: &str) -> StoreError {
    StoreError::new(crate::store::StoreErrorKind::Config, super::error::NAME, "opening the log").with_hint(format!(
        "the URL asks for a weaker `{name}` than the log has: every write is sent with w=majority and j=true, every read with \
         readConcern majority. Remove `{name}`, or write `{expected}`"
    ))
}

/// The options that are passed to the driver, in lower case.
const DRIVER: [&str; 29] = [
    "appname",
    "authmechanism",
    "authmechanismproperties",
    "authsource",
    "connecttimeoutms",
    "directconnection",
    "heartbeatfrequencyms",
    "journal",
    "loadbalanced",
    "localthresholdms",
    "maxconnecting",
    "maxidletimems",
    "maxpoolsize",
    "minpoolsize",
    "readconcernlevel",
    "readpreference",
    "replicaset",
    "retryreads",
    "retrywrites",
    "servermonitoringmode",
    "serverselectiontimeoutms",
    "srvmaxhosts",
    "srvservicename",
    "ssl",
    "tls",
    "tlscafile",
    "tlscertificatekeyfile",
    "uuidrepresentation",
    "w",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        match Url::parse(url) {
            Ok(_) => panic!("{url} is taken"),
            Err(error) => format!("{error} {error:?}"),
        }
    }

    #[test]
    fn the_log_may_be_anywhere() {
        let url = Url::parse("MongoDB://a:b@h1:1,h2/ivre?replicaSet=rs&collection=log&tls=true\n")
            .unwrap_or_else(|_| panic!());
        assert_eq!(url.driver, "mongodb://a:b@h1:1,h2/ivre?replicaSet=rs&tls=true");
        assert_eq!((&*url.names.database, &*url.names.started), ("ivre", "log_started"));
        let url =
            Url::parse("mongodb+srv://h/d?colname_audit_events=c&w=majority&journal=true").unwrap_or_else(|_| panic!());
        assert_eq!((&*url.driver, &*url.names.events), ("mongodb+srv://h/d?w=majority&journal=true", "c"));
        assert_eq!(Url::parse("mongodb://h/d").unwrap_or_else(|_| panic!()).names.events, "audit_events");
    }

    #[test]
    fn a_weaker_setting_is_refused_by_name() {
        for (parameter, named) in [
            ("w=1", "`w`"),
            ("w=0", "`w`"),
            ("W=2", "`w`"),
            ("w=dc", "`w`"),
            ("journal=false", "`journal`"),
            ("j=false", "`journal`"),
            ("wtimeoutMS=5", "`wtimeoutMS`"),
            ("readConcernLevel=local", "`readConcernLevel`"),
            ("readPreference=secondary", "`readPreference`"),
            ("maxStalenessSeconds=90", "`maxStalenessSeconds`"),
            ("retry_writes=1", "`retry_writes`"),
        ] {
            let error = error(&format!("mongodb://h/d?{parameter}"));
            assert!(error.contains(named), "{parameter}: {error}");
        }
    }

    #[test]
    fn nothing_of_a_malformed_url_is_shown() {
        for url in [
            "mongodb:secret",
            "mongodb://app:secret@host",
            "mongodb://app:se?cret@host/secret",
            "mongodb://app:sec/ret@host/se cret",
            "mongodb://app:secret@/d",
            "mongodb://app:secret@h/d?secret@x",
            "mongodb://app:secret@h/d?Secret%=x",
            "mongodb://app:secret@h/d?w=secret",
            "mongodb://app:secret@h/d?readPreference=secret",
            "mongodb://app:secret@h/d?collection=$secret",
            "mongodb://app:sec#ret@h#secret/d",
        ] {
            let shown = error(url);
            assert!(!shown.contains("secret") && !shown.contains("host/"), "{url}: {shown}");
        }
    }
}

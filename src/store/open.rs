//! From a URL to a store: the only file that names particular stores.

use std::sync::Arc;

#[cfg(feature = "policy-file")]
use futures_util::future::join_all;

#[cfg(feature = "policy-file")]
use super::tee::{LateMember, OpenedMember, TeeFile};
use super::{AuditStore, MemoryStore, OpenOptions, RedactedUrl, StoreError, StoreErrorKind};
#[cfg(feature = "policy-file")]
use super::{Capabilities, StoreFuture};
#[cfg(feature = "policy-file")]
use crate::log_lines::log_line;

/// The schemes of the stores of this build, as their URLs have them.
///
/// ```
/// assert!(tower_audit::store::SCHEMES.contains(&"memory"));
/// ```
pub const SCHEMES: &[&str] = &[
    "memory",
    #[cfg(feature = "sqlite")]
    "sqlite",
    #[cfg(feature = "postgres")]
    "postgres",
    #[cfg(feature = "mysql")]
    "mysql",
    #[cfg(all(feature = "jsonl", unix))]
    "jsonl",
    #[cfg(feature = "nats")]
    "nats",
    #[cfg(feature = "nats")]
    "tls",
    #[cfg(feature = "mongodb")]
    "mongodb",
    #[cfg(all(feature = "duckdb", unix))]
    "duckdb",
    #[cfg(unix)]
    "spool",
    "tracing",
    #[cfg(all(feature = "syslog", unix))]
    "syslog",
    #[cfg(feature = "policy-file")]
    "tee",
];

/// Opens the store that `url` names.
///
/// # Errors
/// If the URL is malformed, names a store that this build has no feature for, or the store cannot be opened.
pub async fn open(url: &str, options: OpenOptions) -> Result<Arc<dyn AuditStore>, StoreError> {
    let scheme = RedactedUrl::of(url).scheme().unwrap_or_default();
    let Some((given, rest)) = url.split_once(':') else { return Err(no_store(url)) };
    #[cfg(feature = "postgres")]
    let scheme = if super::postgres::is_scheme(given) { "postgres" } else { scheme };
    #[cfg(feature = "mysql")]
    let scheme = if super::mysql::is_scheme(given) { "mysql" } else { scheme };
    #[cfg(not(any(feature = "postgres", feature = "mysql")))]
    let _ = given;
    match scheme {
        "memory" if rest.is_empty() => Ok(Arc::new(MemoryStore::new())),
        "memory" => Err(config("memory", "expected `memory:` and nothing after it")),
        #[cfg(feature = "sqlite")]
        "sqlite" => super::sqlite::SqliteStore::open(url, options).await.map(|store| Arc::new(store) as _),
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => {
            let _ = options;
            Err(absent("sqlite"))
        }
        #[cfg(feature = "postgres")]
        "postgres" => super::postgres::PostgresStore::open(url, options).await.map(|store| Arc::new(store) as _),
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => {
            let _ = options;
            Err(absent("postgres"))
        }
        #[cfg(feature = "mysql")]
        "mysql" => super::mysql::MysqlStore::open(url, options).await.map(|store| Arc::new(store) as _),
        #[cfg(not(feature = "mysql"))]
        "mysql" | "mariadb" => {
            let _ = options;
            Err(absent("mysql"))
        }
        #[cfg(all(feature = "jsonl", unix))]
        "jsonl" => super::jsonl::JsonlStore::open(url, options).await.map(|store| Arc::new(store) as _),
        #[cfg(not(feature = "jsonl"))]
        "jsonl" => {
            let _ = options;
            Err(absent("jsonl"))
        }
        #[cfg(all(feature = "jsonl", not(unix)))]
        "jsonl" => {
            let _ = options;
            Err(config("jsonl", "this system is no Unix: use `sqlite:PATH`"))
        }
        #[cfg(feature = "nats")]
        "nats" | "tls" => super::nats::NatsStore::open(url, options).await.map(|store| Arc::new(store) as _),
        #[cfg(not(feature = "nats"))]
        "nats" | "tls" => {
            let _ = options;
            Err(absent("nats"))
        }
        #[cfg(feature = "mongodb")]
        "mongodb" | "mongodb+srv" => {
            super::mongodb::MongodbStore::open(url, options).await.map(|store| Arc::new(store) as _)
        }
        #[cfg(not(feature = "mongodb"))]
        "mongodb" | "mongodb+srv" => {
            let _ = options;
            Err(absent("mongodb"))
        }
        #[cfg(all(feature = "duckdb", unix))]
        "duckdb" => super::duckdb::DuckdbStore::open(url, options).await.map(|store| Arc::new(store) as _),
        #[cfg(not(feature = "duckdb"))]
        "duckdb" => {
            let _ = options;
            Err(absent("duckdb"))
        }
        #[cfg(all(feature = "duckdb", not(unix)))]
        "duckdb" => {
            let _ = options;
            Err(config("duckdb", "this system is no Unix: use `sqlite:PATH`"))
        }
        #[cfg(unix)]
        "spool" => {
            super::spool::SpoolStore::open_url(rest, options, open_target).await.map(|spool| Arc::new(spool) as _)
        }
        #[cfg(not(unix))]
        "spool" => Err(config("spool", "this system is no Unix: write to the target itself")),
        "tracing" => super::tracing::TracingStore::open(rest).map(|store| Arc::new(store) as _),
        #[cfg(all(feature = "syslog", unix))]
        "syslog" | "syslog+udp" | "syslog+tcp" | "syslog+tls" => {
            super::syslog::SyslogStore::open_url(url, options).await.map(|sink| Arc::new(sink) as _)
        }
        #[cfg(not(feature = "syslog"))]
        "syslog" | "syslog+udp" | "syslog+tcp" | "syslog+tls" => {
            let _ = options;
            Err(absent("syslog"))
        }
        #[cfg(all(feature = "syslog", not(unix)))]
        "syslog" | "syslog+udp" | "syslog+tcp" | "syslog+tls" => {
            let _ = options;
            Err(config("syslog", "this system is no Unix"))
        }
        #[cfg(feature = "policy-file")]
        "tee" => open_tee(rest, options).await,
        #[cfg(not(feature = "policy-file"))]
        "tee" => {
            let _ = options;
            Err(absent("policy-file"))
        }
        _ => Err(no_store(url)),
    }
}

/// Opens the members that a file lists, all beside each other. One that is not reached is opened later, unless it is required or read.
#[cfg(feature = "policy-file")]
fn open_tee(path: &str, options: OpenOptions) -> StoreFuture<'_, Arc<dyn AuditStore>> {
    Box::pin(async move {
        let file = TeeFile::read(std::path::Path::new(path))?;
        let opened = join_all(file.members.iter().map(|member| open(&member.url, options))).await;
        let mut stores = Vec::with_capacity(opened.len());
        for (member, opened) in file.members.iter().zip(opened) {
            stores.push(match opened {
                Ok(store) => OpenedMember::Open(store),
                Err(error) if error.is_transient() && member.may_be_late() => {
                    let name = member.name.clone();
                    log_line(move || {
                        tracing::warn!(
                            member = name,
                            error = &error as &dyn std::error::Error,
                            "a member of the tee is not reached, and is opened later"
                        );
                    });
                    OpenedMember::Late(Arc::new(late_member(member.url.clone(), options)))
                }
                Err(error) => return Err(file.error_of(member, error)),
            });
        }
        Ok(Arc::new(file.build(stores, options)?) as Arc<dyn AuditStore>)
    })
}

/// A member that opens its URL when it is first needed. A store of its kind is durable unless it is a sink, or in memory.
#[cfg(feature = "policy-file")]
fn late_member(url: String, options: OpenOptions) -> LateMember {
    let scheme = RedactedUrl::of(&url).scheme().unwrap_or_default();
    let is_fleeting = matches!(scheme, "memory" | "tracing" | "nats") || scheme.starts_with("syslog");
    let opener = move || -> StoreFuture<'static, Arc<dyn AuditStore>> {
        let url = url.clone();
        Box::pin(async move { open(&url, options).await })
    };
    LateMember::new(Capabilities::new(scheme).with_durable(!is_fleeting), Box::new(opener))
}

/// Opens the target of a spool.
#[cfg(unix)]
fn open_target(url: String, options: OpenOptions) -> super::StoreFuture<'static, Arc<dyn AuditStore>> {
    Box::pin(async move { open(&url, options).await })
}

/// Explains why a URL names no store. Shows at most a known scheme of it, for a password may be in any other part.
fn no_store(url: &str) -> StoreError {
    const STORES: &str = "`sqlite:PATH`, `postgres://HOST/DATABASE`, `mysql://HOST/DATABASE`, \
                          `mongodb://HOST/DATABASE`, `jsonl:PATH`, `duckdb:PATH`, `nats://HOST`, `spool:DIR?to=URL`, `tracing:TARGET`, \
                          `syslog:///dev/log`, `tee:FILE` or `memory:`";
    let is_padding = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`');
    let hint = match RedactedUrl::of(url).scheme() {
        _ if url.starts_with(is_padding) || url.ends_with(is_padding) => {
            format!("there are quotes or blanks around the URL: remove them; expected {STORES}")
        }
        Some("jdbc") => format!("the URL is one of another driver's: expected {STORES}"),
        Some(scheme) => format!("`{scheme}:` is no scheme of a store: expected {STORES}"),
        None => format!(
            "the URL does not begin with the scheme of a store, and is not shown, for it may have a password in it: \
             expected {STORES}"
        ),
    };
    config("audit", hint)
}

/// The error of a store that is left out of this build.
#[cfg(not(all(
    feature = "sqlite",
    feature = "postgres",
    feature = "mysql",
    feature = "jsonl",
    feature = "mongodb",
    feature = "duckdb",
    feature = "nats",
    feature = "policy-file",
    feature = "syslog"
)))]
fn absent(feature: &'static str) -> StoreError {
    config(
        feature,
        format!(
            "this build is without it: add the feature `{feature}` to `tower-audit` in Cargo.toml. The program has it: \
             `cargo install --path . --features cli`"
        ),
    )
}

fn config(store: &'static str, remedy: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Config, store, "opening the URL").with_hint(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn quotes_and_blanks_around_a_url_are_named_and_it_is_not_shown() {
        for url in [
            "\"postgres://app:secret@db/app\"",
            "'sqlite:secret.db'",
            " postgres://app:secret@db/app",
            "\tsqlite:secret.db",
        ] {
            let error = open(url, OpenOptions::default()).await.unwrap_err().to_string();
            assert!(error.contains("quotes or blanks") && !error.contains("secret"), "{url}: {error}");
        }
    }
}

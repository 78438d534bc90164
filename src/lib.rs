//! Audit middleware for tower: an append-only event for every request that matters, durable before its response leaves,
//! and a 5xx that says whether the request was carried out when it could not be written.
//!
//! ```no_run
//! # #[cfg(all(feature = "axum", feature = "sqlite"))]
//! # async fn serve(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
//! use std::net::SocketAddr;
//!
//! use axum::{Router, routing::post};
//! use tower_audit::{AuditLayer, AuditLog, AuditPolicy};
//!
//! let log = AuditLog::open("sqlite:audit.db").await?;
//! let app = Router::new()
//!     .route("/orders", post(|| async { "ordered" }))
//!     .layer(AuditLayer::new(&log, AuditPolicy::mutations()));
//! axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
//! log.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # When an event is written
//!
//! | moment | event | if it cannot be written |
//! |---|---|---|
//! | before the handler is called, for rules with write-ahead | `started` | 503 with `Retry-After`; the handler never runs |
//! | when the handler has ended, before the head of the response leaves | `completed` | 500; what the handler answered is dropped whole |
//! | at the end of the body, for rules that ask for it | `completed` | the body ends in an error |
//! | when a log is opened and finds `started` events of a dead process | `unknown` | the log is not opened |
//!
//! A handler that has been polled is driven to its end, whoever hangs up. A panic is recorded and goes on. Nested layers
//! of one log record once.
//!
//! # Where to look
//!
//! - [`AuditLog`]: the writer and its store; [`AuditLog::record`] for events that are no request
//! - [`AuditLayer`], [`AuditContext`]: the middleware, and what a handler adds to its event
//! - [`AuditContext::record_in`]: the event in the handler's own transaction, committed with its effect or not at all
//! - [`AuditPolicy`], [`Rule`]: which requests, and how
//! - [`AuditEvent`]: one entry; [`event::limits`]: how large its parts may be
//! - [`retention`]: deleting old events by an age, a number or rules, recorded in the log
//! - `seal`, `sealing` (feature `seal`): a Merkle tree over the events, signed checkpoints, proofs checked offline, and
//!   the verification of a whole log
//! - [`store`]: the contract of a store, and the stores; [`query`]: what a reader may ask; [`export`]: events as
//!   CSV and JSON
//! - `testing` (feature `testing`): assertions about recorded events, for the tests of an app
//! - `route_coverage` (feature `route-coverage`): a test that no route is forgotten
//!
//! The pages in `docs/` of the repository and of the package:
//!
//! - `operate.md`: installing, backing up, upgrading, purging, watching, and every line of the log
//! - `metrics.md`: metrics, a dashboard and alerts
//! - `refusals.md`: a 503 or a 500 of the layer; `testing.md`: tests of an app
//! - `durability.md`, `guarantees.md`: crashes and losses; each promise with its limits and its tests
//! - `policy.md`: rules, and which of them decides
//! - `capture.md`, `event-format.md`, `grpc.md`: data of a request, the event field by field, gRPC calls
//! - `who.md`: the actor by JWT, sessions, keys and certificates; `questions.md`: twenty questions to a log
//! - `retention.md`: deleting old events by age, number or rules, or moving them out
//! - `seal.md`, `threat-model.md`: making tampering visible, and each adversary's limits
//! - `cli.md`, `api.md`, `viewer.md`: the program, the read API and the viewer
//! - `import.md`, `export.md`: events from other logs, and in the formats of other systems
//! - `scale.md`, `stores/matrix.md`: stores for many services, and the parts of each
//! - `stores/sqlite.md`, `stores/postgres.md`, `stores/mysql.md`, `stores/mongodb.md`, `stores/duckdb.md`, `stores/jsonl.md`, `stores/nats.md`,
//!   `stores/spool.md`, `stores/tracing.md`, `stores/syslog.md`, `stores/tee.md`, `stores/memory.md`, `stores/new.md`: each store, and how to add one
//! - `coming-from/nexus-iq.md`, `coming-from/privacyidea.md`, `coming-from/pryv.md`: names and settings of other audit logs, and their counterparts here
//! - `performance.md`, `design.md`, `compare.md`, `glossary.md`: costs, reasons, alternatives and terms
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `axum` | yes | the extractor [`AuditContext`], the route template and the peer's address from axum |
//! | `sqlite` | yes | the store `sqlite:PATH`; compiles SQLite |
//! | `postgres` | no | the store `postgres://…`, for many instances; TLS by rustls |
//! | `mysql` | no | the store `mysql://…`, on MariaDB and MySQL, for many instances; TLS by rustls |
//! | `duckdb` | no | the store `duckdb:PATH`: one file for analysis; loads DuckDB's library when it is opened; on Unix alone |
//! | `mongodb` | no | the store `mongodb://…`: a replica set, with the documents that IVRE reads; TLS by rustls |
//! | `jsonl` | no | the store `jsonl:PATH`: JSON lines in files, rotated and compressed; on Unix alone |
//! | `nats` | no | the store `nats://…`: a JetStream cluster that acknowledges by quorum; events are read elsewhere |
//! | `syslog` | no | the sink `syslog:…`: messages of RFC 5424 and RFC 3164 over local sockets, UDP, TCP and TLS; on Unix alone |
//! | `api` | yes | the read API: an axum router behind the app's own gate; implies `axum` |
//! | `viewer` | yes | HTML pages over the same reader and gate; implies `api` |
//! | `route-coverage` | no | the routes of an axum app that no rule audits, for a test; implies `axum` |
//! | `policy-file` | no | `AuditPolicy::from_file`, for TOML and YAML |
//! | `retention-rules` | no | [`retention`] by rules: patterns on the fields of events, from a YAML file |
//! | `seal` | no | a Merkle tree over the events, signed checkpoints and proofs; brings Ed25519 |
//! | `metrics` | no | metrics of each log, to the recorder of the `metrics` crate |
//! | `cli` | no | the program `tower-audit` |
//! | `conformance` | no | the suite that every store must pass, and a faulty store; outside of semver |
//! | `testing` | no | a log in memory and assertions about it, for the tests of an app |

#[cfg(feature = "api")]
pub mod api;
pub(crate) mod backoff;
pub mod capture;
pub(crate) mod clock;
#[cfg(any(feature = "policy-file", feature = "retention-rules"))]
pub(crate) mod config_file;
pub mod event;
pub mod export;
pub mod import;
pub(crate) mod log_lines;
pub mod middleware;
pub mod policy;
pub(crate) mod problem_details;
pub mod query;
pub(crate) mod random;
pub mod retention;
#[cfg(feature = "route-coverage")]
pub mod route_coverage;
#[cfg(feature = "seal")]
pub mod seal;
#[cfg(feature = "seal")]
pub mod sealing;
#[cfg(unix)]
pub mod shipping;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub(crate) mod throttle;
#[cfg(feature = "viewer")]
pub mod viewer;
pub mod writer;

pub use capture::{AuditContext, Change, ChangeSet, PeerAddr, ResultCount};
pub use event::{
    Actor, AuditEvent, Classification, CompactText, Details, ErrorCode, EventError, EventId, EventType, Phase,
    RequestInfo, Resource, Target, Targets, Timestamp,
};
pub use middleware::{AUDIT_EVENT_ID, AUDIT_RECEIPT, AuditBody, AuditLayer, AuditService, ResponseFuture};
pub use policy::{AuditPolicy, FailMode, PolicyBuilder, PolicyError, RecordWhen, Rule};
pub use store::{StoreError, StoreErrorKind};
pub use writer::{AuditLog, AuditLogBuilder, CloseError, OpenError, RecordError, RecordErrorKind, Stats};

/// The pages of the repository, so that their code is compiled.
#[cfg(all(doctest, feature = "axum", feature = "sqlite"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(all(doctest, feature = "api"))]
#[doc = include_str!("../docs/api.md")]
mod api_manual {}

#[cfg(all(doctest, feature = "viewer"))]
#[doc = include_str!("../docs/viewer.md")]
mod viewer_manual {}

#[cfg(all(doctest, feature = "axum", feature = "sqlite"))]
#[doc = include_str!("../docs/durability.md")]
mod durability {}

#[cfg(all(doctest, feature = "retention-rules"))]
#[doc = include_str!("../docs/retention.md")]
mod retention_manual {}

#[cfg(doctest)]
#[doc = include_str!("../docs/import.md")]
mod import_manual {}

#[cfg(doctest)]
#[doc = include_str!("../docs/export.md")]
mod export_manual {}

#[cfg(doctest)]
#[doc = include_str!("../docs/testing.md")]
mod testing_manual {}

#[cfg(doctest)]
#[doc = include_str!("../docs/grpc.md")]
mod grpc_manual {}

#[cfg(doctest)]
#[doc = include_str!("../docs/policy.md")]
mod policy_manual {}

#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../docs/capture.md")]
mod capture_manual {}

#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../docs/who.md")]
mod who_manual {}

#[cfg(doctest)]
#[doc = include_str!("../docs/stores/new.md")]
mod new_store_manual {}

#[cfg(all(doctest, feature = "nats"))]
#[doc = include_str!("../docs/stores/nats.md")]
mod nats_manual {}

#[cfg(all(doctest, feature = "syslog", unix))]
#[doc = include_str!("../docs/stores/syslog.md")]
mod syslog_manual {}

#[cfg(doctest)]
#[doc = include_str!("../docs/coming-from/nexus-iq.md")]
mod nexus_iq_manual {}

#[cfg(doctest)]
#[doc = include_str!("../docs/stores/tracing.md")]
mod tracing_store_manual {}

#[cfg(all(doctest, unix))]
#[doc = include_str!("../docs/stores/spool.md")]
mod spool_manual {}

#[cfg(doctest)]
#[doc = include_str!("../docs/stores/tee.md")]
mod tee_manual {}

#[cfg(doctest)]
#[doc = include_str!("../docs/stores/memory.md")]
mod memory_store_manual {}

//! Auto traits of the public types, which a private field could take away without a word.
//!
//! `tests/public_api.txt` lists those of every type; these are the ones that apps rely on.

use std::panic::{RefUnwindSafe, UnwindSafe};

use tower_audit::api::{AuditApi, Caller, GateFuture};
use tower_audit::query::{Buckets, Cursor, Filter, PageQuery, Statistics, StatisticsQuery, TextPattern};
use tower_audit::retention::{Purge, PurgeError, RetentionPlan, RetentionRules, RulesError};
use tower_audit::store::{
    AuditStore, Capabilities, Diagnostic, MemoryStore, OpenOptions, Parts, PurgeOutcome, StoreError, StoreFuture,
    sqlite::SqliteStore,
};
use tower_audit::viewer::AuditViewer;
use tower_audit::{
    Actor, AuditBody, AuditContext, AuditEvent, AuditLayer, AuditLog, AuditLogBuilder, AuditPolicy, AuditService,
    Classification, CloseError, CompactText, Details, ErrorCode, EventId, EventType, OpenError, PolicyError,
    RecordError, RecordWhen, RequestInfo, Resource, Rule, Stats, Timestamp,
};

/// Shared by tasks, and held across an `await`.
fn shared<T: Send + Sync + Unpin>() {}

/// Moved between threads, used by one task at a time.
fn sent<T: Send>() {}

/// Plain data: fit for the two sides of a `catch_unwind` as well.
fn data<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe>() {}

#[test]
fn handles_are_shared_between_tasks() {
    shared::<AuditLog>();
    shared::<AuditLogBuilder>();
    shared::<AuditLayer>();
    shared::<AuditService<fn()>>();
    shared::<AuditApi>();
    shared::<AuditViewer>();
    shared::<SqliteStore>();
    #[cfg(all(feature = "duckdb", unix))]
    shared::<tower_audit::store::duckdb::DuckdbStore>();
    #[cfg(feature = "mongodb")]
    shared::<tower_audit::store::mongodb::MongodbStore>();
    #[cfg(all(feature = "jsonl", unix))]
    shared::<tower_audit::store::jsonl::JsonlStore>();
    shared::<tower_audit::store::spool::SpoolStore>();
    #[cfg(feature = "nats")]
    shared::<tower_audit::store::nats::NatsStore>();
    #[cfg(feature = "mysql")]
    shared::<tower_audit::store::mysql::MysqlStore>();
    #[cfg(feature = "mysql")]
    shared::<tower_audit::store::mysql::MysqlTable>();
    #[cfg(all(feature = "syslog", unix))]
    shared::<tower_audit::store::syslog::SyslogStore>();
    shared::<Box<dyn AuditStore>>();
    shared::<Parts<'_>>();
}

#[test]
fn errors_go_through_question_marks_and_task_boundaries() {
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<CloseError>();
    error::<OpenError>();
    error::<PolicyError>();
    error::<RecordError>();
    error::<StoreError>();
    error::<PurgeError>();
    error::<RulesError>();
}

#[test]
fn futures_and_bodies_can_be_spawned() {
    sent::<AuditBody<String>>();
    sent::<GateFuture<'_>>();
    sent::<StoreFuture<'_, ()>>();

    fn spawned(_: impl Future<Output = ()> + Send) {}
    let log = AuditLog::disabled();
    spawned(async {
        let _ = log.record(AuditEvent::new(EventType::AUTH)).await;
        let _ = log.flush().await;
        let _ = log.health().await;
        let _ = log.close().await;
    });
}

#[test]
fn data_goes_anywhere() {
    data::<Actor>();
    data::<RetentionPlan>();
    data::<RetentionRules>();
    data::<AuditContext>();
    data::<AuditEvent>();
    data::<AuditPolicy>();
    data::<Buckets>();
    data::<Caller>();
    data::<Capabilities>();
    data::<Classification>();
    data::<CompactText>();
    data::<Cursor>();
    data::<Details>();
    data::<Diagnostic>();
    data::<ErrorCode>();
    data::<EventId>();
    data::<EventType>();
    data::<Filter>();
    data::<MemoryStore>();
    data::<OpenOptions>();
    data::<PageQuery>();
    data::<PurgeOutcome>();
    data::<RecordWhen>();
    data::<RequestInfo>();
    data::<Resource>();
    data::<Purge>();
    data::<Rule>();
    data::<Statistics>();
    data::<StatisticsQuery>();
    data::<Stats>();
    data::<TextPattern>();
    data::<Timestamp>();
}

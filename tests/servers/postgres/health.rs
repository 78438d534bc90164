//! Health says of everything that would refuse the next event that it does, and how to mend it.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use tower_audit::AuditLog;
use tower_audit::store::postgres::create_roles;
use tower_audit::store::{AuditStore, StoreError};

use crate::cluster::{Cluster, Database, eventually, unique};
use crate::postgres::support::{end_of, event, ok, open, open_with_timeout, started};

/// A damage to the tables, its repair, and words of the health check's error.
struct Sabotage {
    name: &'static str,
    done: &'static str,
    mended: &'static str,
    words: &'static [&'static str],
}

/// `{t}` is the table, `{a}` the role that appends.
const SABOTAGES: &[Sabotage] = &[
    Sabotage {
        name: "the table has another name",
        done: "ALTER TABLE {t} RENAME TO elsewhere",
        mended: "ALTER TABLE elsewhere RENAME TO {t}",
        words: &["RENAME TO"],
    },
    Sabotage {
        name: "the table of open events has another name",
        done: "ALTER TABLE {t}_started RENAME TO elsewhere",
        mended: "ALTER TABLE elsewhere RENAME TO {t}_started",
        words: &["RENAME TO"],
    },
    Sabotage {
        name: "no partition is left",
        done: "DO $$DECLARE p regclass; BEGIN FOR p IN SELECT inhrelid FROM pg_inherits WHERE inhparent = '{t}'::regclass \
            LOOP EXECUTE format('ALTER TABLE {t} DETACH PARTITION %s', p); END LOOP; END$$",
        mended: "ALTER TABLE {t} ATTACH PARTITION {t}_default DEFAULT",
        words: &["ATTACH PARTITION", "DEFAULT"],
    },
    Sabotage {
        name: "a column has another name",
        done: "ALTER TABLE {t} RENAME COLUMN actor_user_email TO who",
        mended: "ALTER TABLE {t} RENAME COLUMN who TO actor_user_email",
        words: &["RENAME COLUMN"],
    },
    Sabotage {
        name: "a column is gone",
        done: "ALTER TABLE {t} DROP COLUMN resource_method",
        mended: "ALTER TABLE {t} ADD COLUMN resource_method text COLLATE \"C\"",
        words: &["missing"],
    },
    Sabotage {
        name: "a column must not be null",
        done: "ALTER TABLE {t} ADD COLUMN tenant int NOT NULL DEFAULT 0; ALTER TABLE {t} ALTER COLUMN tenant DROP DEFAULT",
        mended: "ALTER TABLE {t} ALTER COLUMN tenant DROP NOT NULL",
        words: &["DROP NOT NULL"],
    },
    Sabotage {
        name: "a column is too narrow",
        done: "ALTER TABLE {t} ALTER COLUMN event TYPE varchar(40) USING left(event, 40)",
        mended: "ALTER TABLE {t} ALTER COLUMN event TYPE text COLLATE \"C\"",
        words: &["TYPE text"],
    },
    Sabotage {
        name: "a trigger raises",
        done: "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$; \
            CREATE TRIGGER refuses BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION refuse()",
        mended: "DROP TRIGGER refuses ON {t}",
        words: &["trigger", "`DROP TRIGGER "],
    },
    Sabotage {
        name: "a trigger discards",
        done: "CREATE FUNCTION discard() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$; \
            CREATE TRIGGER discards BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION discard()",
        mended: "DROP TRIGGER discards ON {t}",
        words: &["trigger", "`DROP TRIGGER "],
    },
    Sabotage {
        name: "a trigger raises at the commit",
        done: "CREATE FUNCTION refuse_late() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today'; END$$; \
            CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {t} DEFERRABLE INITIALLY DEFERRED \
            FOR EACH ROW EXECUTE FUNCTION refuse_late()",
        mended: "DROP TRIGGER late ON {t}",
        words: &["trigger", "`DROP TRIGGER "],
    },
    Sabotage {
        name: "a rule discards",
        done: "CREATE RULE nothing AS ON INSERT TO {t} DO INSTEAD NOTHING",
        mended: "DROP RULE nothing ON {t}",
        words: &["rule", "`DROP RULE "],
    },
    Sabotage {
        name: "a check refuses",
        done: "ALTER TABLE {t} ADD CONSTRAINT none CHECK (event_type = '') NOT VALID",
        mended: "ALTER TABLE {t} DROP CONSTRAINT none",
        words: &["\"none\"", "drop it"],
    },
    Sabotage {
        name: "a further unique index",
        done: "CREATE UNIQUE INDEX further ON {t}_default (actor_remote_addr)",
        mended: "DROP INDEX further",
        words: &["unique index", "drop it"],
    },
    Sabotage {
        name: "no right to insert",
        done: "REVOKE INSERT ON {t} FROM {a}",
        mended: "GRANT INSERT ON {t} TO {a}",
        words: &["may not append", "migrate --roles"],
    },
    Sabotage {
        name: "no right to see ids",
        done: "REVOKE SELECT (event_id) ON {t} FROM {a}",
        mended: "GRANT SELECT (event_id) ON {t} TO {a}",
        words: &["may not append", "migrate --roles"],
    },
    Sabotage {
        name: "no right to open",
        done: "REVOKE INSERT ON {t}_started FROM {a}",
        mended: "GRANT INSERT ON {t}_started TO {a}",
        words: &["may not append", "migrate --roles"],
    },
    Sabotage {
        name: "no right to numbers",
        done: "REVOKE USAGE ON SEQUENCE seq_{t}_id FROM {a}",
        mended: "GRANT USAGE ON SEQUENCE seq_{t}_id TO {a}",
        words: &["may not append", "migrate --roles"],
    },
    Sabotage {
        name: "no right to the schema",
        done: "REVOKE USAGE ON SCHEMA public FROM PUBLIC, {a}",
        mended: "GRANT USAGE ON SCHEMA public TO PUBLIC, {a}",
        words: &["may not append", "migrate --roles"],
    },
    Sabotage {
        name: "no number is left",
        done: "ALTER SEQUENCE seq_{t}_id MAXVALUE 10000 RESTART 10000; SELECT nextval('seq_{t}_id')",
        mended: "SELECT setval('public.seq_{t}_id', 1)",
        words: &["no number left", "setval"],
    },
];

struct Backing {
    database: Database<'static>,
    table: String,
    role: String,
    appender: String,
    store: Arc<dyn AuditStore>,
}

impl Backing {
    /// A log of a role that may append and nothing else. All of its events go to the default partition.
    async fn new() -> Self {
        let database = Cluster::shared().database();
        let (table, role) = (unique("ill"), unique("web"));
        let url = |role: &str| format!("{}?table={table}", database.url_as(role));
        ok(open(&url("postgres")).await.close().await);
        let appender = format!("\"{}\"", ok(create_roles(&url("postgres")).await)[0]);
        database.sql(&format!("CREATE ROLE {role} LOGIN IN ROLE {appender}"));
        let store = open_with_timeout(&url(&role), Duration::from_secs(2)).await;
        Self { table, role, appender, store, database }
    }

    fn sql(&self, sql: &str) -> String {
        self.database.sql(&sql.replace("{t}", &self.table).replace("{a}", &self.appender))
    }

    /// The first refusal of what requests append.
    async fn append(&self) -> Result<(), StoreError> {
        let first = started(1);
        self.store.append(std::slice::from_ref(&first)).await?;
        self.store.append(&[end_of(&first)]).await?;
        self.store.append(&[event(2)]).await
    }

    fn rows(&self) -> String {
        self.sql("SELECT (SELECT count(*) FROM {t}), (SELECT count(*) FROM {t}_started)")
    }

    async fn recovers(&self, name: &str) {
        // A session that failed is looked at before it is used again.
        eventually(name, async || self.store.health().await.is_ok()).await;
        if let Err(error) = self.append().await {
            panic!("{name}: well, and {error}: {:?}", error.source());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_refuses_an_event_makes_health_ill_until_it_is_mended() {
    let backing = Backing::new().await;
    ok(backing.append().await);
    let mut unexpected = Vec::new();
    for Sabotage { name, done, mended, words } in SABOTAGES {
        backing.sql("DELETE FROM {t}");
        backing.sql("DELETE FROM {t}_started");
        backing.sql(done);
        let refused = backing.append().await.err().unwrap_or_else(|| panic!("{name}: events are accepted"));
        let ill = backing.store.health().await.err().unwrap_or_else(|| panic!("{name}: {refused}, and health is well"));
        if !words.iter().all(|word| ill.to_string().contains(word)) {
            unexpected.push(format!("{name}: {ill}"));
        }
        assert_told_once(name, &ill);
        backing.sql(mended);
        backing.recovers(name).await;
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_on_a_table_makes_health_ill_until_it_is_gone() {
    let backing = Backing::new().await;
    for table in ["{t}", "{t}_started", "{t}_writers"] {
        ok(backing.append().await);
        let table = table.replace("{t}", &backing.table);
        let held = backing.database.hold(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"));
        let ill = backing.store.health().await.expect_err("it is ill");
        assert!(ill.to_string().contains("holds a lock"), "{table}: {ill}");
        drop(held);
        backing.recovers(&table).await;
    }
}

/// A lock on a table that no append reads, and missing rights that no append needs, make nothing ill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_append_needs_makes_nothing_ill() {
    let backing = Backing::new().await;
    ok(backing.append().await);
    let url = format!("{}?table={}", backing.database.url_as(&backing.role), backing.table);
    let held = backing.database.hold(&format!("LOCK TABLE {}_version IN ACCESS EXCLUSIVE MODE", backing.table));
    ok(backing.store.health().await);
    ok(backing.append().await);
    ok(open(&url).await.append(&[event(3)]).await);
    drop(held);
    backing.sql("REVOKE SELECT ON pg_catalog.pg_settings FROM PUBLIC");
    backing.sql("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_logical_emit_message(boolean, text, text) FROM PUBLIC");
    ok(backing.store.health().await);
    let again = open(&url).await;
    ok(again.health().await);
    ok(again.append(&[event(4)]).await);
    let findings = ok(again.diagnose().await);
    let told = findings.iter().find(|finding| finding.message.contains("pg_logical_emit_message")).expect("it is told");
    let statement = told.hint.as_deref().and_then(|hint| hint.split('`').nth(1)).expect("a statement");
    backing.sql(statement);
    let findings = ok(again.diagnose().await);
    assert!(!findings.iter().any(|finding| finding.message.contains("pg_logical_emit_message")), "{findings:?}");
}

/// The session overrides what the database presets: events are accepted, and health says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_read_only_unless_told_make_nothing_ill() {
    let backing = Backing::new().await;
    let name = backing.database.name();
    backing.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
    let url = format!("{}?table={}", backing.database.url_as(&backing.role), backing.table);
    let store = open(&url).await;
    ok(store.health().await);
    ok(store.append(&[event(1)]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_leaves_nothing_and_keeps_no_writer_waiting() {
    let backing = Backing::new().await;
    ok(backing.append().await);
    let before = backing.rows();
    let checks = async {
        for _ in 0..20 {
            ok(backing.store.health().await);
        }
    };
    // Both in one task: neither would go on if it waited for the other.
    let ((), appended) = tokio::join!(checks, backing.append());
    ok(appended);
    backing.sql("DELETE FROM {t} WHERE event_id IN (SELECT event_id FROM {t} ORDER BY event_id DESC LIMIT 3)");
    assert_eq!(backing.rows(), before);
}

/// The disk that takes a month has no room. Nobody may mount one but root.
#[test]
fn a_disk_that_is_full_makes_health_ill_until_there_is_room() {
    if !crate::namespace::is_root() {
        eprintln!("not tried: only root can mount a small disk for the server");
        return;
    }
    crate::namespace::in_own_namespace(
        "postgres::health::a_disk_that_is_full_makes_health_ill_until_there_is_room",
        || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(on_a_full_disk());
        },
    );
}

async fn on_a_full_disk() {
    let cluster = Cluster::start();
    let database = cluster.database();
    let disk = cluster.small_disk(2 * 1024 * 1024);
    database.sql(&format!("CREATE TABLESPACE small LOCATION '{}'", disk.display()));
    let log = AuditLog::open(&database.url()).await.expect("the log opens");
    database.sql(
        "DO $$DECLARE p regclass; BEGIN FOR p IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'audit_events'::regclass \
         LOOP EXECUTE format('ALTER TABLE %s SET TABLESPACE small', p); END LOOP; END$$",
    );
    log.health().await.expect("there is room");
    let filler = disk.join("filler");
    let mut file = std::fs::File::create(&filler).expect("the disk can be written");
    let full = std::io::copy(&mut std::io::repeat(0), &mut file).expect_err("the disk is full");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let store = log.store().expect("it is on");
    let large: Vec<_> = (0..100).map(event).collect();
    let refused = store.append(&large).await.expect_err("the disk is full");
    assert!(refused.is_transient() && refused.to_string().contains("no space is left"), "{refused}");
    let ill = log.health().await.expect_err("it is ill");
    assert!(ill.to_string().contains("no space is left"), "{ill}");
    drop(file);
    std::fs::remove_file(&filler).expect("it is ours");
    eventually("health is well", async || log.health().await.is_ok()).await;
    ok(store.append(&large).await);
    log.close().await.expect("it closes");
}

/// No cause is in the text of another, and no line of the server's source is named.
fn assert_told_once(name: &str, error: &StoreError) {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        texts.push(cause.to_string());
        source = cause.source();
    }
    for (n, text) in texts.iter().enumerate() {
        assert!(!text.contains("at line") && !text.contains("error returned from"), "{name}: {texts:?}");
        assert!(texts.iter().skip(n + 1).all(|cause| !text.contains(cause.as_str())), "{name}: {texts:?}");
    }
}

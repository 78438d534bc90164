//! A role that can append, and nothing else.

use tower_audit::query::{Field, Filter, PageQuery};
use tower_audit::retention::Erasure;
use tower_audit::store::StoreErrorKind;
use tower_audit::store::postgres::create_roles;
use tower_audit::{Actor, Target, Timestamp};

use crate::cluster::{Cluster, Database, unique};
use crate::postgres::support::{all, at, close_orphans, end_of, event, ok, open, open_to_read, refusal, started};

#[tokio::test]
async fn without_rights_it_says_which_command_to_run() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let role = unique("nobody");
    cluster.sql("postgres", &format!("CREATE ROLE {role} LOGIN"));
    let error = refusal(&database.url_as(&role)).await;
    assert_eq!(error.kind(), StoreErrorKind::Config);
    assert!(error.to_string().contains("tower-audit migrate"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_appender_appends_and_nothing_else() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let owner = open(&database.url()).await;
    let made = ok(create_roles(&database.url()).await);
    assert_eq!(made, ["appender", "reader", "purger", "sealer", "eraser"].map(|of| database.role(of)));
    let role = database.account_of(&made[0]);
    assert_eq!(ok(create_roles(&database.url()).await), made, "as often as one likes");
    let store = open(&database.url_as(&role)).await;
    let (first, second) = (started(1), started(2));
    ok(store.append(&[event(0), first.clone()]).await);
    ok(store.append(&[end_of(&first), second]).await);
    ok(store.append(&[event(0)]).await);
    ok(store.health().await);
    assert_eq!(store.maintain().await.ok(), Some(false));
    ok(store.close().await);
    let again = open(&database.url_as(&role)).await;
    assert_eq!(close_orphans(&*again).await, 1);
    assert_eq!(all(&*owner).await.len(), 6);
    let month = database
        .sql("SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'audit_events'::regclass");
    let before = database.sql(STATE);
    for table in ["audit_events", "audit_events_default", &month] {
        assert_append_only(&database, &role, table);
    }
    for sql in [
        "SELECT event FROM audit_events",
        "SELECT FROM audit_events WHERE created_at < now()",
        "COPY audit_events TO STDOUT",
        "COPY (SELECT details FROM audit_events) TO STDOUT",
        "COPY audit_events FROM PROGRAM 'true'",
        "COPY audit_events FROM '/dev/null'",
        "UPDATE audit_events_started SET event = ''",
        "UPDATE audit_events_started SET writer = 1",
        "TRUNCATE audit_events_started, audit_events_writers",
        "UPDATE audit_events_writers SET id = id + 1",
        "UPDATE audit_events_version SET version = 9",
        "DELETE FROM audit_events_version",
        "DROP TABLE audit_events_started",
        "ALTER TABLE audit_events_started DROP CONSTRAINT audit_events_started_writer_fkey",
        "SELECT setval('seq_audit_events_id', 1)",
        "ALTER SEQUENCE seq_audit_events_id RESTART",
        "DROP SCHEMA public CASCADE",
        "CREATE TABLE public.mine (id int)",
        "REINDEX TABLE audit_events",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET session_replication_role = replica",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres' AND pid <> pg_backend_pid()",
        "ALTER SYSTEM SET fsync = off",
        "UPDATE pg_class SET relacl = NULL",
        "CREATE ROLE mine SUPERUSER",
    ] {
        assert_refused(&database, &role, sql);
    }
    assert_refused(&database, &role, &format!("SET ROLE {}", made[1]));
    assert_refused(&database, &role, &format!("GRANT {} TO CURRENT_USER", made[2]));
    // The server says OK to these, and that nothing was granted.
    database.sql_as(&role, "GRANT ALL ON audit_events TO CURRENT_USER");
    database.sql_as(&role, &format!("REVOKE ALL ON audit_events FROM {} CASCADE", made[1]));
    assert_eq!(database.sql(STATE), before);
    assert_eq!(all(&*owner).await.len(), 6);
    let reader = again.parts().reader.expect("the store is read");
    let grant = format!("the role \"{role}\" may not read events: `GRANT \"{}\" TO \"{role}\";`", made[1]);
    let filter = Filter::default();
    for error in [
        reader.check_access().await.unwrap_err(),
        reader.get(first.event_id).await.unwrap_err(),
        reader.query(&PageQuery::new(filter.clone(), 1)).await.unwrap_err(),
        // Not even their number.
        reader.count(&filter).await.unwrap_err(),
        reader.top_values(&filter, Field::UserEmail, 1).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Denied);
        assert!(error.to_string().contains(&grant), "{error}");
    }
    let error = again.parts().admin.expect("it is kept").purge(Timestamp::MAX, 1).await.unwrap_err();
    let grant = format!("GRANT \"{}\" TO \"{role}\";", made[2]);
    assert!(error.kind() == StoreErrorKind::Denied && error.to_string().contains(&grant), "{error}");
    database.sql(&format!("GRANT \"{}\" TO \"{role}\";", made[1]));
    ok(reader.check_access().await);
    assert_eq!(ok(reader.get(first.event_id).await), Some(first));
}

/// Nothing that is in the table can be changed or removed, by whatever way, and nothing about it.
fn assert_append_only(database: &Database<'_>, role: &str, table: &str) {
    let one = "1, '00000000-0000-7000-8000-000000000000', 'x', now(), NULL, NULL, NULL, NULL, NULL, '{}', 1, 'completed', '{}'";
    for sql in [
        "UPDATE {table} SET outcome = 1",
        "UPDATE ONLY {table} SET event = ''",
        "UPDATE {table} SET event_id = event_id",
        "DELETE FROM {table}",
        "DELETE FROM {table} USING audit_events_started",
        "WITH gone AS (DELETE FROM {table} RETURNING 1) SELECT count(*) FROM gone",
        "TRUNCATE {table}",
        "INSERT INTO {table} VALUES ({one}) ON CONFLICT (event_id) DO UPDATE SET outcome = 2",
        "MERGE INTO {table} t USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
        "MERGE INTO {table} t USING (SELECT 1) s ON true WHEN MATCHED THEN UPDATE SET outcome = 1",
        "SELECT event_id FROM {table} FOR UPDATE",
        "SELECT event_id FROM {table} FOR NO KEY UPDATE",
        "SELECT event_id FROM {table} FOR SHARE",
        "SELECT event_id FROM {table} FOR KEY SHARE",
        "BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
        "BEGIN; LOCK TABLE {table} IN SHARE MODE",
        "DROP TABLE {table}",
        "DROP TABLE {table} CASCADE",
        "ALTER TABLE {table} RENAME TO mine",
        "ALTER TABLE {table} SET SCHEMA pg_temp",
        "ALTER TABLE {table} DROP COLUMN event",
        "ALTER TABLE {table} ALTER COLUMN event SET DEFAULT 'x'",
        "ALTER TABLE {table} DISABLE TRIGGER ALL",
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE {table} OWNER TO CURRENT_USER",
        "ALTER TABLE {table} SET UNLOGGED",
        "ALTER TABLE {table} INHERIT audit_events",
        "CREATE RULE r AS ON INSERT TO {table} DO INSTEAD NOTHING",
        "CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE POLICY p ON {table} USING (false)",
        "CREATE INDEX ON {table} ((1 / 0))",
        "CREATE STATISTICS pg_temp.s ON event_type, phase FROM {table}",
        "CLUSTER {table} USING audit_events_idx_event_id",
        "COMMENT ON TABLE {table} IS 'mine'",
        "SELECT lo_from_bytea(0, (SELECT event FROM {table} LIMIT 1)::bytea)",
    ] {
        assert_refused(database, role, &sql.replace("{table}", table).replace("{one}", one));
    }
}

#[track_caller]
fn assert_refused(database: &Database<'_>, role: &str, sql: &str) {
    let said = database.refusal_as(role, sql);
    let refused = [
        "permission denied",
        "must be owner",
        "must be a superuser",
        "must be superuser",
        "must have admin option",
        "must be member",
    ];
    assert!(refused.iter().any(|words| said.contains(words)), "{sql}: {said}");
}

/// All that is in the log, and what it is made of.
const STATE: &str = "SELECT md5(string_agg(e::text, ',' ORDER BY event_id)) FROM audit_events e; \
    SELECT md5(string_agg(c::text, ',' ORDER BY oid)) FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind <> 'S'";

#[tokio::test]
async fn a_reader_reads_and_nothing_else() {
    let database = Cluster::shared().database();
    let url = format!("{}?table=readable", database.url());
    let (owner, kept) = (open(&url).await, event(1));
    ok(owner.append(std::slice::from_ref(&kept)).await);
    let roles = ok(create_roles(&url).await);
    let role = database.account_of(&roles[1]);
    let store = ok(open_to_read(&format!("{}?table=readable", database.url_as(&role))).await);
    assert_eq!(all(&*store).await, std::slice::from_ref(&kept));
    // A folded listing needs the right to read the open events.
    let folded = PageQuery::new(Filter::new().folded(true), 10);
    assert_eq!(ok(store.parts().reader.expect("the store is read").query(&folded).await), [kept]);
    assert!(store.append(&[event(2)]).await.is_err());
    assert!(store.health().await.is_err());
    for sql in ["DELETE FROM readable", "INSERT INTO readable DEFAULT VALUES", "SELECT event FROM readable_started"] {
        assert!(database.refusal_as(&role, sql).contains("permission denied"), "{sql}");
    }
}

#[tokio::test]
async fn a_purger_removes_what_is_old_and_reads_nothing() {
    let database = Cluster::shared().database();
    let url = format!("{}?table=purgeable", database.url());
    let owner = open(&url).await;
    let (mut old, new) = (event(1), event(2));
    old.created_at = at("2020-01-01T00:00:00Z");
    ok(owner.append(&[old, new.clone()]).await);
    let roles = ok(create_roles(&url).await);
    let role = database.account_of(&roles[2]);
    let store = ok(open_to_read(&format!("{}?table=purgeable", database.url_as(&role))).await);
    let keeper = store.parts().admin.expect("it is kept");
    let purged = ok(keeper.purge(at("2021-01-01T00:00:00Z"), 10).await);
    assert_eq!((purged.deleted, purged.has_more), (1, false));
    // The month of today goes as a whole; `partition_functions.rs` has more of that.
    let purged = ok(keeper.purge(Timestamp::MAX, 10).await);
    assert_eq!((purged.deleted, purged.has_more), (1, false));
    let record = event(3);
    ok(store.append(std::slice::from_ref(&record)).await);
    assert_eq!(all(&*owner).await, [record]);
    // As IVRE removes, and counts, in its own words.
    database.sql_as(&role, "SELECT count(*) FROM (SELECT id, event_id FROM purgeable WHERE created_at < now()) AS old");
    database.sql_as(&role, "DELETE FROM purgeable WHERE purgeable.created_at < '2020-01-01' RETURNING purgeable.id");
    assert_eq!(all(&*owner).await.len(), 1);
    for sql in ["SELECT event FROM purgeable", "UPDATE purgeable SET outcome = 1", "TRUNCATE purgeable"] {
        assert!(database.refusal_as(&role, sql).contains("permission denied"), "{sql}");
    }
}

#[tokio::test]
async fn an_eraser_blanks_values_and_removes_nothing() {
    let database = Cluster::shared().database();
    let url = format!("{}?table=erasable", database.url());
    let owner = open(&url).await;
    let (mut mine, other, mut open_one) = (event(1), event(2), started(3));
    mine.actor = Actor::user("carol@example.org");
    mine.targets.insert(Target::new("user", "carol@example.org"));
    open_one.actor = Actor::user("carol@example.org");
    ok(owner.append(&[mine.clone(), other.clone(), open_one.clone()]).await);
    let roles = ok(create_roles(&url).await);
    let role = database.account_of(&roles[4]);
    let store = ok(open_to_read(&format!("{}?table=erasable", database.url_as(&role))).await);
    let erasure = Erasure::of("carol@example.org").expect("a name");
    let done = erasure.run(&*store).await.expect("the role erases");
    assert_eq!(done.events, 2);
    let left = all(&*owner).await;
    assert_eq!(left.len(), 5, "with the record of the erasure");
    assert!(left.contains(&other));
    let erased = left.iter().find(|event| event.event_id == mine.event_id).expect("it is there");
    assert_eq!((erased.erased_cells(), erased.created_at), (vec!["actor.user_email", "targets"], mine.created_at));
    assert_eq!(database.sql("SELECT count(*) FROM erasable_started WHERE event LIKE '%carol%'"), "0");
    for sql in [
        "DELETE FROM erasable",
        "TRUNCATE erasable",
        "UPDATE erasable SET outcome = 1",
        "UPDATE erasable SET event_type = 'x'",
        "UPDATE erasable SET created_at = now()",
        "UPDATE erasable SET event_id = event_id",
        "UPDATE erasable SET resource_route = 'x'",
        "UPDATE erasable_started SET writer = 1",
        "SELECT erasable_drop_partition(now())",
    ] {
        let said = database.refusal_as(&role, sql);
        assert!(said.contains("permission denied"), "{sql}: {said}");
    }
    // To others, it is named.
    let web = database.account_of(&roles[0]);
    database.sql(&format!("GRANT \"{}\" TO \"{web}\"", roles[1]));
    let store = ok(open_to_read(&format!("{}?table=erasable", database.url_as(&web))).await);
    let erasure = store.parts().erasure.expect("it erases");
    let error = erasure.erase(&[other.event_id], &|_, _| None).await.unwrap_err();
    let grant = format!("GRANT \"{}\" TO \"{web}\";", roles[4]);
    assert!(error.kind() == StoreErrorKind::Denied && error.to_string().contains(&grant), "{error}");
}

#[tokio::test]
async fn roles_keep_their_rights_over_init_and_have_none_to_another_log() {
    let database = Cluster::shared().database();
    let url = format!("{}?table=renewed", database.url());
    let owner = open(&url).await;
    let roles = ok(create_roles(&url).await);
    let role = database.account_of(&roles[0]);
    let as_role = format!("{}?table=renewed", database.url_as(&role));
    ok(open(&as_role).await.append(&[event(1)]).await);
    ok(owner.parts().admin.expect("it is kept").recreate().await);
    ok(open(&as_role).await.append(&[event(2)]).await);
    assert_eq!(all(&*owner).await.len(), 1);
    // The roles are of the whole server; a log of the same name elsewhere has not given them anything.
    let other = format!("{url}&schema=elsewhere");
    let elsewhere = open(&other).await;
    ok(elsewhere.parts().admin.expect("it is kept").recreate().await);
    assert_eq!(refusal(&format!("{as_role}&schema=elsewhere")).await.kind(), StoreErrorKind::Denied);
}

#[tokio::test]
async fn a_schema_in_which_everyone_may_make_tables_is_refused() {
    let database = Cluster::shared().database();
    let store = open(&database.url()).await;
    ok(store.append(&[event(1)]).await);
    database.sql("GRANT CREATE ON SCHEMA public TO PUBLIC");
    let error = create_roles(&database.url()).await.unwrap_err();
    assert!(error.to_string().contains("REVOKE CREATE ON SCHEMA \"public\" FROM PUBLIC"), "{error}");
    assert_eq!(database.sql("SELECT has_table_privilege(oid, 'audit_events', 'INSERT') FROM pg_roles WHERE rolname = current_database() || '_public_audit_events_appender'"), "");
    database.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    ok(create_roles(&database.url()).await);
}

/// The first log's roles read, append to and remove from nothing of the second.
async fn assert_apart(first: &str, alice_at_second: impl Fn(&str) -> String, database: &Database<'_>, second: &str) {
    let owner = open(second).await;
    ok(owner.append(&[event(1)]).await);
    let roles = [ok(create_roles(first).await), ok(create_roles(second).await)];
    for (first, second) in roles[0].iter().zip(&roles[1]) {
        assert_ne!(first, second);
    }
    for role in &roles[0] {
        let alice = database.account_of(role);
        let error = open_to_read(&alice_at_second(&alice)).await.expect_err("no right to it");
        assert_eq!(error.kind(), StoreErrorKind::Denied, "{error}");
    }
    for role in &roles[1] {
        let bob = database.account_of(role);
        ok(open_to_read(&alice_at_second(&bob)).await);
    }
}

#[tokio::test]
async fn the_roles_of_one_database_have_nothing_in_the_next() {
    let (first, second) = (Cluster::shared().database(), Cluster::shared().database());
    let _owner = open(&first.url()).await;
    assert_apart(&first.url(), |role| second.url_as(role), &second, &second.url()).await;
}

#[tokio::test]
async fn the_roles_of_one_schema_have_nothing_in_the_next() {
    let database = Cluster::shared().database();
    let in_schema = |role: &str, schema: &str| format!("{}?schema={schema}", database.url_as(role));
    let _owner = open(&in_schema("postgres", "tenant_1")).await;
    let (first, second) = (in_schema("postgres", "tenant_1"), in_schema("postgres", "tenant_2"));
    assert_apart(&first, |role| in_schema(role, "tenant_2"), &database, &second).await;
}

#[tokio::test]
async fn a_role_that_is_not_the_logs_is_taken_only_if_that_is_meant() {
    let (database, other) = (Cluster::shared().database(), Cluster::shared().database());
    let _logs = [open(&database.url()).await, open(&other.url()).await];
    let prefix = unique("prefix");
    let url = |database: &Database<'_>| format!("{}?roles={prefix}", database.url());
    let taken = async |sql: &str, words: &str| {
        database.sql(sql);
        let error = create_roles(&url(&database)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Config);
        assert!(error.to_string().contains(words), "{error}");
        let (_, statement) = error.to_string().split_once(": `").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        statement.trim_end_matches('`').to_owned()
    };
    // Each could be somebody's.
    for existing in ["LOGIN", "SUPERUSER", "CREATEROLE", "IN ROLE pg_monitor", "ROLE postgres"] {
        taken(&format!("CREATE ROLE {prefix}_reader {existing}"), "exists, and has members").await;
        database.sql(&format!("DROP ROLE {prefix}_reader"));
    }
    let statement = taken(&format!("CREATE ROLE {prefix}_reader LOGIN"), "exists, and has members").await;
    database.sql(&statement);
    ok(create_roles(&url(&database)).await);
    ok(open_to_read(&format!("{}?roles={prefix}", database.url_as(&format!("{prefix}_reader")))).await);
    // The next log does not share them by mistake.
    let error = create_roles(&url(&other)).await.unwrap_err();
    assert!(error.to_string().contains(&format!("was made for the log \"{}\"", database.name())), "{error}");
    let text = error.to_string();
    for role in ["appender", "reader", "purger", "sealer", "eraser"] {
        let log = format!(
            "COMMENT ON ROLE \"{prefix}_{role}\" IS 'tower-audit \"{}\".\"public\".\"audit_events\"';",
            other.name()
        );
        assert!(role != "appender" || text.contains(&log), "{text}");
        database.sql(&log);
    }
    ok(create_roles(&url(&other)).await);
    // Rights that exist already are granted anew.
    ok(create_roles(&url(&database)).await);
}

#[tokio::test]
async fn an_owner_who_may_make_no_roles_takes_those_made_for_them() {
    let database = Cluster::shared().database();
    let owner = unique("owner");
    database.sql(&format!("CREATE ROLE {owner} LOGIN"));
    database.sql(&format!("CREATE SCHEMA log AUTHORIZATION {owner}"));
    let url = format!("{}?schema=log", database.url_as(&owner));
    let _store = open(&url).await;
    let prefix = format!("{}_log_audit_events", database.name());
    for role in ["appender", "reader", "purger", "sealer", "eraser"] {
        let error = create_roles(&url).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Denied);
        let statement = format!("CREATE ROLE \"{prefix}_{role}\" NOLOGIN;");
        assert!(error.to_string().contains(&statement), "{error}");
        database.sql(&statement);
    }
    let roles = ok(create_roles(&url).await);
    let alice = database.account_of(&roles[1]);
    ok(create_roles(&url).await);
    ok(open_to_read(&format!("{}?schema=log", database.url_as(&alice))).await);
}

#[tokio::test]
async fn what_only_the_owner_may_is_refused_to_others_with_the_owners_name() {
    let database = Cluster::shared().database();
    let owner = open(&database.url()).await;
    ok(owner.append(&[event(1)]).await);
    let roles = ok(create_roles(&database.url()).await);
    let web = database.account_of(&roles[0]);
    let error = open(&database.url_as(&web)).await.parts().admin.expect("it is kept").recreate().await.unwrap_err();
    for error in [error, create_roles(&database.url_as(&web)).await.unwrap_err()] {
        assert_eq!(error.kind(), StoreErrorKind::Denied);
        assert!(
            error.to_string().contains("only the owner of the tables may do this: connect as \"postgres\""),
            "{error}"
        );
    }
    assert_eq!(all(&*owner).await.len(), 1);
}

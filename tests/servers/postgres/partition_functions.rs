//! Months are made by whoever appends and dropped by whoever purges, and neither gains anything else by that.

use std::time::Duration;

use tower_audit::store::postgres::create_roles;
use tower_audit::{EventId, Timestamp};

use crate::cluster::{Cluster, Database, unique};
use crate::postgres::support::{all, at, event, ok, open, open_to_read};

/// The months that there are.
const MONTHS: &str = "SELECT count(*) FROM pg_inherits \
    WHERE inhparent = 'audit_events'::regclass AND inhrelid::regclass::text ~ '_[0-9]{4}_[0-9]{2}$'";
const DROP_MONTHS: &str = "DO $$ DECLARE month text; BEGIN FOR month IN SELECT inhrelid::regclass FROM pg_inherits \
    WHERE inhparent = 'audit_events'::regclass AND inhrelid::regclass::text ~ '_[0-9]{4}_[0-9]{2}$' \
    LOOP EXECUTE 'DROP TABLE ' || month; END LOOP; END $$";

/// An account that may append, and one that may purge.
async fn accounts(database: &Database<'_>) -> (String, String) {
    ok(create_roles(&database.url()).await);
    let (appender, purger) = (unique("appends"), unique("purges"));
    database.sql(&format!("CREATE ROLE {appender} LOGIN IN ROLE {}", database.role("appender")));
    database.sql(&format!("CREATE ROLE {purger} LOGIN IN ROLE {}", database.role("purger")));
    (appender, purger)
}

#[tokio::test]
async fn who_appends_makes_months_and_has_no_right_to_them() {
    let database = Cluster::shared().database();
    let owner = open(&database.url()).await;
    let (appender, _) = accounts(&database).await;
    database.sql(DROP_MONTHS);
    let waiting: Vec<_> = (0..10).map(event).collect();
    ok(owner.append(&waiting).await);
    // As an owner may have set up for an application's tables.
    database.sql(&format!("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {appender}, PUBLIC"));
    let store = open(&database.url_as(&appender)).await;
    assert_eq!(database.sql(MONTHS), "4", "this month and three more");
    ok(store.append(&[event(10)]).await);
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_default"), "0", "what waited there has moved");
    assert_eq!(all(&*owner).await.len(), 11);
    let rights = format!(
        "SELECT count(*) FROM pg_inherits, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', \
         'REFERENCES', 'TRIGGER']) AS wanted WHERE inhparent = 'audit_events'::regclass \
         AND has_table_privilege('{appender}', inhrelid, wanted)"
    );
    assert_eq!(database.sql(&rights), "0");
    let owners = "SELECT string_agg(DISTINCT relowner::regrole::text, ',') FROM pg_inherits \
        JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'audit_events'::regclass";
    assert_eq!(database.sql(owners), "postgres");
}

#[tokio::test]
async fn default_privileges_do_not_reach_the_log() {
    let database = Cluster::shared().database();
    let role = unique("everything");
    database.sql(&format!("CREATE ROLE {role} LOGIN"));
    for kind in ["TABLES", "SEQUENCES", "FUNCTIONS"] {
        database.sql(&format!("ALTER DEFAULT PRIVILEGES GRANT ALL ON {kind} TO {role}, PUBLIC"));
    }
    ok(open(&database.url()).await.append(&[event(1)]).await);
    let given = "SELECT (SELECT count(*) FROM pg_class c, aclexplode(relacl) a \
        WHERE relname LIKE '%audit_events%' AND a.grantee <> relowner), \
        (SELECT count(*) FROM pg_proc, aclexplode(proacl) a WHERE proname LIKE 'audit%' AND a.grantee <> proowner)";
    assert_eq!(database.sql(given), "0|0");
    for sql in
        ["DELETE FROM audit_events", "SELECT audit_events_create_partition()", "SELECT FROM audit_events_started"]
    {
        assert!(database.refusal_as(&role, sql).contains("permission denied"), "{sql}");
    }
}

#[tokio::test]
async fn months_begin_and_end_in_utc() {
    let database = Cluster::shared().database();
    database.sql(&format!("ALTER DATABASE {} SET TimeZone = 'Pacific/Kiritimati'", database.name()));
    database.sql(&format!("ALTER DATABASE {} SET DateStyle = 'SQL, DMY'", database.name()));
    let store = open(&database.url()).await;
    let month = "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '1 month', 'YYYY-MM'), \
        to_char(now() AT TIME ZONE 'UTC' + interval '2 months', 'YYYY-MM')";
    let months = database.sql(month);
    let (next, after) = months.split_once('|').expect("two months");
    let first = at(&format!("{next}-01T00:00:00Z"));
    let end = at(&format!("{after}-01T00:00:00Z")).as_micros();
    for (time, random, partition) in [(first.as_micros(), 0, next), (end - 1, u128::MAX >> 48, next), (end, 0, after)] {
        let mut edge = event(1);
        let millis = u128::try_from(time / 1000).expect("it is after 1970");
        edge.event_id = EventId::from_u128(millis << 80 | random);
        ok(store.append(std::slice::from_ref(&edge)).await);
        let found =
            database.sql(&format!("SELECT tableoid::regclass FROM audit_events WHERE event_id = '{}'", edge.event_id));
        assert_eq!(found, format!("audit_events_{}", partition.replace('-', "_")));
    }
}

#[tokio::test]
async fn what_a_caller_has_set_or_shadowed_does_not_reach_the_functions() {
    let database = Cluster::shared().database();
    let owner = open(&database.url()).await;
    ok(owner.append(&[event(1)]).await);
    let (appender, purger) = accounts(&database).await;
    database.sql("CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO PUBLIC");
    // Whatever of it is reached says so.
    let traps = "SET search_path = trap, pg_temp, pg_catalog; \
        CREATE TEMP TABLE pg_inherits (inhrelid oid, inhparent oid); CREATE TEMP TABLE pg_class (oid oid, relname name); \
        CREATE TEMP TABLE pg_proc (oid oid); CREATE TEMP TABLE audit_events (event_id uuid); \
        CREATE FUNCTION trap.sprung(text, text) RETURNS text LANGUAGE plpgsql AS \
            $$BEGIN RAISE EXCEPTION 'sprung as %', current_user; END$$; \
        CREATE FUNCTION trap.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS \
            $$BEGIN RAISE EXCEPTION 'sprung as %', current_user; END$$; \
        CREATE FUNCTION trap.format(text, text, text) RETURNS text LANGUAGE plpgsql AS \
            $$BEGIN RAISE EXCEPTION 'sprung as %', current_user; END$$; \
        CREATE FUNCTION trap.date_trunc(text, timestamp) RETURNS timestamp LANGUAGE plpgsql AS \
            $$BEGIN RAISE EXCEPTION 'sprung as %', current_user; END$$; \
        CREATE FUNCTION trap.length(text) RETURNS int LANGUAGE plpgsql AS \
            $$BEGIN RAISE EXCEPTION 'sprung as %', current_user; END$$; \
        CREATE OPERATOR trap.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.sprung); \
        SET TimeZone = 'Pacific/Kiritimati'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'iso_8601'; \
        SET standard_conforming_strings = off; SET lock_timeout = '1h'; \
        SET transform_null_equals = on; SET quote_all_identifiers = on; SET extra_float_digits = -15;";
    let clean = "DROP FUNCTION trap.format(text, text[]), trap.format(text, text, text), \
        trap.date_trunc(text, timestamp), trap.length(text), trap.sprung(text, text) CASCADE";
    database.sql(DROP_MONTHS);
    let makes = "SELECT public.audit_events_create_partition();";
    let said = database.sql_as(&appender, &format!("{traps} {makes} {makes} {makes} {makes} {makes} {clean}"));
    assert_eq!(said, "t\nt\nt\nt\nf");
    assert_eq!(database.sql(MONTHS), "4");
    let drops = "SELECT public.audit_events_drop_partition('2999-01-01T00:00:00Z');";
    let said = database.sql_as(&purger, &format!("{traps} {drops} {drops} {drops} {drops} {drops} {clean}"));
    assert_eq!(said, "0\n0\n0\n0", "four months, and then there is none");
    assert_eq!(database.sql(MONTHS), "0");
    let config = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'audit_events%' AND prosecdef \
        AND 'search_path=pg_catalog, pg_temp' = ANY(proconfig)";
    assert_eq!(database.sql(config), "2");
}

#[tokio::test]
async fn the_functions_do_nothing_else_for_those_who_may_call_them() {
    let database = Cluster::shared().database();
    let owner = open(&database.url()).await;
    ok(owner.append(&[event(1)]).await);
    let (appender, purger) = accounts(&database).await;
    for role in [&appender, &purger] {
        for sql in [
            "CREATE OR REPLACE FUNCTION audit_events_create_partition() RETURNS bool LANGUAGE sql AS 'SELECT true'",
            "ALTER FUNCTION audit_events_create_partition() RESET search_path",
            "ALTER FUNCTION audit_events_create_partition() SECURITY INVOKER",
            "ALTER FUNCTION audit_events_drop_partition(timestamptz) RENAME TO mine",
            "DROP FUNCTION audit_events_drop_partition(timestamptz)",
            "DO $$ BEGIN EXECUTE 'DROP TABLE ' || (SELECT min(inhrelid::regclass::text) FROM pg_inherits \
                WHERE inhparent = 'audit_events'::regclass); END $$",
            "ALTER TABLE audit_events DETACH PARTITION audit_events_before",
            "ALTER TABLE audit_events_before RENAME TO mine",
            "CREATE TABLE audit_events_2100_01 PARTITION OF audit_events FOR VALUES FROM ('ffffffff-0000-0000-0000-000000000000') TO (MAXVALUE)",
            "CREATE TABLE audit_events_2100_01 (id int)",
        ] {
            let said = database.refusal_as(role, sql);
            assert!(said.contains("permission denied") || said.contains("must be owner"), "{sql}: {said}");
        }
    }
    // Whoever may call it cannot let another: the server says OK, and that nothing was granted.
    database.sql_as(&purger, "GRANT EXECUTE ON FUNCTION audit_events_drop_partition(timestamptz) TO PUBLIC");
    let said = database.refusal_as(&appender, "SELECT audit_events_drop_partition(now())");
    assert!(said.contains("permission denied for function"), "{said}");
    // A month with anything in it that is not older stays.
    assert_eq!(database.sql_as(&purger, "SELECT audit_events_drop_partition(now() - interval '1 day')"), "");
    assert_eq!(all(&*owner).await.len(), 1);
}

#[tokio::test]
async fn who_purges_drops_whole_months() {
    let database = Cluster::shared().database();
    let owner = open(&database.url()).await;
    let (_, purger) = accounts(&database).await;
    ok(owner.append(&(0..3000).map(event).collect::<Vec<_>>()).await);
    let store = ok(open_to_read(&database.url_as(&purger)).await);
    let keeper = store.parts().admin.expect("it is kept");
    let purged = ok(keeper.purge(at("2999-01-01T00:00:00Z"), 10).await);
    assert_eq!((purged.deleted, purged.has_more), (3000, false), "in one turn, however little was asked for");
    assert_eq!(ok(keeper.purge(Timestamp::MAX, 10).await).deleted, 0);
    assert_eq!(database.sql(MONTHS), "0");
    // With its URL alone, the log is made whole again: the record of the purge has its month.
    drop(open(&database.url_as(&purger)).await);
    assert_eq!(database.sql(MONTHS), "4");
}

#[cfg(feature = "cli")]
#[tokio::test]
async fn the_program_purges_with_the_purgers_url() {
    let database = Cluster::shared().database();
    let owner = open(&database.url()).await;
    let (_, purger) = accounts(&database).await;
    database.sql(
        "DROP TABLE audit_events_before; CREATE TABLE audit_events_2020_01 PARTITION OF audit_events \
         FOR VALUES FROM ('016f5e66-e800-0000-0000-000000000000') TO ('016ffe0b-d400-0000-0000-000000000000')",
    );
    let old = |n: u64| {
        let mut old = event(n);
        old.created_at = at("2020-01-15T12:00:00Z");
        let millis = u128::try_from(old.created_at.as_micros() / 1000).expect("it is after 1970");
        old.event_id = EventId::from_u128(millis << 80 | u128::from(n));
        old
    };
    ok(owner.append(&(0..2500).map(old).collect::<Vec<_>>()).await);
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_2020_01"), "2500");
    ok(owner.append(&[event(1)]).await);
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_tower-audit"))
        .args(["purge", "--older-than", "365d", "--url", &database.url_as(&purger)])
        .output()
        .expect("the program runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(String::from_utf8_lossy(&done.stdout), "2500\n");
    assert_eq!(database.sql("SELECT to_regclass('audit_events_2020_01')"), "", "the month is gone as a whole");
    let left = all(&*owner).await;
    assert_eq!(left.len(), 3, "with the purge's own, before and after it");
    assert_eq!(left[0].details["deleted"], 2500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_in_the_way_is_not_waited_for_and_nothing_is_lost() {
    let database = Cluster::shared().database();
    ok(open(&database.url()).await.close().await);
    let (appender, _) = accounts(&database).await;
    database.sql(DROP_MONTHS);
    // A transaction that has looked at the default partition keeps it from being locked.
    let blocker = database.hold("LOCK TABLE audit_events_default IN ACCESS SHARE MODE");
    let begun = std::time::Instant::now();
    let store = open(&database.url_as(&appender)).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(database.sql(MONTHS), "0");
    ok(store.append(&[event(1)]).await);
    drop(blocker);
    let another = open(&database.url_as(&appender)).await;
    assert_eq!(database.sql(MONTHS), "4");
    ok(another.append(&[event(2)]).await);
    assert_eq!(database.sql("SELECT count(*) FROM ONLY audit_events_default"), "0");
    assert_eq!(database.sql("SELECT count(*) FROM audit_events"), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_start_at_once_make_each_month_once() {
    let database = Cluster::shared().database();
    ok(open(&database.url()).await.close().await);
    let (appender, _) = accounts(&database).await;
    database.sql(DROP_MONTHS);
    let url = database.url_as(&appender);
    let opened = futures_util::future::join_all((0..6).map(|_| open(&url))).await;
    assert_eq!(database.sql(MONTHS), "4");
    for (store, n) in opened.iter().zip(0..) {
        ok(store.append(&[event(n)]).await);
    }
    assert_eq!(database.sql("SELECT count(*) FROM audit_events_default"), "0");
}

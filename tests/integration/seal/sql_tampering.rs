//! Manipulations of the tables by statements: each is found on each database, and rightly named.

use tower_audit::sealing::Damage::{
    self, Edited, Inserted, Missing, PurgeForged, PurgeRolledBack, PurgeUnaccounted, Reinserted, SealEdited, TailCut,
};

use super::support::{Database, SealedLog, kinds};

const EVENTS: u64 = 600;
/// The first events were purged, so the purge's own events have the leaves 600 and 601.
const PURGED: u64 = 50;

/// A manipulation, the kinds of damage that a verification finds, and the leaf that the first finding names.
#[derive(Clone)]
struct Case {
    what: &'static str,
    sqlite: String,
    postgres: String,
    expected: &'static [Damage],
    leaf: Option<u64>,
}

/// One statement for both databases, with names for what differs between them.
fn both(what: &'static str, sql: &str, expected: &'static [Damage], leaf: impl Into<Option<u64>>) -> Case {
    each(what, sql, sql, expected, leaf)
}

fn each(
    what: &'static str,
    sqlite: &str,
    postgres: &str,
    expected: &'static [Damage],
    leaf: impl Into<Option<u64>>,
) -> Case {
    let with = |sql: &str, names: &[(&str, &str)]| {
        names.iter().fold(sql.to_owned(), |sql, (name, text)| sql.replace(name, text))
    };
    let sqlite = with(
        sqlite,
        &[
            ("{events}", "audit_segment_1"),
            ("{leaves}", "audit_leaves"),
            ("{nodes}", "audit_nodes"),
            ("{checkpoints}", "audit_checkpoints"),
            ("{removals}", "audit_removals"),
            ("{user}", "user_email"),
            ("{zeros}", "zeroblob(32)"),
            ("{zero}", "x'00'"),
            ("{nothing}", "x''"),
            ("{other id}", "x'0199a700000070008000000000000001'"),
        ],
    );
    let postgres = with(
        postgres,
        &[
            ("{events}", "audit_events"),
            ("{leaves}", "audit_events_leaves"),
            ("{nodes}", "audit_events_nodes"),
            ("{checkpoints}", "audit_events_checkpoints"),
            ("{removals}", "audit_events_removals"),
            ("{user}", "actor_user_email"),
            ("{zeros}", "decode(repeat('00', 32), 'hex')"),
            ("{zero}", "'\\x00'::bytea"),
            ("{nothing}", "''::bytea"),
            ("{other id}", "'0199a700-0000-7000-8000-000000000001'::uuid"),
        ],
    );
    Case { what, sqlite, postgres, expected, leaf: leaf.into() }
}

/// A statement about the events of these leaves.
fn of(statement: &str, leaves: &str) -> String {
    format!("{statement} WHERE event_id IN (SELECT event_id FROM {{leaves}} WHERE n {leaves})")
}

fn edits_of_events() -> Vec<Case> {
    let set = |what, assignments: &str, n: u64| {
        both(what, &of(&format!("UPDATE {{events}} SET {assignments}"), &format!("= {n}")), &[Edited], n)
    };
    vec![
        set("an outcome", "outcome = 403, event = replace(event, '\"outcome\":200', '\"outcome\":403')", 105),
        set("a name, in the column alone", "{user} = 'x'", 106),
        set("a name, in column and text", "event = replace(event, {user}, 'x'), {user} = 'x'", 107),
        set("a name is erased", "{user} = NULL, event = replace(event, {user}, '')", 108),
        set("a phase", "phase = 'started'", 111),
        set("a type", "event_type = 'auth'", 112),
        each(
            "an error that was none",
            &of(
                "UPDATE {events} SET event = replace(event, '\"details\":{', '\"classification\":{\"error\":\"forbidden\"},\"details\":{')",
                "= 116",
            ),
            &of("UPDATE {events} SET error = 'forbidden'", "= 116"),
            &[Edited],
            116,
        ),
        each(
            "a digit of a detail",
            &of("UPDATE {events} SET event = replace(event, '\"number\":113', '\"number\":114')", "= 113"),
            &of(
                "UPDATE {events} SET details = '{\"number\": 114}', event = replace(event, '\"number\":113', '\"number\":114')",
                "= 113",
            ),
            &[Edited],
            113,
        ),
        each(
            "a microsecond",
            &of("UPDATE {events} SET created_at = created_at + 1", "= 109"),
            &of("UPDATE {events} SET created_at = created_at + interval '1 microsecond'", "= 109"),
            &[Edited],
            109,
        ),
        each(
            "a route",
            &of("UPDATE {events} SET route = '/x'", "= 114"),
            &of("UPDATE {events} SET resource_route = '/x'", "= 114"),
            &[Edited],
            114,
        ),
        each(
            "a method",
            &of("UPDATE {events} SET event = replace(event, '\"POST\"', '\"PUT\"')", "= 115"),
            &of("UPDATE {events} SET resource_method = 'PUT'", "= 115"),
            &[Edited],
            115,
        ),
        each(
            "an address that was none",
            &of("UPDATE {events} SET remote_addr = '192.0.2.1'", "= 117"),
            &of("UPDATE {events} SET actor_remote_addr = '192.0.2.1'", "= 117"),
            &[Edited],
            117,
        ),
        each(
            "the text is gone",
            &of("UPDATE {events} SET event = ''", "= 110"),
            &of("UPDATE {events} SET event = '', details = NULL", "= 110"),
            &[Edited],
            110,
        ),
        each(
            "two bodies are swapped",
            "UPDATE audit_segment_1 SET event = (SELECT event FROM audit_segment_1 AS other WHERE other.seq = 245 - audit_segment_1.seq) WHERE seq IN (122, 123)",
            "UPDATE audit_events e SET event = o.event, details = o.details FROM audit_events o, audit_events_leaves l, audit_events_leaves m \
             WHERE e.event_id = l.event_id AND o.event_id = m.event_id AND l.n + m.n = 243 AND l.n IN (121, 122)",
            &[Edited],
            121,
        ),
    ]
}

fn deletions_and_insertions() -> Vec<Case> {
    vec![
        both("an event is deleted", &of("DELETE FROM {events}", "= 120"), &[Missing], 120),
        both("many events are deleted", &of("DELETE FROM {events}", "BETWEEN 130 AND 199"), &[Missing], 130),
        both(
            "an event is deleted with its leaf",
            &(of("DELETE FROM {events}", "= 140") + "; DELETE FROM {leaves} WHERE n = 140"),
            &[Missing],
            140,
        ),
        both(
            "an event is deleted with its seed, as a purge would",
            &(of("DELETE FROM {events}", "= 150") + "; UPDATE {leaves} SET seed = {nothing} WHERE n = 150"),
            &[PurgeUnaccounted],
            150,
        ),
        each(
            "every event is deleted",
            "DROP VIEW audit_events; DROP TABLE audit_segment_1; DELETE FROM audit_segments; DELETE FROM audit_postings; DELETE FROM audit_journal WHERE events_n > 0",
            "DELETE FROM audit_events",
            &[Missing],
            PURGED,
        ),
        each(
            "an event gets another id",
            &(of("UPDATE {events} SET event_id = {other id}", "= 160") + "; UPDATE audit_segments SET min_id = x'00'"),
            &of("UPDATE {events} SET event_id = {other id}", "= 160"),
            &[Missing, Inserted],
            160,
        ),
        each(
            "an event is put in",
            "INSERT INTO audit_segment_1(seq, event_id, created_at, event_type, phase, event) SELECT 0, {other id}, created_at, event_type, phase, \
             replace(event, lower(hex(event_id)), '0199a700000070008000000000000001') FROM audit_segment_1 WHERE seq = 200; \
             UPDATE audit_segments SET min_id = x'00', first_at = 0",
            "INSERT INTO audit_events(event_id, event_type, created_at) VALUES ({other id}, 'upload', '2026-05-28T00:00:00Z')",
            &[Inserted],
            None,
        ),
    ]
}

fn manipulations_of_the_seal() -> Vec<Case> {
    vec![
        both("a seed", "UPDATE {leaves} SET seed = {zeros} WHERE n = 177", &[Edited], 177),
        both("a short seed", "UPDATE {leaves} SET seed = {zero} WHERE n = 178", &[Edited], 178),
        both("a seed is gone", "UPDATE {leaves} SET seed = {nothing} WHERE n = 179", &[Edited], 179),
        both(
            "two seeds are swapped",
            "UPDATE {leaves} SET seed = (SELECT o.seed FROM {leaves} o WHERE o.n = 361 - {leaves}.n) WHERE n IN (180, 181)",
            &[Edited],
            180,
        ),
        both("a leaf's hash", "UPDATE {leaves} SET hash = {zeros} WHERE n = 182", &[SealEdited], 182),
        both("a short hash", "UPDATE {leaves} SET hash = {zero} WHERE n = 183", &[SealEdited], 183),
        both("a leaf's event", "UPDATE {leaves} SET event_id = {other id} WHERE n = 184", &[Missing, Inserted], 184),
        both("the last leaves", "DELETE FROM {leaves} WHERE n >= 590", &[TailCut, Inserted], 590),
        both("the first leaves", "DELETE FROM {leaves} WHERE n < 60", &[Missing, Inserted], 0),
        both("a leaf in the middle", "DELETE FROM {leaves} WHERE n = 185", &[Missing, Inserted], 185),
        both("the last checkpoint", "DELETE FROM {checkpoints} WHERE size = 602", &[TailCut], 600),
        both("every checkpoint", "DELETE FROM {checkpoints}", &[TailCut], 0),
        both("a node", "UPDATE {nodes} SET hash = {zeros} WHERE n = 0", &[SealEdited], 0),
        both("a node is deleted", "DELETE FROM {nodes} WHERE n = 1", &[SealEdited], 256),
        both("every node is deleted", "DELETE FROM {nodes}", &[SealEdited], 0),
        both(
            "the size in a note",
            "UPDATE {checkpoints} SET note = replace(note, '300', '301') WHERE size = 300",
            &[SealEdited],
            None,
        ),
        both("the size beside a note", "UPDATE {checkpoints} SET size = 301 WHERE size = 300", &[SealEdited], None),
        both("a note is no note", "UPDATE {checkpoints} SET note = 'x' WHERE size = 300", &[SealEdited], None),
        both(
            "the origin in a note",
            "UPDATE {checkpoints} SET note = replace(note, 'example.com', 'example.org') WHERE size = 300",
            &[Damage::WrongKey],
            None,
        ),
        both(
            "the note of another size",
            "UPDATE {checkpoints} SET note = (SELECT o.note FROM {checkpoints} o WHERE o.size = 400) WHERE size = 300",
            &[SealEdited],
            None,
        ),
    ]
}

fn manipulations_of_a_purge() -> Vec<Case> {
    // As they were before the purge.
    let sqlite_back = "ATTACH '{kept}' AS kept; INSERT INTO audit_segment_1 SELECT * FROM kept.audit_segment_1 AS old WHERE old.seq <= {rows}; \
        UPDATE audit_segments SET min_id = x'00', first_at = 0, events_n = (SELECT count(*) FROM audit_segment_1);";
    let postgres_back = "INSERT INTO audit_events SELECT old.* FROM kept_audit_events old JOIN audit_events_leaves l USING (event_id) WHERE l.n < {rows};";
    let (sqlite_all, postgres_all) = (sqlite_back.replace("{rows}", "50"), postgres_back.replace("{rows}", "50"));
    vec![
        both("every signed removal", "DELETE FROM {removals}", &[PurgeUnaccounted, PurgeForged], 0),
        both(
            "the removal that lists the leaves",
            "DELETE FROM {removals} WHERE n = 1",
            &[PurgeUnaccounted, SealEdited],
            0,
        ),
        both("the removal that signs the end", "DELETE FROM {removals} WHERE n = 2", &[PurgeForged], 601),
        both(
            "the leaves of a removal",
            "UPDATE {removals} SET note = replace(note, '0-49', '0-59') WHERE n = 1",
            &[PurgeUnaccounted, PurgeForged],
            0,
        ),
        both(
            "a removal is no note",
            "UPDATE {removals} SET note = 'x' WHERE n = 1",
            &[PurgeUnaccounted, PurgeForged],
            0,
        ),
        each(
            "purged events come back with their seeds",
            &format!(
                "{sqlite_all} UPDATE audit_leaves SET seed = (SELECT old.seed FROM kept.audit_leaves AS old WHERE old.n = audit_leaves.n) WHERE n < 50"
            ),
            &format!(
                "{postgres_all} UPDATE audit_events_leaves l SET seed = old.seed FROM kept_audit_events_leaves old WHERE old.n = l.n AND l.n < 50"
            ),
            &[PurgeRolledBack],
            0,
        ),
        each("purged events come back", &sqlite_all, &postgres_all, &[Reinserted], 0),
        each(
            "one purged event comes back",
            &sqlite_back.replace("{rows}", "1"),
            &postgres_back.replace("{rows}", "1"),
            &[Reinserted],
            0,
        ),
        each(
            "the count of a purge",
            "UPDATE audit_journal SET events = replace(events, '\"deleted\":50', '\"deleted\":49')",
            "UPDATE audit_events SET details = jsonb_set(details, '{deleted}', '49'), event = replace(event, '\"deleted\":50', '\"deleted\":49') WHERE details ->> 'deleted' = '50'",
            &[PurgeForged, Edited],
            601,
        ),
        each(
            "the events of a purge are deleted",
            "DELETE FROM audit_journal WHERE events LIKE '%audit.purge%'",
            "DELETE FROM audit_events WHERE event_type = 'audit.purge'",
            &[Missing],
            600,
        ),
    ]
}

async fn check(database: Database) {
    let log = SealedLog::on(database).with(EVENTS).await;
    log.keep_copy().await;
    log.purge(PURGED).await;
    let report = log.verify_against(Some(log.kept())).await;
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.purged, report.size, report.intact), (PURGED, EVENTS + 2, EVENTS + 2 - PURGED));
    let cases =
        [edits_of_events(), deletions_and_insertions(), manipulations_of_the_seal(), manipulations_of_a_purge()]
            .concat();
    assert!(cases.len() >= 40, "{} manipulations", cases.len());
    let mut wrong = Vec::new();
    for Case { what, sqlite, postgres, expected, leaf } in cases {
        let sql = if database == Database::Sqlite { sqlite } else { postgres };
        let report = log.tampered(&sql).await;
        let found = kinds(&report);
        let index = report.findings.first().and_then(|finding| finding.index);
        if found != expected || index != leaf {
            wrong.push(format!(
                "{what}: {found:?} at {index:?}, not {expected:?} at {leaf:?}: {:?}",
                report.findings.first()
            ));
        }
    }
    assert!(wrong.is_empty(), "{database:?}:\n{}", wrong.join("\n"));
    assert!(log.verify().await.is_intact(), "the log itself was left as it was");
}

#[tokio::test]
async fn each_manipulation_of_a_file_is_found_and_named() {
    check(Database::Sqlite).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn each_manipulation_of_a_database_is_found_and_named() {
    check(Database::Postgres).await;
}

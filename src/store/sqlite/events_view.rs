//! The view `audit_events`: journal and segments as one table, with the columns that PostgreSQL's has.
//!
//! It is for other programs: the store itself reads the tables. It is made again when the list of segments changes, in the
//! transaction that changes it, so that an append never touches it. The values that a segment has in the text of an event
//! alone are computed by who reads them.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::error::DuringOperation as _;
use crate::store::StoreError;

/// Makes the view of the segments that there are, inside a transaction. Nothing is written if it is there already. A table
/// or a view of that name that is not the log's is left alone, and then there is no view.
pub(super) async fn refresh(db: &mut SqliteConnection) -> Result<(), StoreError> {
    let known: Option<(String, String)> =
        sqlx::query_as("SELECT type, coalesce(sql, '') FROM sqlite_schema WHERE name = 'audit_events'")
            .fetch_optional(&mut *db)
            .await
            .during(DOING)?;
    let segments: Vec<i64> = sqlx::query_scalar(
        "SELECT n FROM audit_segments WHERE EXISTS (\
        SELECT 1 FROM sqlite_schema WHERE name = 'audit_segment_' || n) ORDER BY n",
    )
    .fetch_all(&mut *db)
    .await
    .during(DOING)?;
    let sql = definition(&segments);
    match known {
        Some((_, known)) if known == sql => return Ok(()),
        Some((kind, known)) if kind != "view" || !known.starts_with(BEGINNING) => return Ok(()),
        _ => {}
    }
    drop_view(db).await?;
    sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(db).await.during(DOING)?;
    Ok(())
}

/// Drops the view, if it is the log's, inside a transaction.
pub(super) async fn drop_view(db: &mut SqliteConnection) -> Result<(), StoreError> {
    let is_ours: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'audit_events' AND type = 'view' AND instr(sql, ?1) = 1)",
    )
    .bind(BEGINNING)
    .fetch_one(&mut *db)
    .await
    .during(DOING)?;
    if is_ours {
        sqlx::query("DROP VIEW audit_events").persistent(false).execute(db).await.during(DOING)?;
    }
    Ok(())
}

fn definition(segments: &[i64]) -> String {
    let columns = "seq, event_id, created_at, event_type, phase, user_email, remote_addr, route, outcome, event";
    // SQLite refuses more than 500 parts of one UNION.
    let groups: Vec<String> = segments
        .chunks(MAX_PARTS)
        .map(|group| {
            let parts = group.iter().map(|n| format!("SELECT {columns} FROM audit_segment_{n}"));
            format!("SELECT * FROM ({})", parts.collect::<Vec<_>>().join(" UNION ALL "))
        })
        .collect();
    let of_segments = match groups.as_slice() {
        [] => String::new(),
        _ => format!("{} FROM ({}) UNION ALL ", selected(&SEGMENT_COLUMNS, "event"), groups.join(" UNION ALL ")),
    };
    format!("{BEGINNING}{of_segments}{}{JOURNAL}", selected(&JOURNAL_COLUMNS, "piece"))
}

/// The SELECT of every column: of those that a table has, by its own, and of the others from the text.
fn selected(own: &[(&str, &str)], text: &str) -> String {
    let own = own.iter().map(|(name, value)| format!("{value} AS {name}"));
    let others = PATHS.iter().map(|(name, path)| {
        format!("CASE WHEN json_valid({text}) THEN json_extract({text}, '$.{path}') END AS {name}")
    });
    let targets = format!(
        "CASE WHEN json_valid({text}) AND json_array_length({text}, '$.targets') > 1 THEN (\
         SELECT json_group_array(json_extract(t.value, '$.type') || '/' || json_extract(t.value, '$.id')) \
         FROM json_each({text}, '$.targets') AS t WHERE t.key > 0) END AS more_targets"
    );
    format!("SELECT {}", own.chain(others).chain([targets]).collect::<Vec<_>>().join(", "))
}

/// Microseconds as RFC 3339, also before 1970.
const SEGMENT_TIME: &str = "strftime('%Y-%m-%dT%H:%M:%S', \
    (created_at - ((created_at % 1000000 + 1000000) % 1000000)) / 1000000, 'unixepoch') \
    || printf('.%06dZ', (created_at % 1000000 + 1000000) % 1000000)";

const SEGMENT_COLUMNS: [(&str, &str); 9] = [
    ("event_id", "lower(hex(event_id))"),
    ("event_type", "event_type"),
    ("created_at", SEGMENT_TIME),
    ("actor_user_email", "user_email"),
    ("actor_remote_addr", "remote_addr"),
    ("resource_route", "route"),
    ("outcome", "outcome"),
    ("phase", "phase"),
    ("event", "event"),
];

/// The columns of an event of the journal; NULL where its text is damaged.
const JOURNAL_COLUMNS: [(&str, &str); 9] = [
    ("event_id", of_piece!("event_id")),
    ("event_type", concat!("coalesce(", of_piece!("event_type"), ", 'audit.unreadable')")),
    ("created_at", of_piece!("created_at")),
    ("actor_user_email", of_piece!("actor.user_email")),
    ("actor_remote_addr", of_piece!("actor.remote_addr")),
    ("resource_route", of_piece!("resource.route")),
    ("outcome", of_piece!("outcome")),
    (
        "phase",
        concat!("CASE WHEN json_valid(piece) THEN coalesce(", of_piece!("phase"), ", 'completed') ELSE 'unknown' END"),
    ),
    ("event", "piece"),
];

macro_rules! of_piece {
    ($path:literal) => {
        concat!("CASE WHEN json_valid(piece) THEN json_extract(piece, '$.", $path, "') END")
    };
}
use of_piece;

/// The columns that are in the text of an event alone.
const PATHS: [(&str, &str); 12] = [
    ("actor_api_key_hash", "actor.api_key_hash"),
    ("actor_acting_for", "actor.acting_for"),
    ("resource_method", "resource.method"),
    ("request_id", "request.request_id"),
    ("request_uri", "request.request_uri"),
    ("trace_id", "request.trace_id"),
    ("domain", "classification.domain"),
    ("action", "classification.action"),
    ("error", "classification.error"),
    ("details", "details"),
    ("target_type", "targets[0].type"),
    ("target_id", "targets[0].id"),
];

/// The texts of the journal's events. A row that is no JSON is cut where its events begin: as a JSON string it becomes a
/// list of strings. It has a row for each piece, if it has one at all.
const JOURNAL: &str = " FROM (SELECT trim(e.value, '[],') AS piece FROM audit_journal AS j, json_each(\
    CASE WHEN json_valid(j.events) THEN j.events ELSE '[' || \
    replace(json_quote(CAST(j.events AS TEXT)), ',{\\\"event_id\\\":', '\",\"{\\\"event_id\\\":') || ']' END) AS e)";

/// By it, the log knows its view.
const BEGINNING: &str = "CREATE VIEW audit_events AS /* made by tower-audit, and made again by it */ ";
const MAX_PARTS: usize = 400;
const DOING: &str = "making the view of the events";

//! Triggers, rules and other objects on or beside the tables of the log that refuse, discard or hide events.

use sqlx::postgres::PgConnection;

use super::error::{DuringOperation as _, permanent};
use super::identifiers::{Identifiers, STARTED, WRITERS};
use crate::log_lines::log_line;
use crate::store::{Durability, StoreError};

/// An object in the way, and the statement that removes it.
#[derive(Debug)]
pub(super) struct Obstacle {
    pub(super) text: String,
    pub(super) statement: String,
}

/// Finds triggers, rules, row security, constraints and foreign keys on the tables, detached partitions, and other tables
/// with the name of a month.
pub(super) async fn find(
    db: &mut PgConnection,
    names: &Identifiers,
    doing: &'static str,
) -> Result<Vec<Obstacle>, StoreError> {
    let found: Vec<(String, String)> = sqlx::query_as(ASK)
        .bind(names.schema())
        .bind(names.unquoted(""))
        .bind([STARTED, WRITERS].map(|suffix| names.unquoted(suffix)))
        .fetch_all(&mut *db)
        .await
        .during(doing)?;
    let mut obstacles: Vec<Obstacle> =
        found.into_iter().map(|(text, statement)| Obstacle { text, statement }).collect();
    obstacles.extend(find_references(db, names, doing).await?);
    Ok(obstacles)
}

/// Finds foreign keys of other tables that refer to events: they keep events from being removed.
pub(super) async fn find_references(
    db: &mut PgConnection,
    names: &Identifiers,
    doing: &'static str,
) -> Result<Vec<Obstacle>, StoreError> {
    let found: Vec<(String, String)> =
        sqlx::query_as(REFERENCES).bind(names.schema()).bind(names.unquoted("")).fetch_all(db).await.during(doing)?;
    Ok(found.into_iter().map(|(text, statement)| Obstacle { text, statement }).collect())
}

/// Finds enabled triggers and rules on the tables that events are written to. Each can delete what was acknowledged.
pub(super) async fn find_side_effects(
    db: &mut PgConnection,
    names: &Identifiers,
    doing: &'static str,
) -> Result<Vec<Obstacle>, StoreError> {
    let found: Vec<(String, String)> = sqlx::query_as(SIDE_EFFECTS)
        .bind(names.schema())
        .bind([names.unquoted(""), names.unquoted(STARTED), names.unquoted(WRITERS)])
        .fetch_all(db)
        .await
        .during(doing)?;
    Ok(found.into_iter().map(|(text, statement)| Obstacle { text, statement }).collect())
}

/// Returns an error with the statements that remove them, if there are triggers or rules on the tables: an event could be
/// acknowledged and deleted in one transaction.
pub(super) async fn refuse_side_effects(
    db: &mut PgConnection,
    names: &Identifiers,
    durability: Durability,
    doing: &'static str,
) -> Result<(), StoreError> {
    let found = find_side_effects(db, names, doing).await?;
    if found.is_empty() {
        return Ok(());
    }
    let texts: Vec<&str> = found.iter().map(|obstacle| obstacle.text.as_str()).collect();
    let statements: Vec<&str> = found.iter().map(|obstacle| obstacle.statement.as_str()).collect();
    let hint = format!(
        "{} can refuse or delete events that are acknowledged: let the owner of the tables run `{}`",
        texts.join(" and "),
        statements.join(" ")
    );
    if durability == Durability::Warn {
        log_line(move || tracing::warn!(problem = hint, "audit events may be lost"));
        return Ok(());
    }
    Err(permanent(doing).with_hint(hint))
}

/// The key on a partitioned table has one on each partition below it, which go with it.
const REFERENCES: &str = r#"
SELECT pg_catalog.format('the foreign key %I of %s, which refers to events', k.conname, k.conrelid::pg_catalog.regclass),
    pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I;', pg_catalog.format('%I.%I', kn.nspname, kc.relname), k.conname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_inherits i ON i.inhparent = c.oid
JOIN pg_catalog.pg_constraint k ON k.confrelid IN (c.oid, i.inhrelid) AND k.contype = 'f' AND k.conparentid = 0
JOIN pg_catalog.pg_class kc ON kc.oid = k.conrelid JOIN pg_catalog.pg_namespace kn ON kn.oid = kc.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 GROUP BY k.oid, k.conname, k.conrelid, kn.nspname, kc.relname ORDER BY 1
"#;

/// A trigger of a partition that comes from the whole table is listed once. A disabled one does nothing.
const SIDE_EFFECTS: &str = r#"
WITH tables AS (
    SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = ANY($2)
), named AS (
    SELECT oid, pg_catalog.format('%I.%I', nspname, relname) AS name FROM tables
    UNION ALL SELECT p.oid, pg_catalog.format('%I.%I', n.nspname, p.relname) FROM tables
    JOIN pg_catalog.pg_inherits i ON i.inhparent = tables.oid JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
)
SELECT pg_catalog.format('the trigger %I on %s', t.tgname, named.name),
    pg_catalog.format('DROP TRIGGER %I ON %s;', t.tgname, named.name)
FROM pg_catalog.pg_trigger t JOIN named ON named.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D'
UNION ALL
SELECT pg_catalog.format('the rule %I on %s', r.rulename, named.name),
    pg_catalog.format('DROP RULE %I ON %s;', r.rulename, named.name)
FROM pg_catalog.pg_rewrite r JOIN named ON named.oid = r.ev_class WHERE r.ev_enabled <> 'D'
ORDER BY 1
"#;

/// An object that a partition inherits is listed once. A table with a month's name and the columns of the log is a detached
/// partition. Its bounds follow from its name; `…_before` ends where the first month begins.
const ASK: &str = r#"
WITH events AS (
    SELECT c.oid, n.oid AS schema FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2
), tables AS (
    SELECT oid FROM events UNION ALL SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN events ON events.oid = i.inhparent
    UNION ALL SELECT c.oid FROM pg_catalog.pg_class c JOIN events ON c.relnamespace = events.schema AND c.relname = ANY($3)
), named AS (
    SELECT c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.relrowsecurity
    FROM tables JOIN pg_catalog.pg_class c ON c.oid = tables.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
), strangers AS (
    SELECT c.oid, c.relname, pg_catalog.format('%I.%I', $1, c.relname) AS name,
        pg_catalog.substring(c.relname, pg_catalog.length($2) + 2) AS part,
        c.relkind = 'r' AND (SELECT count(*) = 3 FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND a.attname IN ('event_id', 'created_at', 'event')) AS is_ours
    FROM pg_catalog.pg_class c JOIN events ON c.relnamespace = events.schema
    WHERE NOT c.relispartition AND pg_catalog.starts_with(c.relname, $2)
    AND pg_catalog.substring(c.relname, pg_catalog.length($2) + 1) ~ '^_([0-9]{4}_(0[1-9]|1[0-2])|before)$'
), bounded AS (
    SELECT strangers.*, bound.* FROM strangers CROSS JOIN LATERAL (SELECT CASE WHEN part <> 'before'
        THEN pg_catalog.to_timestamp(part || ' +00', 'YYYY_MM TZH') END AS month) AS month
    CROSS JOIN LATERAL (SELECT
        (pg_catalog.lpad(pg_catalog.to_hex((extract(epoch FROM month) * 1000)::int8), 12, '0')
            || pg_catalog.repeat('0', 20))::uuid::text AS lower,
        (pg_catalog.lpad(pg_catalog.to_hex((extract(epoch FROM (month AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC')
            * 1000)::int8), 12, '0') || pg_catalog.repeat('0', 20))::uuid::text AS upper) AS bound
), months AS (
    SELECT name, relname, is_ours, coalesce(pg_catalog.quote_literal(lower), 'MINVALUE') AS lower, coalesce(upper, least(
        (SELECT min(other.lower) FROM bounded AS other WHERE other.is_ours),
        (SELECT min(pg_catalog.substring(pg_catalog.pg_get_expr(p.relpartbound, p.oid), $re$FROM \('([0-9a-f-]+)'\)$re$))
            FROM pg_catalog.pg_inherits i JOIN events ON events.oid = i.inhparent
            JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid))) AS upper
    FROM bounded
)
SELECT pg_catalog.format('the trigger %I on %s', t.tgname, named.name),
    pg_catalog.format('DROP TRIGGER %I ON %s;', t.tgname, named.name)
FROM pg_catalog.pg_trigger t JOIN named ON named.oid = t.tgrelid WHERE NOT t.tgisinternal AND t.tgparentid = 0
UNION ALL
SELECT pg_catalog.format('the rule %I on %s', r.rulename, named.name),
    pg_catalog.format('DROP RULE %I ON %s;', r.rulename, named.name)
FROM pg_catalog.pg_rewrite r JOIN named ON named.oid = r.ev_class
UNION ALL
SELECT pg_catalog.format('row security on %s', name), pg_catalog.format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY;', name)
FROM named WHERE relrowsecurity
UNION ALL
SELECT pg_catalog.format('the constraint %I on %s', k.conname, named.name),
    pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I;', named.name, k.conname)
FROM pg_catalog.pg_constraint k JOIN named ON named.oid = k.conrelid
WHERE k.contype IN ('c', 'x', 'u') AND k.conislocal AND k.conparentid = 0
UNION ALL
SELECT pg_catalog.format('the foreign key %I on %s', k.conname, named.name),
    pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I;', named.name, k.conname)
FROM pg_catalog.pg_constraint k JOIN named ON named.oid = k.conrelid
WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT EXISTS (SELECT FROM tables WHERE tables.oid = k.confrelid)
UNION ALL
SELECT pg_catalog.format('the events of %s are detached, and nobody sees them', name),
    pg_catalog.format('ALTER TABLE %I.%I ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%L);', $1, $2, name, lower, upper)
FROM months WHERE is_ours AND upper IS NOT NULL
UNION ALL
SELECT pg_catalog.format('%s has the name of a month', name),
    pg_catalog.format('ALTER TABLE %s RENAME TO %I;', name, pg_catalog.left(relname, 57) || '_other')
FROM months WHERE NOT is_ours OR upper IS NULL
"#;

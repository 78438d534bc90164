//! A relation as the server's catalogue has it.

use std::collections::HashMap;

use serde::Deserialize;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::store::StoreError;
use crate::store::postgres::error::DuringOperation as _;
use crate::store::postgres::expected_schema;
use crate::store::postgres::identifiers::Identifiers;

/// A schema and a name in it.
pub(super) type Place = (String, String);

/// A table, an index or a sequence with a name of a log.
pub(super) struct Relation {
    /// `pg_class.relkind`.
    pub(super) kind: char,
    pub(super) columns: Vec<Found>,
    /// The partition key.
    pub(super) partition_key: Option<String>,
    /// The id alone is its primary key.
    pub(super) has_key: bool,
    /// The table that it is a part of, or an index of, or numbers the rows of.
    pub(super) of: Option<Place>,
}

/// A column that there is.
#[derive(Deserialize)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) kind: String,
    /// A row must give a value.
    pub(super) must_be_given: bool,
}

/// Returns the relations that have names of a log, by their names.
pub(super) async fn relations(
    db: &mut PgConnection,
    names: &Identifiers,
    doing: &'static str,
) -> Result<HashMap<String, Relation>, StoreError> {
    let rows =
        sqlx::query(ASK).bind(names.schema()).bind(expected_schema::all(names)).fetch_all(db).await.during(doing)?;
    rows.iter().map(|row| Ok((row.try_get(0).during(doing)?, Relation::of(row, doing)?))).collect()
}

impl Relation {
    fn of(row: &PgRow, doing: &'static str) -> Result<Self, StoreError> {
        let kind: String = row.try_get(1).during(doing)?;
        let columns: String = row.try_get(2).during(doing)?;
        let of: Option<Vec<String>> = row.try_get(5).during(doing)?;
        Ok(Self {
            kind: kind.chars().next().unwrap_or_default(),
            columns: serde_json::from_str(&columns).during(doing)?,
            partition_key: row.try_get(3).during(doing)?,
            has_key: row.try_get(4).during(doing)?,
            of: of.and_then(|of| <[String; 2]>::try_from(of).ok()).map(|[schema, name]| (schema, name)),
        })
    }

    /// Reports that it has this column of this type.
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|found| {
            column.strip_prefix(found.name.as_str()).and_then(|rest| rest.strip_prefix(' ')) == Some(&found.kind)
        })
    }
}

/// A type as it would be declared: with its collation, where that is not the type's own.
const ASK: &str = "SELECT c.relname::text, c.relkind::text, \
    coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname, \
        'kind', pg_catalog.format_type(a.atttypid, a.atttypmod) || \
            CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || pg_catalog.quote_ident(l.collname) ELSE '' END, \
        'must_be_given', a.attnotnull AND NOT a.atthasdef AND a.attidentity = '') ORDER BY a.attnum) \
        FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
        LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]')::text, \
    pg_catalog.pg_get_partkeydef(c.oid), \
    EXISTS (SELECT FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid AND x.indisprimary AND x.indnkeyatts = 1), \
    (SELECT ARRAY[pn.nspname::text, p.relname::text] FROM pg_catalog.pg_class p \
        JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE p.oid = CASE \
        WHEN c.relkind IN ('i', 'I') THEN (SELECT x.indrelid FROM pg_catalog.pg_index x WHERE x.indexrelid = c.oid) \
        WHEN c.relkind = 'S' THEN (SELECT coalesce(\
            (SELECT d.refobjid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
                AND d.objid = c.oid AND d.deptype IN ('a', 'i') \
                AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass LIMIT 1), \
            (SELECT f.adrelid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid \
                WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refobjid = c.oid LIMIT 1))) \
        ELSE (SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid LIMIT 1) END) \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1 AND c.relname = ANY($2)";

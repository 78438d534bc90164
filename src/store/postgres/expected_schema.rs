//! The parts of a log in a database: their names, and the columns by which they are known.

use super::identifiers::{Identifiers, STARTED, VERSION as VERSION_TABLE, WRITERS};

/// Creates every part that is missing, as the owner.
pub(super) const SCHEMA: &str = include_str!("schema.sql");

/// The version of the tables that this program reads and writes.
pub(super) const VERSION: i32 = 1;

/// A column: its name, its type, where in the event its value is, and what a row has that gives none.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    /// The value, computed from the event.
    pub(super) value: &'static str,
    pub(super) is_required: bool,
}

const fn column(name: &'static str, kind: &'static str, is_required: bool, value: &'static str) -> Column {
    Column { name, kind, value, is_required }
}

/// The columns of the events.
pub(super) const COLUMNS: [Column; 23] = [
    column("id", "bigint", true, "pg_catalog.nextval({sequence_text}::pg_catalog.regclass)"),
    column("event_id", "uuid", true, "(event::jsonb ->> 'event_id')::uuid"),
    column("event_type", TEXT, true, "event::jsonb ->> 'event_type'"),
    column("created_at", "timestamp with time zone", true, "(event::jsonb ->> 'created_at')::timestamptz"),
    column("actor_user_email", TEXT, false, "event::jsonb #>> '{actor,user_email}'"),
    column("actor_api_key_hash", TEXT, false, "event::jsonb #>> '{actor,api_key_hash}'"),
    column("actor_remote_addr", TEXT, false, "event::jsonb #>> '{actor,remote_addr}'"),
    column("resource_route", TEXT, false, "event::jsonb #>> '{resource,route}'"),
    column("resource_method", TEXT, false, "event::jsonb #>> '{resource,method}'"),
    column("details", "jsonb", false, "event::jsonb -> 'details'"),
    column("outcome", "integer", false, "(event::jsonb ->> 'outcome')::integer"),
    column("phase", TEXT, true, "coalesce(event::jsonb ->> 'phase', 'completed')"),
    column("event", TEXT, true, "''"),
    column("actor_acting_for", TEXT, false, "event::jsonb #>> '{actor,acting_for}'"),
    column("request_id", TEXT, false, "event::jsonb #>> '{request,request_id}'"),
    column("request_uri", TEXT, false, "event::jsonb #>> '{request,request_uri}'"),
    column("trace_id", TEXT, false, "event::jsonb #>> '{request,trace_id}'"),
    column("domain", TEXT, false, "event::jsonb #>> '{classification,domain}'"),
    column("action", TEXT, false, "event::jsonb #>> '{classification,action}'"),
    column("error", TEXT, false, "event::jsonb #>> '{classification,error}'"),
    column("target_type", TEXT, false, "event::jsonb #>> '{targets,0,type}'"),
    column("target_id", TEXT, false, "event::jsonb #>> '{targets,0,id}'"),
    column(
        "more_targets",
        "text[] COLLATE \"C\"",
        false,
        "(SELECT array_agg((t ->> 'type') || '/' || (t ->> 'id') ORDER BY n) \
         FROM jsonb_array_elements(event::jsonb -> 'targets') WITH ORDINALITY AS targets(t, n) WHERE n > 1)",
    ),
];

const TEXT: &str = "text COLLATE \"C\"";

/// The tables beside that of the events: the ends of their names, and columns that another table of such a name has not.
pub(super) const TABLES_BESIDE: [(&str, &[&str]); 3] = [
    (STARTED, &["event_id uuid", "writer bigint", "event text COLLATE \"C\""]),
    (WRITERS, &["id bigint", "retaken bigint", "has_left boolean"]),
    (VERSION_TABLE, &["one integer", "version integer"]),
];

/// The partition of ids that belong to no other.
pub(super) const DEFAULT: &str = "_default";
/// The key of the events.
pub(super) const KEY: &str = "_idx_event_id";
/// An index of the open events.
pub(super) const OPEN_INDEX: &str = "_started_writer_idx";
/// The partition key, as the server writes it.
pub(super) const PARTITION_KEY: &str = "RANGE (event_id)";

/// An index of the events: the end of its name, its columns, and the rows that are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) suffix: &'static str,
    method: &'static str,
    columns: &'static str,
    /// As the server writes it.
    predicate: Option<&'static str>,
}

impl Index {
    /// The index in a `CREATE INDEX`, after the name of the table. No two entries are equal, so that the server need not
    /// look for equal ones.
    pub(super) fn definition(self) -> String {
        let rows = self.predicate.map(|predicate| format!(" WHERE {predicate}")).unwrap_or_default();
        let storage = if self.method == BTREE { " WITH (deduplicate_items = off)" } else { "" };
        format!("USING {} ({}){storage}{rows}", self.method, self.columns)
    }

    /// Reports that the server's words for an index are those for this one. How it is stored does not matter.
    pub(super) fn is(self, definition: &str) -> bool {
        let Some((_, definition)) = definition.rsplit_once(&format!(" USING {} ", self.method)) else { return false };
        let (head, predicate) = match definition.split_once(" WHERE ") {
            Some((head, predicate)) => (head, Some(predicate)),
            None => (definition, None),
        };
        let columns = head.split_once(" WITH ").map_or(head, |(columns, _)| columns);
        columns.strip_prefix('(').and_then(|columns| columns.strip_suffix(')')) == Some(self.columns)
            && predicate == self.predicate
    }
}

const BTREE: &str = "btree";

const fn index(suffix: &'static str, columns: &'static str, predicate: Option<&'static str>) -> Index {
    Index { suffix, method: BTREE, columns, predicate }
}

/// The indexes of the events. Those with a time end in the order of a listing, so that the first page of a filter and its
/// ten thousandth cost the same.
pub(super) const INDEXES: [Index; 11] = [
    index("_idx_created", "created_at, event_id", None),
    index("_idx_type_created", "event_type, created_at, event_id", None),
    index("_idx_user_created", "actor_user_email, created_at, event_id", Some("(actor_user_email IS NOT NULL)")),
    index("_idx_addr_created", "actor_remote_addr, created_at, event_id", Some("(actor_remote_addr IS NOT NULL)")),
    index("_idx_route_created", "resource_route, created_at, event_id", Some("(resource_route IS NOT NULL)")),
    index("_idx_outcome_created", "outcome, created_at, event_id", Some("(outcome IS NOT NULL)")),
    // Nearly every event is `completed`: that listing is the whole one.
    index("_idx_phase_created", "phase, created_at, event_id", Some("(phase <> 'completed'::text)")),
    // Short digests of long values. A hash index would be smaller, but each insert of a value walks over all pages with that
    // value, and clients choose request ids.
    index("_idx_request", "hashtextextended(request_id, (0)::bigint), created_at", Some("(request_id IS NOT NULL)")),
    index("_idx_trace", "hashtextextended(trace_id, (0)::bigint), created_at", Some("(trace_id IS NOT NULL)")),
    index(
        "_idx_target",
        "hashtextextended(((target_type || '/'::text) || target_id), (0)::bigint), created_at",
        Some("(target_id IS NOT NULL)"),
    ),
    Index {
        suffix: "_idx_more_targets",
        method: "gin",
        columns: "more_targets",
        predicate: Some("(more_targets IS NOT NULL)"),
    },
];

/// The bare names that a log needs and another application may have taken, without the monthly partitions.
pub(super) fn all(names: &Identifiers) -> Vec<String> {
    let beside = TABLES_BESIDE.iter().map(|(suffix, _)| *suffix).chain(["", DEFAULT, KEY, OPEN_INDEX]);
    let indexes = INDEXES.iter().map(|index| index.suffix);
    beside.chain(indexes).map(|suffix| names.unquoted(suffix)).chain([names.bare_sequence()]).collect()
}

/// Revokes the rights to new tables that the owner's default privileges gave to others.
pub(super) fn revoke(names: &Identifiers, made: &[String]) -> String {
    let made = made.iter().map(|name| super::identifiers::quote_literal(name)).collect::<Vec<_>>().join(", ");
    names.expand(REVOKE).replace("{made}", &made)
}

const REVOKE: &str = r#"
DO {body}
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
            pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
                AS grantee
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN pg_catalog.aclexplode(c.relacl) a
        WHERE n.nspname = {schema_text} AND a.grantee <> c.relowner AND c.relname = ANY (ARRAY[{made}]::text[])
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON %s %s FROM %s', given.kind, given.name, given.grantee);
    END LOOP;
END
{body};
"#;

#[cfg(test)]
mod tests {
    use super::super::event_columns::FIRST_TARGET;
    use super::*;

    #[test]
    fn an_index_is_known_by_what_is_in_it() {
        let by_user = INDEXES[2];
        let server = |what: &str| format!("CREATE INDEX i ON ONLY public.audit_events USING btree {what}");
        let predicate = "WHERE (actor_user_email IS NOT NULL)";
        assert!(by_user.is(&server(&format!(
            "(actor_user_email, created_at, event_id) WITH (deduplicate_items=off) {predicate}"
        ))));
        assert!(by_user.is(&server(&format!("(actor_user_email, created_at, event_id) {predicate}"))));
        for other in [
            format!("(actor_user_email, created_at) {predicate}"),
            format!("(actor_user_email, created_at DESC, event_id) {predicate}"),
            "(actor_user_email, created_at, event_id)".to_owned(),
            "(actor_user_email, created_at, event_id) WHERE (outcome = 1)".to_owned(),
            format!("(actor_user_email, created_at, event_id) INCLUDE (event) {predicate}"),
        ] {
            assert!(!by_user.is(&server(&other)), "{other}");
        }
        let asks = |index: &Index| index.definition().contains(FIRST_TARGET);
        assert!(INDEXES.iter().any(asks), "a filter asks for what is indexed");
        assert!(!by_user.is("CREATE INDEX i ON ONLY public.audit_events USING hash (actor_user_email)"));
    }

    #[test]
    fn every_name_in_the_statements_is_filled_in() {
        let names = Identifiers::new("it's \"quoted\"", "log", None).unwrap();
        for filled in [names.expand(SCHEMA).replace("{version}", "1"), revoke(&names, &all(&names))] {
            assert!(!filled.contains(['{', '}']), "{filled}");
        }
    }
}

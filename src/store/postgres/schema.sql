-- All that a log is made of. Done again, it makes what is missing and leaves the rest: so whoever lost a table gets it back
-- by the command that makes all of them.
--
-- Text is compared byte by byte, whatever the database's language is. Numbers for `id` are taken by the block: what is
-- left of a block when a session ends is never used. `phase` and `event` have defaults for other programs that insert into
-- the older columns: an event that is empty is read from the columns.

SET LOCAL client_min_messages = warning;
CREATE SEQUENCE IF NOT EXISTS {sequence} AS bigint CACHE 64;
ALTER SEQUENCE {sequence} AS bigint CACHE 64;
CREATE TABLE IF NOT EXISTS {table}(
    id bigint NOT NULL,
    event_id uuid NOT NULL CONSTRAINT "{bare}_idx_event_id" PRIMARY KEY,
    event_type text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    actor_user_email text COLLATE "C",
    actor_api_key_hash text COLLATE "C",
    actor_remote_addr text COLLATE "C",
    resource_route text COLLATE "C",
    resource_method text COLLATE "C",
    details jsonb,
    outcome integer,
    phase text COLLATE "C" NOT NULL,
    event text COLLATE "C" NOT NULL,
    actor_acting_for text COLLATE "C",
    request_id text COLLATE "C",
    request_uri text COLLATE "C",
    trace_id text COLLATE "C",
    domain text COLLATE "C",
    action text COLLATE "C",
    error text COLLATE "C",
    target_type text COLLATE "C",
    target_id text COLLATE "C",
    more_targets text[] COLLATE "C"
) PARTITION BY RANGE (event_id);
ALTER TABLE {table} ALTER COLUMN id SET DEFAULT pg_catalog.nextval({sequence_text}::pg_catalog.regclass),
    ALTER COLUMN phase SET DEFAULT 'completed', ALTER COLUMN event SET DEFAULT '';
ALTER SEQUENCE {sequence} OWNED BY {table}.id;
CREATE TABLE IF NOT EXISTS {table_default} PARTITION OF {table} DEFAULT;
CREATE TABLE IF NOT EXISTS {table_writers}(
    id bigint PRIMARY KEY,
    retaken bigint NOT NULL DEFAULT 0,
    has_left boolean NOT NULL DEFAULT false);
CREATE TABLE IF NOT EXISTS {table_started}(
    event_id uuid PRIMARY KEY,
    writer bigint NOT NULL REFERENCES {table_writers}(id),
    event text COLLATE "C" NOT NULL);
CREATE INDEX IF NOT EXISTS "{bare}_started_writer_idx" ON {table_started}(writer);
CREATE TABLE IF NOT EXISTS {table_version}(one integer PRIMARY KEY CHECK (one = 1), version integer NOT NULL);
INSERT INTO {table_version} VALUES (1, {version}) ON CONFLICT DO NOTHING;

-- The making and the dropping of months, for roles that own nothing: functions that do this one thing as the owner.
--
-- What whoever calls them has set, or made in temporary tables, does not reach them: every name has its schema, what
-- looks for names looks into pg_catalog first, and what else a session can set that a statement here depends on is set.
-- No text that a caller gives becomes part of a statement.

DROP FUNCTION IF EXISTS {table_create_partition}();
DROP FUNCTION IF EXISTS {table_drop_partition}(pg_catalog.timestamptz);

-- Makes one partition that is missing of this month, the three after it, and of all that is older than the first, and
-- says whether it made one: then there may be another. What stands in the way for now is no error.
--
-- It is made beside the table and then attached: that locks out nobody who appends or reads but for the default
-- partition, and that only for as long as it takes to look for rows that belong into the new one, and to move them.
CREATE FUNCTION {table_create_partition}() RETURNS pg_catalog.bool
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
SET default_tablespace = ''
SET default_table_access_method = heap
AS {body}
DECLARE
    most_moved CONSTANT bigint := 20000;
    this_month CONSTANT timestamp := date_trunc('month', statement_timestamp() AT TIME ZONE 'UTC');
    events_table CONSTANT text := format('%I.%I', {schema_text}, {bare_text});
    default_table CONSTANT text := format('%I.%I', {schema_text}, {bare_text} || '_default');
    month timestamp;
    name text;
    partition text;
    lower text;
    upper text;
    belongs text;
    misplaced bigint;
    grantee text;
BEGIN
    PERFORM pg_advisory_xact_lock({lock_key});
    FOR ahead IN -1..3 LOOP
        month := this_month + ahead * interval '1 month';
        name := {bare_text} || CASE ahead WHEN -1 THEN '_before' ELSE to_char(month, '"_"YYYY"_"MM') END;
        -- What is older than the first month has a place when there is a first month.
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
            WHERE i.inhparent = events_table::regclass AND CASE ahead
                WHEN -1 THEN p.oid <> default_table::regclass
                ELSE p.relname = name AND p.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = i.inhparent)
            END);
        -- An id begins with the milliseconds of its time.
        lower := lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0') || repeat('0', 20);
        upper := lpad(to_hex((extract(epoch FROM month + interval '1 month') * 1000)::bigint), 12, '0') || repeat('0', 20);
        belongs := format('event_id < %L', upper::uuid);
        IF ahead >= 0 THEN
            belongs := format('event_id >= %L AND %s', lower::uuid, belongs);
        END IF;
        partition := format('%I.%I', {schema_text}, name);
        BEGIN
            EXECUTE format('SELECT count(*) FROM (SELECT FROM %s WHERE %s LIMIT %s) AS misplaced', default_table, belongs, most_moved + 1)
                INTO misplaced;
            IF misplaced > most_moved THEN
                RAISE WARNING 'the default partition has too many events to make % of them', name;
                CONTINUE;
            END IF;
            EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition, events_table);
            -- Default privileges of the owner are not meant for this.
            FOR grantee IN
                SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
                FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
                WHERE c.oid = partition::regclass AND a.grantee <> c.relowner
            LOOP
                EXECUTE format('REVOKE ALL ON %s FROM %s', partition, grantee);
            END LOOP;
            IF misplaced > 0 THEN
                EXECUTE format('WITH moved AS (DELETE FROM %s WHERE %s RETURNING *) INSERT INTO %s SELECT * FROM moved',
                    default_table, belongs, partition);
            END IF;
            EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%L)', events_table, partition,
                CASE ahead WHEN -1 THEN 'MINVALUE' ELSE quote_literal(lower::uuid) END, upper::uuid);
            RETURN true;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected OR check_violation THEN
                -- Somebody was in the way, or faster.
                RAISE DEBUG 'not made: %: %', name, SQLERRM;
            WHEN duplicate_table OR invalid_object_definition THEN
                RAISE WARNING 'another table is where % should be: %', name, SQLERRM;
        END;
    END LOOP;
    RETURN false;
EXCEPTION
    -- Another is making months, or changing the tables.
    WHEN lock_not_available THEN RETURN false;
END
{body};

-- Drops the earliest month that had ended before this moment, if every event in it is older, and says how many there
-- were; nothing, if there is no such month, or somebody is in the way for now.
--
-- Writers to this very partition are locked out first, so that what is counted is what is dropped. The lock that stops
-- everyone is asked for last, is not waited for for long, and is held for no more than the change of the catalog.
CREATE FUNCTION {table_drop_partition}(before pg_catalog.timestamptz) RETURNS pg_catalog.int8
LANGUAGE plpgsql STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '500ms'
AS {body}
DECLARE
    events_table CONSTANT text := format('%I.%I', {schema_text}, {bare_text});
    -- Names of one length sort as their months do.
    newest CONSTANT text := {bare_text} || to_char(before AT TIME ZONE 'UTC', '"_"YYYY"_"MM');
    partition text;
    is_new boolean;
    events bigint;
BEGIN
    FOR partition IN
        SELECT format('%I.%I', {schema_text}, p.relname)
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent
        JOIN pg_class p ON p.oid = i.inhrelid AND p.relnamespace = c.relnamespace
        WHERE c.oid = events_table::regclass AND p.relname ~ '_[0-9][0-9][0-9][0-9]_[0-9][0-9]$'
        AND length(p.relname) = length(newest) AND p.relname::text COLLATE "C" < newest
        ORDER BY p.relname::text COLLATE "C"
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE created_at >= $1)', partition) INTO is_new USING before;
        CONTINUE WHEN is_new;
        BEGIN
            EXECUTE format('LOCK TABLE %s IN SHARE MODE', partition);
            EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE created_at >= $1)', partition) INTO is_new USING before;
            CONTINUE WHEN is_new;
            EXECUTE format('SELECT count(*) FROM %s', partition) INTO events;
            EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', events_table, partition);
            EXECUTE format('DROP TABLE %s', partition);
            RETURN events;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE DEBUG 'not dropped: %: %', partition, SQLERRM;
        END;
    END LOOP;
    RETURN NULL;
END
{body};

-- They do it as whoever owns the table, whoever made them; and nobody may call them who was not told so.
DO {body}
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT p.oid::regprocedure AS name, pg_get_userbyid(c.relowner) AS owner
        FROM pg_class c JOIN pg_proc p ON p.pronamespace = c.relnamespace
        WHERE c.oid = format('%I.%I', {schema_text}, {bare_text})::regclass
        AND p.proname IN ({bare_text} || '_create_partition', {bare_text} || '_drop_partition')
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO %I', made.name, made.owner);
    END LOOP;
    FOR made IN
        SELECT DISTINCT p.oid::regprocedure AS name,
            CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
        FROM pg_class c JOIN pg_proc p ON p.pronamespace = c.relnamespace
        CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        WHERE c.oid = format('%I.%I', {schema_text}, {bare_text})::regclass
        AND p.proname IN ({bare_text} || '_create_partition', {bare_text} || '_drop_partition') AND a.grantee <> p.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', made.name, made.grantee);
    END LOOP;
END
{body};

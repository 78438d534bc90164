#!/bin/sh
# What reading many events costs: pages by filter, counts and top values, and the export of everything.
#
#     benches/reading.sh                  five million events, on SQLite and on a private PostgreSQL; the other stores are mariadb and mongodb
#     benches/reading.sh --events 100000 --stores sqlite
#     benches/reading.sh --events 500000 --stores "mariadb mongodb"
# Further: --dir DIR (where the databases go and stay: a temporary directory, unless a filled one is to be kept).
#
# On PostgreSQL the events lie in a partition for each month, as they do when a service has written them all along.
# What a purge does to writers: benches/load.sh --prefill 5000000 --purge, with --postgres for the other store.
set -eu
events=5000000 stores='sqlite postgres' dir=''
while [ $# -gt 0 ]; do
    case $1 in
        --events) events=$2; shift ;;
        --stores) stores=$2; shift ;;
        --dir) dir=$2; shift ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
    esac
    shift
done
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
. benches/support/postgres.sh
. benches/support/servers.sh
cargo build --quiet --release --features cli,api,postgres --example reference --example query_latency --example fill \
    --bin tower-audit
target=${CARGO_TARGET_DIR:-target}/release
work=${dir:-$(mktemp -d)}
# The server's account must get through to its folder.
chmod a+x "$work"
serving=''
trap 'stop; stop_postgres; stop_servers; [ -n "$dir" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

stop() {
    [ -n "$serving" ] || return 0
    kill "$serving" 2>/dev/null || true
    wait "$serving" 2>/dev/null || true
    serving=''
}

# A partition for each of the months that are filled, in the place of the one for all that is old.
months() { # DATABASE
    sql "$1" "
        DO \$\$
        DECLARE
            this timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
            month timestamp;
        BEGIN
            DROP TABLE audit_events_before;
            FOR month IN SELECT generate_series(this - interval '17 months', this - interval '1 month', '1 month') LOOP
                EXECUTE format('CREATE TABLE %I PARTITION OF audit_events FOR VALUES FROM (%L) TO (%L)',
                    'audit_events_' || to_char(month, 'YYYY_MM'),
                    -- The first id of the month, and of the one after it: 48 bits of milliseconds and zeros.
                    rpad(lpad(to_hex((extract(epoch FROM month) * 1000)::bigint), 12, '0'), 32, '0')::uuid,
                    rpad(lpad(to_hex((extract(epoch FROM month + interval '1 month') * 1000)::bigint), 12, '0'), 32, '0')::uuid);
            END LOOP;
        END \$\$"
}

fill_sqlite() {
    url=sqlite:$work/reading-$events.db
    [ -e "$work/reading-$events.db.complete" ] && return
    rm -f "$work/reading-$events.db" "$work/reading-$events.db"-*
    "$target/examples/fill" "$url" "$events"
    : >"$work/reading-$events.db.complete"
}

fill_postgres() {
    mkdir -p "$work/pg"
    start_postgres "$work/pg"
    url=$postgres/reading_$events
    [ -e "$work/reading-$events.pg.complete" ] && return
    sql postgres "DROP DATABASE IF EXISTS reading_$events"
    sql postgres "CREATE DATABASE reading_$events"
    "$target/tower-audit" ensure-indexes --url "$url"
    months "reading_$events"
    "$target/examples/fill" "$url" "$events"
    sql "reading_$events" 'VACUUM ANALYZE audit_events'
    : >"$work/reading-$events.pg.complete"
}

# All of these events lie in the partition of what is older than the first month that a log makes.
fill_mariadb() {
    mkdir -p "$work/mariadb"
    start_mariadb "$work/mariadb"
    url=$mariadb/reading_$events
    [ -e "$work/reading-$events.mariadb.complete" ] && return
    mariadb_sql '' "DROP DATABASE IF EXISTS reading_$events; CREATE DATABASE reading_$events"
    "$target/examples/fill" "$url" "$events"
    mariadb_sql "reading_$events" 'ANALYZE TABLE audit_events' >/dev/null
    : >"$work/reading-$events.mariadb.complete"
}

# A server that stands in for MongoDB: its times say how many documents are read, not how fast MongoDB is.
fill_mongodb() {
    mkdir -p "$work/mongodb"
    start_mongodb "$work/mongodb"
    url="$mongodb/reading_$events?directConnection=true"
    [ -e "$work/reading-$events.mongodb.complete" ] && return
    rm -rf "$work/mongodb/data"
    stop_servers
    start_mongodb "$work/mongodb"
    url="$mongodb/reading_$events?directConnection=true"
    "$target/examples/fill" "$url" "$events"
    : >"$work/reading-$events.mongodb.complete"
}

# Runs a program that reads all, and says how fast, with the most memory that it had. What it printed is counted.
measure() { # NAME COMMAND...
    name=$1
    shift
    python3 - "$name" "$events" "$@" <<'PYTHON'
import os, resource, subprocess, sys, time
name, events, *command = sys.argv[1:]
begin, lines = time.time(), 0
with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
    while chunk := running.stdout.read(1 << 20):
        lines += chunk.count(b"\n")
spent = time.time() - begin
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
if running.returncode != 0 or lines < int(events):
    sys.exit(f"{name}: {lines} lines, exit {running.returncode}")
print(f"{name:20} {lines / spent:9.0f} events/s {spent:7.1f} s, peak {peak} MB of {command[0].split('/')[-1]}")
PYTHON
}

for store in $stores; do
    echo "== $store, $events events"
    "fill_$store"
    "$target/examples/query_latency" "$url"
    measure 'tower-audit export' "$target/tower-audit" export --url "$url" --format jsonl
    measure 'query --limit 0' "$target/tower-audit" query --url "$url" --limit 0 --format jsonl
    AUDIT_URL=$url LISTEN=127.0.0.1:0 "$target/examples/reference" 2>"$work/said" &
    serving=$!
    address=''
    while [ -z "$address" ] && kill -0 $serving; do address=$(sed -n 's/^listening on //p' "$work/said"); done
    for format in jsonl csv; do
        measure "GET /export $format" \
            curl -sSf -H 'Authorization: Bearer admin-token' "$address/audit/export?format=$format"
    done
    echo "the server's peak: $(sed -n 's/^VmHWM: *//p' /proc/$serving/status)"
    stop
done

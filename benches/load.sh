#!/bin/sh
# The price of auditing under load: the app of examples/reference.rs, driven by wrk on POST /scans.
#
#     benches/load.sh                     bare, audited and naive, at 1, 64 and 256 connections
#     benches/load.sh --postgres          the same on a private PostgreSQL: bare, audited-pg and naive-pg
#     benches/load.sh --work 1            the same with a handler that works 1 ms
#     benches/load.sh --prefill 5000000   audited, with so many events stored, against an empty store
#     benches/load.sh --prefill 5000000 --purge
#                                         what writers notice while a fifth of the events is purged
#     benches/load.sh --prefill 5000000 --rotate
#                                         the same while the log is rotated down to four fifths of them
# Kinds: bare audited naive, audited-jsonl, audited-duckdb (DUCKDB_LIBRARY names its library), spooled-pg (a spool in front of PostgreSQL), audited-pg naive-pg, audited-mysql naive-mysql, audited-mongodb naive-mongodb, audited-nats naive-nats (one
# publication a request), sealed and sealed-pg, whose server seals its log, targeted and targeted-pg, whose events name a target, filled and filled-pg (with --prefill), memory, which is layer and
# writer without a disk, and lean-pg, which is audited-pg without the indexes that naive-pg does not have. A kind and a number, as in audited-pg:3, is so many servers on one store, each with connections
# of its own: their rates are summed. Servers are private: MariaDB, a stand-in for MongoDB, and three of JetStream that sync each write.
# Further: --rounds N (5), --seconds N (5) for each measurement, --connections "1 64 256", --kinds "bare audited naive",
# --days N (500), over which the events of the prefill are spread,
# --dir DIR (where the databases go: a temporary directory, unless the filled one is to be kept for the next run).
#
# Generator, server and disk share one machine, so only ratios mean something: the kinds take turns within each round,
# and what is printed are medians over the rounds.
set -eu
rounds=5 seconds=5 connections='1 64 256' kinds='' prefill=0 days=500 purge='' query='' dir='' on=''
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=$2; shift ;;
        --seconds) seconds=$2; shift ;;
        --connections) connections=$2; shift ;;
        --kinds) kinds=$2; shift ;;
        --postgres) on=-pg ;;
        --work) query="&sleep_ms=$2"; shift ;;
        --prefill) prefill=$2; shift ;;
        --days) days=$2; shift ;;
        --purge) purge='purge --older-than 400d' ;;
        --rotate) purge=rotate ;;
        --dir) dir=$2; shift ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
    esac
    shift
done
if [ -z "$kinds" ]; then
    [ "$prefill" -eq 0 ] && kinds="bare audited$on naive$on" || kinds="audited$on filled$on"
fi
command -v wrk >/dev/null || { echo 'wrk is missing' >&2; exit 69; }
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
. benches/support/postgres.sh
. benches/support/servers.sh
cargo build --quiet --release --features cli,api,jsonl,postgres --example reference --example naive --example fill \
    --bin tower-audit
target=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d ${dir:+-p "$dir"})
cluster=''
servers=''
trap 'stop; stop_postgres; stop_servers; rm -rf "$work"; [ -n "$dir" ] || [ -z "$cluster" ] || rm -rf "$cluster"' EXIT
trap 'exit 130' INT TERM

case "$kinds " in
    *-pg*)
        # Outside of `work`, which is closed to the account that the server runs as.
        cluster=${dir:+$dir/postgres}
        [ -n "$cluster" ] || cluster=$(mktemp -d)
        mkdir -p "$cluster"
        start_postgres "$cluster" ;;
esac
# The server's account must get through to its folder.
chmod a+x "$work"
for server in mysql mongodb nats; do
    case "$kinds " in
        *-$server*)
            mkdir "$work/$server"
            case $server in
                mysql) start_mariadb "$work/$server" ;;
                mongodb) start_mongodb "$work/$server" ;;
                nats) start_nats "$work/$server" ;;
            esac ;;
    esac
done
fresh=0

# Starts so many servers of this kind over one store of their own and sets `addresses`.
start() { # KIND[:SERVERS]
    sort=${1%:*}
    # Both have a query of one parameter, so that the target alone makes the difference.
    case $sort in
        targeted*) parameter='scan=7' ;;
        *) parameter='step=7' ;;
    esac
    rm -rf "$work/store"
    mkdir "$work/store"
    # What the one before left to do (an autovacuum of its tables, pages to be written) is not charged to this one.
    case $sort in
        *-pg) sql postgres 'DROP DATABASE IF EXISTS empty' ;;
        *-mysql) mariadb_sql '' 'DROP DATABASE IF EXISTS empty; CREATE DATABASE empty' ;;
        # A name of its own each time: nothing is deleted while others are measured.
        *-mongodb | *-nats) fresh=$((fresh + 1)) ;;
    esac
    case $sort in
        audited-pg | sealed-pg | targeted-pg | naive-pg | lean-pg | spooled-pg) sql postgres 'CREATE DATABASE empty' ;;
        filled-pg) sql postgres 'CHECKPOINT' ;;
    esac
    if [ "$sort" = lean-pg ]; then
        "$target/tower-audit" ensure-indexes --url "$postgres/empty" >/dev/null
        for column in addr route outcome phase; do sql empty "DROP INDEX audit_events_idx_${column}_created"; done
    fi
    seal_key=''
    case $sort in
        sealed*)
            seal_key=$work/store/key
            "$target/tower-audit" keygen "$seal_key" --origin example.com/load >/dev/null ;;
    esac
    addresses=''
    server=0
    while [ $server -lt "$(expr "$1" : '.*:\([0-9]*\)' \| 1)" ]; do
        server=$((server + 1))
        start_one "$sort"
    done
}

start_one() {
    : >"$work/said"
    case $1 in
        bare) url='' ;;
        memory) url='memory:' ;;
        audited | sealed | targeted) url="sqlite:$work/store/audit.db" ;;
        audited-jsonl) url="jsonl:$work/store/audit.jsonl" ;;
        audited-duckdb) url="duckdb:$work/store/audit.duckdb?library=${DUCKDB_LIBRARY:-libduckdb.so}" ;;
        spooled-pg) url="spool:$work/store/spool?to=$postgres/empty" ;;
        filled) url="sqlite:$filled" ;;
        naive) url="sqlite:$work/store/naive.db" ;;
        audited-pg | sealed-pg | targeted-pg | naive-pg | lean-pg) url="$postgres/empty" ;;
        audited-mysql | naive-mysql) url="$mariadb/empty" ;;
        audited-mongodb | naive-mongodb) url="$mongodb/empty$fresh?directConnection=true" ;;
        audited-nats) url="nats://app:app@$nats?system_user=sys&system_password=sys&stream=LOAD$fresh&subject=load$fresh" ;;
        naive-nats) url="nats://app:app@$nats" ;;
        filled-pg) url="$postgres/$filled_pg" ;;
        *) echo "there is no kind $1" >&2; exit 64 ;;
    esac
    case $1 in
        naive*) DATABASE=$url LISTEN=127.0.0.1:0 "$target/examples/naive" 2>"$work/said" & ;;
        *)
            [ -z "$seal_key" ] || export SEAL_KEY="$seal_key"
            AUDIT_URL=$url LISTEN=127.0.0.1:0 "$target/examples/reference" 2>"$work/said" &
            unset SEAL_KEY ;;
    esac
    servers="$servers $!"
    for _ in $(seq 100); do
        address=$(sed -n 's/^listening on //p' "$work/said")
        if [ -n "$address" ]; then
            addresses="$addresses $address"
            return
        fi
        sleep 0.1
    done
    cat "$work/said" >&2
    exit 1
}

stop() {
    for server in $servers; do kill "$server" 2>/dev/null || true; done
    for server in $servers; do wait "$server" 2>/dev/null || true; done
    servers=''
}

# Drives each server with so many connections for so long: "requests/s p50 p99 failed", times in milliseconds. Of
# several servers, the sum of the rates and the worst of the times.
drive() {
    threads=2
    [ "$1" -ge 2 ] || threads=1
    : >"$work/found"
    driving=''
    for address in $addresses; do
        timeout $(($2 + 30)) wrk -t "$threads" -c "$1" -d "${2}s" -s benches/load.lua "$address/scans?$parameter$query" \
            >>"$work/found" &
        driving="$driving $!"
    done
    for one in $driving; do wait "$one"; done
    awk '/^FOUND/ {r += $2; if ($3 > p50) p50 = $3; if ($4 > p99) p99 = $4; f += $5} END {print r, p50, p99, f + 0}' \
        "$work/found"
}

median() { # FILE COLUMN
    awk -v column="$2" '{print $column}' "$1" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.3f", (b > 0 ? a / b : 0)}'; }

if [ "$prefill" -gt 0 ] && [ "${kinds#*filled}" != "$kinds" ]; then
    case "$kinds " in
        *'filled-pg'*)
            filled_pg=filled_${prefill}_$days
            if [ ! -e "$cluster/$filled_pg.complete" ]; then
                sql postgres "DROP DATABASE IF EXISTS $filled_pg"
                sql postgres "CREATE DATABASE $filled_pg"
                timeout 7200 "$target/examples/fill" "$postgres/$filled_pg" "$prefill" "$days"
                # As an old database is: its statistics made, its pages seen by the server's housekeeping.
                sql "$filled_pg" 'VACUUM ANALYZE'
                : >"$cluster/$filled_pg.complete"
            fi ;;
    esac
    case "$kinds " in
        *'filled '*)
            filled=${dir:-$work}/filled-$prefill.db
            if [ ! -e "$filled.complete" ]; then
                rm -f "$filled" "$filled"-*
                timeout 3600 "$target/examples/fill" "sqlite:$filled" "$prefill" "$days"
                : >"$filled.complete"
            fi ;;
    esac
fi

if [ "$purge" = rotate ]; then
    purge="rotate --high-watermark $((prefill / 10 * 9)) --low-watermark $((prefill / 10 * 8))"
fi
if [ -n "$purge" ]; then
    # What is purged is gone: the next run fills anew.
    if [ -n "$on" ]; then
        rm -f "$cluster/$filled_pg.complete"
        url=$postgres/$filled_pg
    else
        rm -f "$filled.complete"
        url=sqlite:$filled
    fi
    start "filled$on"
    drive 64 2 >/dev/null
    # Half of the quiet rounds come before, half after, so that a machine that slows down does not look like the purge.
    for _ in $(seq "$rounds"); do drive 64 "$seconds"; done >"$work/quiet"
    began=$(date +%s)
    # shellcheck disable=SC2086 # its words
    timeout 3000 "$target/tower-audit" $purge --url "$url" >"$work/purged" &
    purging=$!
    while kill -0 "$purging" 2>/dev/null; do drive 64 "$seconds"; done >"$work/purge"
    wait "$purging" || echo "\`$purge\` stopped early" >&2
    spent=$(($(date +%s) - began))
    # The last one may have been quiet in part.
    sed -i '$d' "$work/purge"
    for _ in $(seq "$rounds"); do drive 64 "$seconds"; done >>"$work/quiet"
    stop
    echo "\`$purge\` of $prefill events in about $spent s: $(cat "$work/purged")"
    printf '%-8s %10s %9s %9s %9s %7s\n' 64 req/s p50 p99 'worst p99' failed
    for phase in quiet purge; do
        printf '%-8s %10s %9s %9s %9s %7s\n' $phase "$(median "$work/$phase" 1)" "$(median "$work/$phase" 2)" \
            "$(median "$work/$phase" 3)" "$(awk '$3 > m {m = $3} END {print m}' "$work/$phase")" \
            "$(awk '{n += $4} END {print n}' "$work/$phase")"
    done
    echo "p99 meanwhile ÷ quiet: $(ratio "$(median "$work/purge" 3)" "$(median "$work/quiet" 3)") (goal: <= 2)"
    exit
fi

for round in $(seq "$rounds"); do
    for count in $connections; do
        for kind in $kinds; do
            start "$kind"
            drive "$count" 1 >/dev/null
            drive "$count" "$seconds" >>"$work/$kind.$count"
            stop
        done
    done
    echo "round $round of $rounds" >&2
done

printf '%5s %-12s %10s %9s %9s %7s\n' conns kind req/s p50 p99 failed
for count in $connections; do
    for kind in $kinds; do
        found=$work/$kind.$count
        printf '%5s %-12s %10s %9s %9s %7s\n' "$count" "$kind" "$(median "$found" 1)" "$(median "$found" 2)" \
            "$(median "$found" 3)" "$(awk '{n += $4} END {print n}' "$found")"
    done
    for pair in memory/bare audited/bare sealed/audited sealed-pg/audited-pg targeted/audited targeted-pg/audited-pg audited/naive filled/audited audited-pg/bare audited-pg/naive-pg \
        audited-jsonl/bare audited-duckdb/bare spooled-pg/bare spooled-pg/audited-jsonl \
        audited-mysql/bare audited-mysql/naive-mysql audited-mongodb/bare audited-mongodb/naive-mongodb audited-nats/bare audited-nats/naive-nats \
        lean-pg/naive-pg filled-pg/audited-pg audited-pg:2/audited-pg audited-pg:3/audited-pg; do
        above=$work/${pair%/*}.$count below=$work/${pair#*/}.$count
        if [ -e "$above" ] && [ -e "$below" ]; then
            # The ratio of each round, and of those the median: what slows a whole round down cancels out.
            paste -d' ' "$above" "$below" | awk '$5 > 0 {print $1 / $5}' >"$work/ratios"
            printf '%5s %s ÷ %s: %.3f\n' "$count" "${pair%/*}" "${pair#*/}" "$(median "$work/ratios" 1)"
        fi
    done
done

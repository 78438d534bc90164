#!/bin/sh
# The price of auditing under load: the app of examples/reference.rs, driven by wrk on POST /scans.
#
#     benches/load.sh                     bare, audited and naive, at 1, 64 and 256 connections
#     benches/load.sh --work 1            the same with a handler that works 1 ms
#     benches/load.sh --prefill 5000000   audited, with so many events stored, against an empty store
#     benches/load.sh --prefill 5000000 --purge
#                                         what writers notice while a fifth of the events is purged
# Further: --rounds N (5), --seconds N (5) for each measurement, --connections "1 64 256", --kinds "bare audited naive"
# (also: memory, which is layer and writer without a disk),
# --dir DIR (where the databases go: a temporary directory, unless the filled one is to be kept for the next run).
#
# Generator, server and disk share one machine, so only ratios mean something: the kinds take turns within each round,
# and what is printed are medians over the rounds.
set -eu
rounds=5 seconds=5 connections='1 64 256' kinds='bare audited naive' kinds_given=no prefill=0 purge=no query='' dir=''
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=$2; shift ;;
        --seconds) seconds=$2; shift ;;
        --connections) connections=$2; shift ;;
        --kinds) kinds=$2 kinds_given=yes; shift ;;
        --work) query="?sleep_ms=$2"; shift ;;
        --prefill) prefill=$2; shift ;;
        --purge) purge=yes ;;
        --dir) dir=$2; shift ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
    esac
    shift
done
[ "$prefill" -eq 0 ] || [ $kinds_given = yes ] || kinds='audited filled'
command -v wrk >/dev/null || { echo 'wrk is missing' >&2; exit 69; }
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
cargo build --quiet --release --features cli,router --example reference --example naive --example fill --bin tower-audit
target=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d ${dir:+-p "$dir"})
server=''
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Starts a server of this kind over a store of its own and sets `address`.
start() {
    rm -rf "$work/store"
    mkdir "$work/store"
    : >"$work/said"
    case $1 in
        bare) AUDIT_URL='' LISTEN=127.0.0.1:0 "$target/examples/reference" 2>"$work/said" & ;;
        memory) AUDIT_URL='memory:' LISTEN=127.0.0.1:0 "$target/examples/reference" 2>"$work/said" & ;;
        audited) AUDIT_URL="sqlite:$work/store/audit.db" LISTEN=127.0.0.1:0 "$target/examples/reference" 2>"$work/said" & ;;
        filled) AUDIT_URL="sqlite:$filled" LISTEN=127.0.0.1:0 "$target/examples/reference" 2>"$work/said" & ;;
        naive) DATABASE="$work/store/naive.db" LISTEN=127.0.0.1:0 "$target/examples/naive" 2>"$work/said" & ;;
    esac
    server=$!
    address=''
    for _ in $(seq 100); do
        address=$(sed -n 's/^listening on //p' "$work/said")
        [ -n "$address" ] && return
        sleep 0.1
    done
    cat "$work/said" >&2
    exit 1
}

stop() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=''
}

# Drives the server with so many connections for so long: "requests/s p50 p99 failed", times in milliseconds.
drive() {
    threads=2
    [ "$1" -ge 2 ] || threads=1
    timeout $(($2 + 30)) wrk -t "$threads" -c "$1" -d "${2}s" -s benches/load.lua "$address/scans$query" |
        sed -n 's/^FOUND //p'
}

median() { # FILE COLUMN
    awk -v column="$2" '{print $column}' "$1" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.3f", (b > 0 ? a / b : 0)}'; }

if [ "$prefill" -gt 0 ]; then
    filled=${dir:-$work}/filled-$prefill.db
    if [ ! -e "$filled.complete" ]; then
        rm -f "$filled" "$filled"-*
        timeout 3600 "$target/examples/fill" "sqlite:$filled" "$prefill"
        : >"$filled.complete"
    fi
fi

if [ "$purge" = yes ]; then
    # What is purged is gone: the next run fills anew.
    rm -f "$filled.complete"
    start filled
    drive 64 2 >/dev/null
    # Half of the quiet rounds come before, half after, so that a machine that slows down does not look like the purge.
    for _ in $(seq "$rounds"); do drive 64 "$seconds"; done >"$work/quiet"
    began=$(date +%s)
    timeout 3000 "$target/tower-audit" purge --url "sqlite:$filled" --older-than 400d >"$work/purged" &
    purging=$!
    while kill -0 "$purging" 2>/dev/null; do drive 64 "$seconds"; done >"$work/purge"
    wait "$purging" || echo "the purge stopped early" >&2
    spent=$(($(date +%s) - began))
    # The last one may have been quiet in part.
    sed -i '$d' "$work/purge"
    for _ in $(seq "$rounds"); do drive 64 "$seconds"; done >>"$work/quiet"
    stop
    echo "purged $(cat "$work/purged") of $prefill events in about $spent s"
    printf '%-8s %10s %9s %9s %9s %7s\n' 64 req/s p50 p99 'worst p99' failed
    for phase in quiet purge; do
        printf '%-8s %10s %9s %9s %9s %7s\n' $phase "$(median "$work/$phase" 1)" "$(median "$work/$phase" 2)" \
            "$(median "$work/$phase" 3)" "$(awk '$3 > m {m = $3} END {print m}' "$work/$phase")" \
            "$(awk '{n += $4} END {print n}' "$work/$phase")"
    done
    echo "p99 while purging ÷ quiet: $(ratio "$(median "$work/purge" 3)" "$(median "$work/quiet" 3)") (goal: <= 2)"
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

printf '%5s %-8s %10s %9s %9s %7s\n' conns kind req/s p50 p99 failed
for count in $connections; do
    for kind in $kinds; do
        found=$work/$kind.$count
        printf '%5s %-8s %10s %9s %9s %7s\n' "$count" "$kind" "$(median "$found" 1)" "$(median "$found" 2)" \
            "$(median "$found" 3)" "$(awk '{n += $4} END {print n}' "$found")"
    done
    for pair in memory/bare audited/bare audited/naive filled/audited; do
        above=$work/${pair%/*}.$count below=$work/${pair#*/}.$count
        if [ -e "$above" ] && [ -e "$below" ]; then
            # The ratio of each round, and of those the median: what slows a whole round down cancels out.
            paste -d' ' "$above" "$below" | awk '{print $1 / $5}' >"$work/ratios"
            printf '%5s %s ÷ %s: %.3f\n' "$count" "${pair%/*}" "${pair#*/}" "$(median "$work/ratios" 1)"
        fi
    done
done

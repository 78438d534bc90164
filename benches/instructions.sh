#!/bin/sh
# Instructions per request, counted by callgrind: the same on every machine of a kind and unmoved by its load.
#
#     benches/instructions.sh             every row
#     benches/instructions.sh --check     the rows of instructions.csv; fails if one costs 5 % more than it says
#     benches/instructions.sh --write     writes instructions.csv anew
#
# Each case runs N and 2N times (500 unless N is set); the difference, divided by N, is what one more request costs. The
# program is built in a workspace of its own, benches/instructions/, with few packages and the feature `axum` alone.
set -eu
n=${N:-500}
mode=${1:---all}
cd "$(dirname "$0")/.."
table=benches/instructions.csv
command -v valgrind >/dev/null || { echo 'valgrind is missing: apt-get install valgrind' >&2; exit 69; }
cargo build --quiet --release --locked --manifest-path benches/instructions/Cargo.toml --target-dir target
binary=target/release/count
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A row: its name, a case of count.rs, the case that it is counted against (or none), and by what the difference is divided.
rows() {
    cat <<'ROWS'
unaudited GET, layer - none|layer-get|bare-get|1
unaudited GET, layer - none, max_results set|limit-get|bare-get|1
unaudited GET, layer - none, 10 rules|rules-10-get|bare-get|1
  per further rule of another method|rules-60-get|rules-10-get|50
unaudited POST, layer - none, 10 rules|rules-10-post|bare-post|1
  per further rule of the same method|rules-60-post|rules-10-post|50
unaudited GET on axum, layer - layer that does nothing|axum-layer|axum-bare|1
the same, max_results set|axum-limit|axum-bare|1
candidates: GET|candidates-get||1
candidates: POST|candidates-post||1
candidates: POST, encoded path|candidates-encoded||1
event built and let go - bare POST|event|bare-post|1
  a target that the handler names|target-named|target-not-named|1
  a target that the rule takes from the path|target-of-rule|target-of-no-rule|1
audited, acknowledged at once - none, 1 at a time|audited|unlogged|1
audited, acknowledged at once - none, 64 at a time|audited-64|unlogged-64|1
record, 1 at a time - making the event|record|event-dropped|1
record, 64 at a time - making the event|record-64|event-dropped|1
ROWS
}

counted() { # CASE COUNT
    timeout 600 valgrind --tool=callgrind --callgrind-out-file="$work/out" "$binary" "$1" "$2" >"$work/said" 2>&1 ||
        { cat "$work/said" >&2; exit 1; }
    sed -n 's/^.*Collected : \([0-9]*\).*$/\1/p' "$work/said"
}

# Instructions of one iteration of a case; of none, 0.
per() { # CASE
    [ -n "$1" ] || { echo 0; return; }
    [ -e "$work/$1" ] || echo $((($(counted "$1" $((2 * n))) - $(counted "$1" "$n")) / n)) >"$work/$1"
    cat "$work/$1"
}

row() { # CASE
    rows | grep "|$1|"
}

value() { # ROW
    IFS='|' read -r _ case base divisor <<ROW
$1
ROW
    echo $((($(per "$case") - $(per "$base")) / divisor))
}

case $mode in
--all)
    rows | while IFS= read -r line; do
        printf '%-58s %8s\n' "${line%%|*}" "$(value "$line")"
    done
    ;;
--check)
    # The first line names the columns.
    sed 1d "$table" | {
        worse=0
        while IFS=, read -r case expected; do
            line=$(row "$case")
            now=$(value "$line")
            printf '%-58s %8s, recorded %s\n' "${line%%|*}" "$now" "$expected"
            [ $((now * 100)) -le $((expected * 105)) ] || worse=1
        done
        [ $worse -eq 0 ] || {
            echo "a request costs more than 5 % more instructions than in $table: find out why, or record it with" \
                '`benches/instructions.sh --write` and say why in the commit' >&2
            exit 1
        }
    }
    ;;
--write)
    {
        echo case,instructions
        for case in layer-get rules-10-post axum-layer event target-named target-of-rule audited audited-64 record-64; do
            echo "$case,$(value "$(row "$case")")"
        done
    } >"$work/table"
    mv "$work/table" "$table"
    cat "$table"
    ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 64
    ;;
esac

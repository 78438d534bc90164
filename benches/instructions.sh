#!/bin/sh
# Instructions per request, counted by callgrind: the same on every machine and unmoved by its load.
#
#     benches/instructions.sh [N]
#
# Each case runs N and 2N times (500 by default); the difference, divided by N, is what one more request costs.
set -eu
n=${1:-500}
here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
binary=$(cargo bench --quiet --no-run --bench count --message-format=json |
    sed -n 's/.*"name":"count".*"executable":"\([^"]*\)".*/\1/p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

counted() { # CASE COUNT
    timeout 120 valgrind --tool=callgrind --callgrind-out-file="$work/out" "$binary" "$1" "$2" >"$work/said" 2>&1 ||
        { cat "$work/said" >&2; exit 1; }
    sed -n 's/^.*Collected : \([0-9]*\).*$/\1/p' "$work/said"
}

# Instructions of one iteration of a case.
per() {
    once=$(counted "$1" "$n")
    twice=$(counted "$1" $((2 * n)))
    echo $(((twice - once) / n))
}

row() { printf '%-58s %8s  %s\n' "$1" "$2" "${3:-}"; }

bare_get=$(per bare-get)
bare_post=$(per bare-post)
ten_get=$(per rules-10-get)
sixty_get=$(per rules-60-get)
ten_post=$(per rules-10-post)
sixty_post=$(per rules-60-post)
axum=$(per axum-bare)
unlogged=$(per unlogged)
unlogged_64=$(per unlogged-64)

row 'what, per request' instr goal
row 'unaudited GET, layer - none' $(($(per layer-get) - bare_get)) '<= 150'
row 'unaudited GET, layer - none, max_results set' $(($(per limit-get) - bare_get))
row 'unaudited GET, layer - none, 10 rules' $((ten_get - bare_get))
row '  per further rule of another method' $(((sixty_get - ten_get) / 50))
row 'unaudited POST, layer - none, 10 rules' $((ten_post - bare_post))
row '  per further rule of the same method' $(((sixty_post - ten_post) / 50))
row 'unaudited GET on axum, layer - layer that does nothing' $(($(per axum-layer) - axum))
row 'the same, max_results set' $(($(per axum-limit) - axum))
row 'candidates: GET' "$(per candidates-get)"
row 'candidates: POST' "$(per candidates-post)"
row 'candidates: POST, encoded path' "$(per candidates-encoded)"
row 'event built and let go - bare POST' $(($(per event) - bare_post)) '<= 4000'
row 'audited, acknowledged at once - none, 1 at a time' $(($(per audited) - unlogged))
row 'audited, acknowledged at once - none, 64 at a time' $(($(per audited-64) - unlogged_64))
event=$(per event-dropped)
row 'record, 1 at a time - making the event' $(($(per record) - event))
row 'record, 64 at a time - making the event' $(($(per record-64) - event))

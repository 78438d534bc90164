#!/usr/bin/env bash
# The read API of the running example against its own OpenAPI document, by schemathesis: as an administrator and as a user.
#
#     tests/schemathesis.sh
#
# `cargo build --all-features --example reference` comes first. SEED=7 tries other cases than those of every run.
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.32.5
seed=${SEED:-20260525}
work=$(mktemp -d -t tower-audit-schemathesis.XXXXXX)
server=
end() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    rm -rf "$work"
}
trap end EXIT

python3 -m venv "$work/venv"
if ! "$work/venv/bin/pip" install -q --disable-pip-version-check "schemathesis==$version"; then
    echo "schemathesis $version cannot be installed, so the API is not tested against its document" >&2
    exit 1
fi

LISTEN=127.0.0.1:0 AUDIT_URL="sqlite:$work/audit.db" target/debug/examples/reference 2>"$work/said" &
server=$!
until url=$(sed -n 's/^listening on //p' "$work/said") && [ -n "$url" ]; do
    kill -0 "$server" || { cat "$work/said" >&2; exit 1; }
    sleep 0.05
done

# Some events of each, that there is something to find.
for n in $(seq 10); do
    curl -sS -o "$work/answer" -X POST -H 'authorization: Bearer alice-token' "$url/scans"
    curl -sS -o "$work/answer" -X DELETE -H 'authorization: Bearer admin-token' "$url/auth/admin/users/$n"
done

# What a schema cannot say: `until` must be after `since`, and a cursor comes from the page before. So there is a span that
# is one, and of a list nobody expects that whatever fits the schema is taken. Nor of an export: no profile has CSV, and not each an array.
cat >"$work/schemathesis.toml" <<'EOF'
[auth.openapi.app]
bearer = "${TOKEN}"

[parameters]
"query.since" = "2026-01-01"
"query.until" = "2100-01-01"

[[operations]]
include-operation-id = "list"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id = "export"
checks.positive_data_acceptance.enabled = false
EOF
# Not the phase `stateful`: there it guesses from the schema of an event what an id is, and takes part of a route for one.
as() { # CALLER
    # It leaves a cache where it is started.
    mkdir "$work/$1"
    cd "$work/$1"
    TOKEN=$1-token "$work/venv/bin/schemathesis" --config-file "$work/schemathesis.toml" run \
        "$url/audit/openapi.json" --seed "$seed" --phases examples,coverage,fuzzing --max-examples 15 \
        --request-timeout 10 --no-color >"$work/$1.report" 2>&1
}
as admin & admin=$!
as alice & alice=$!
failed=0
wait "$admin" || failed=1
wait "$alice" || failed=1
for caller in admin alice; do
    echo "as $caller, seed $seed"
    if [ "$failed" = 0 ]; then sed -n '/^Test cases/,$p' "$work/$caller.report"; else cat "$work/$caller.report"; fi
done
# Nothing of it was more than the server expects: it is there, and has warned of nothing.
kill -0 "$server"
if [ "$failed" = 1 ] || grep -E 'WARN|ERROR|panicked' "$work/said"; then exit 1; fi

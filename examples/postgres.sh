#!/usr/bin/env bash
# A private PostgreSQL for trying tower-audit: prints its URL, and on stderr how to end it.
#
#     examples/postgres.sh              starts one, in a temporary folder, on a free port of this machine
#     examples/postgres.sh stop FOLDER  ends it and removes the folder
set -euo pipefail

programs() {
    local found
    found=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
    [ -n "$found" ] || found=$(dirname "$(command -v initdb || true)")
    if [ ! -x "$found/initdb" ] || [ ! -x "$found/pg_ctl" ]; then
        echo "PostgreSQL is not installed: apt-get install postgresql" >&2
        exit 1
    fi
    echo "$found"
}

# The server refuses to run as root: then it runs as the account that its package has made.
unprivileged() {
    if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

bin=$(programs)

if [ "${1-}" = stop ] && [ $# = 2 ]; then
    if [ ! -f "$2/data/PG_VERSION" ] || [ ! -f "$2/url" ]; then
        echo "$2 is no folder that this script has made" >&2
        exit 2
    fi
    cd "$2"
    unprivileged "$bin/pg_ctl" -D "$2/data" -m fast stop >/dev/null || [ ! -f "$2/data/postmaster.pid" ]
    cd /
    rm -rf "$2"
    exit
elif [ $# != 0 ]; then
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/tower-audit-postgres.XXXXXX")
trap 'tail -n 5 "$folder/log" >&2 2>/dev/null || true; rm -rf "$folder"' EXIT
[ "$(id -u)" != 0 ] || chown postgres "$folder"
cd "$folder"

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
(umask 077; printf '%s\n' "$password" >password)
[ "$(id -u)" != 0 ] || chown postgres password
unprivileged "$bin/initdb" -D data -U owner -A scram-sha-256 --pwfile=password -E UTF8 --no-locale >log 2>&1
rm password

port=5433
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
# Nothing of it is to keep the caller's pipe open.
unprivileged "$bin/pg_ctl" -D "$folder/data" -w -l "$folder/data/log" \
    -o "-p $port -k '$folder' -c listen_addresses=127.0.0.1" start >/dev/null </dev/null 2>>log

trap - EXIT
(umask 077; echo "postgres://owner:$password@127.0.0.1:$port/postgres" >url)
cat url
echo "to stop it and remove all that is in it: $0 stop $folder" >&2

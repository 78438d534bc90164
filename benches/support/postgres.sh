# A private PostgreSQL for a script that sources this: in a folder of its own, on a free port of this machine.

# Starts the server over the data in FOLDER, which is made if it is empty, and sets `postgres` to its URL, without a
# database. Everything is as Debian's PostgreSQL is by default: a commit is on the disk.
start_postgres() { # FOLDER
    programs=$(find /usr/lib/postgresql/*/bin -maxdepth 0 2>/dev/null | sort -V | tail -1)
    [ -n "$programs" ] || programs=$(dirname "$(command -v initdb)")
    [ -x "$programs/postgres" ] || { echo 'PostgreSQL is missing: apt-get install postgresql' >&2; exit 69; }
    as=''
    if [ "$(id -u)" -eq 0 ]; then
        # The server refuses to be root.
        chown postgres: "$1"
        as='setpriv --reuid=postgres --regid=postgres --clear-groups'
    fi
    if [ ! -e "$1/data/PG_VERSION" ]; then
        (cd "$1" && $as "$programs/initdb" -D "$1/data" -U postgres -A trust --no-locale -E UTF8 >/dev/null)
    fi
    port=$((20000 + $$ % 20000))
    for _ in $(seq 50); do
        port=$((port + 1))
        (cd "$1" && exec $as "$programs/postgres" -D "$1/data" -p $port -k "$1" -c listen_addresses=127.0.0.1 \
            -c max_connections=200 >>"$1/log" 2>&1) &
        postmaster=$!
        # Until it answers, or has ended: then the port was taken.
        while kill -0 $postmaster 2>/dev/null; do
            if "$programs/pg_isready" -q -h 127.0.0.1 -p $port && [ -e "$1/.s.PGSQL.$port" ]; then
                postgres=postgres://postgres@127.0.0.1:$port
                return
            fi
            sleep 0.1
        done
    done
    tail "$1/log" >&2
    exit 1
}

stop_postgres() {
    [ -n "${postmaster:-}" ] || return 0
    kill -INT "$postmaster" 2>/dev/null || true
    wait "$postmaster" 2>/dev/null || true
    postmaster=''
}

sql() { # DATABASE STATEMENT
    PGOPTIONS='-c client_min_messages=warning' "$programs/psql" -h 127.0.0.1 -p "$port" -U postgres -d "$1" -v ON_ERROR_STOP=1 -qXAtc "$2"
}

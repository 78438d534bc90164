#!/usr/bin/env python3
"""The tables of docs/scale.md: a simulation of writers, stores, streams and shippers, seeded, so that each run prints the same.

    benches/scale/simulate.py            prints the tables
    benches/scale/simulate.py --write    puts them into the page
    benches/scale/simulate.py --check    fails if the page has others

Constants are in constants.py. A machine is a number of cores and a disk; work waits in line for a core, a sync for the disk. What is not
modelled: networks (a wake stands for a hop), memory, the growth of indexes, and requests that cost more than one event.
"""

import heapq
import math
import random
import sys
from collections import deque
from pathlib import Path

sys.dont_write_bytecode = True
from constants import *  # noqa: E402, F403

PAGE = Path(__file__).resolve().parents[2] / "docs/scale.md"
SEED = 20261130
PEAK = 3  # Times the mean of a day.
BILLION = 1e9
FAST_SYNC, SLOW_SYNC = 30e-6, 2e-3  # A disk with a protected cache, and one across a network: assumed, not measured.


def jetstream(nodes, streams, shippers, spools=False, sync=SYNC):  # noqa: F405
    return {"nodes": nodes, "streams": streams, "shippers": shippers, "spools": spools, "sync": sync}


# Services, events a day, logs that have nothing in common, and the store of each.
SIZES = [
    (1, 1e6, 1, "SQLite"),
    (4, 10e6, 1, "SQLite"),
    (4, 10e6, 1, "PostgreSQL"),
    (20, 100e6, 1, "PostgreSQL"),
    (100, 300e6, 1, jetstream(3, 3, 1)),
    (1000, BILLION, 4, jetstream(3, 3, 1)),
    (1000, BILLION, 4, jetstream(3, 3, 1, spools=True)),
]
# Services and events a second of one of the four logs at the peak.
ONE_LOG = (250, BILLION / 86_400 * PEAK / 4)
STREAMS = [
    jetstream(3, 1, 1), jetstream(3, 3, 1), jetstream(3, 12, 1), jetstream(6, 12, 1), jetstream(3, 3, 1, sync=FAST_SYNC), jetstream(3, 3, 1, sync=SLOW_SYNC),
    jetstream(3, 1, 1, spools=True), jetstream(3, 3, 1, spools=True)]
FAILING = [jetstream(3, 3, 1), jetstream(3, 3, 1, spools=True)]


class Sim:
    """A clock and what happens next."""

    def __init__(self):
        self.now, self.heap, self.order, self.random = 0.0, [], 0, random.Random(SEED)

    def after(self, delay, act, *args):
        self.order += 1
        heapq.heappush(self.heap, (self.now + delay, self.order, act, args))

    def run(self, until):
        while self.heap and self.heap[0][0] <= until:
            self.now, _, act, args = heapq.heappop(self.heap)
            act(*args)

    def gap(self, rate):
        return -math.log(1 - self.random.random()) / rate


class Station:
    """Workers with one line, such as cores."""

    def __init__(self, sim, workers):
        self.sim, self.workers, self.free, self.line, self.busy = sim, workers, workers, deque(), 0.0

    def work(self, seconds, then, *args):
        self.line.append((seconds, then, args))
        self._begin()

    def _begin(self):
        while self.free and self.line:
            self.free -= 1
            seconds, then, args = self.line.popleft()
            self.busy += seconds
            self.sim.after(seconds, self._end, then, args)

    def _end(self, then, args):
        self.free += 1
        then(*args)
        self._begin()


class Disk(Station):
    """It syncs one write after the other."""

    def __init__(self, sim, sync=SYNC):
        super().__init__(sim, 1)
        self.sync_time = sync

    def sync(self, then, *args):
        self.work(self.sync_time, then, *args)


class SharedSync:
    """A log that one sync makes durable for all who wait when it begins."""

    def __init__(self, sim, disk):
        self.disk, self.waiting, self.is_syncing = disk, [], False

    def sync(self, then):
        self.waiting.append(then)
        if not self.is_syncing:
            self._begin()

    def _begin(self):
        self.is_syncing, mine, self.waiting = True, self.waiting, []
        self.disk.sync(self._end, mine)

    def _end(self, mine):
        self.is_syncing = False
        for then in mine:
            then()
        if self.waiting and not self.is_syncing:
            self._begin()


class Writer:
    """The log of one process: what waits when an append ends is the next batch, several of them at once (src/writer/worker.rs)."""

    def __init__(self, sim, append, found, in_flight=IN_FLIGHT):
        self.sim, self.append, self.found, self.most = sim, append, found, in_flight
        self.line, self.under_way, self.events = deque(), {}, 0

    def record(self, then=None):
        self.line.append((self.sim.now, then))
        self._begin()

    def _begin(self):
        while self.line and len(self.under_way) < self.most:
            if self.under_way:
                oldest = min(self.under_way.values())
                if len(self.line) < max(FURTHER_BATCH, self.events) and self.sim.now - oldest < FURTHER_AFTER:
                    return
            batch = [self.line.popleft() for _ in range(min(BATCH_EVENTS, len(self.line)))]
            key = self.sim.order
            self.under_way[key], self.events = self.sim.now, self.events + len(batch)
            self.sim.after(FURTHER_AFTER, self._begin)
            self.append(len(batch), lambda: self._end(key, batch))

    def _end(self, key, batch):
        del self.under_way[key]
        self.events -= len(batch)
        self.found.batches += 1
        for since, then in batch:
            self.found.answer(self.sim.now, since)
            if then:
                then()
        self._begin()


class Found:
    """Times of answers, once the run is warm."""

    def __init__(self, warm):
        self.warm, self.times, self.batches, self.events, self.refused = warm, [], 0, 0, 0

    def answer(self, now, since):
        self.events += 1
        if since >= self.warm:
            self.times.append(now - since)
            if now - since > WRITE_TIMEOUT:
                self.refused += 1

    def part(self, share):
        return percentile(self.times, share)


class Postgres:
    def __init__(self, sim, cores, disk):
        self.cores, self.log = cores, SharedSync(sim, disk)

    def append(self, events, then):
        self.cores.work(PG_BATCH + events * PG_EVENT, self.log.sync, then)


class Sqlite:
    """One batch at a time, whatever process has it."""

    def __init__(self, sim, cores, disk):
        self.sim, self.lock = sim, Station(sim, 1)

    def append(self, events, then):
        self.lock.work(SYNC + events * SQLITE_EVENT, then)


class Node:
    def __init__(self, sim, cores, disk):
        self.cores, self.disk = cores, disk

    def log(self, group, then):
        """Half of a node's work for a group of messages: the replicated log, which is synced once."""
        self.cores.work(nats_cpu(*group) / 6, self.disk.sync, then)

    def store(self, group, then):
        """The other half: the stream, which is not synced, for it can be made again from the log."""
        self.cores.work(nats_cpu(*group) / 6, then)


def nats_cpu(messages, events):
    """CPU of the three servers for messages that go together."""
    return NATS_GROUP + messages * NATS_MESSAGE + events * NATS_EVENT


class Stream:
    """A stream with three copies. All messages that wait go together: into the leader's log, that of the faster follower, then the leader's stream."""

    def __init__(self, sim, nodes):
        self.sim, self.leader, self.followers = sim, nodes[0], nodes[1:]
        self.line, self.group, self.is_down = [], [], False
        self.stored, self.ready = deque(), None
        self.messages = self.events = self.waiting = self.groups = 0

    def append(self, events, then, since=None):
        self.sim.after(WAKE, self._arrive, events, then, since)

    def _arrive(self, events, then, since):
        self.line.append((events, then, since))
        self._begin()

    def _begin(self):
        if self.line and not self.group and not self.is_down:
            self.group, self.line = self.line, []
            self.size = (len(self.group), sum(events for events, _, _ in self.group))
            self.leader.log(self.size, self._replicate)

    def _replicate(self):
        self.copies = 0
        for node in self.followers:
            self.sim.after(WAKE, node.log, self.size, self._copied)
            # Its stream, which nobody waits for.
            node.store(self.size, lambda: None)

    def _copied(self):
        self.copies += 1
        if self.copies == 1:
            self.leader.store(self.size, self._acknowledge)

    def _acknowledge(self):
        group, self.group = self.group, []
        self.groups += 1
        for events, then, since in group:
            self.messages, self.events, self.waiting = self.messages + 1, self.events + events, self.waiting + events
            self.stored.append((self.sim.now if since is None else since, events))
            self.sim.after(WAKE, then)
        if self.ready:
            self.ready()
        self._begin()

    def down(self, seconds):
        self.is_down = True
        self.sim.after(seconds, self._up)

    def _up(self):
        self.is_down = False
        self._begin()


class Spool:
    """The disk of a service's machine, and its way to a stream: one batch at a time (docs/stores/spool.md)."""

    def __init__(self, sim, stream):
        self.sim, self.disk, self.stream = sim, Disk(sim), stream
        self.line, self.is_busy, self.waiting = deque(), False, 0

    def append(self, events, then):
        self.disk.sync(self._stored, events, then)

    def _stored(self, events, then):
        self.line.append((self.sim.now, events))
        self.waiting += events
        then()
        self._ship()

    def _ship(self):
        if self.is_busy or not self.line:
            return
        self.is_busy, since, events = True, self.line[0][0], 0
        while self.line and events < FETCH_EVENTS:
            events += self.line.popleft()[1]
        self.stream.append(events, lambda: self._end(events), since)

    def _end(self, events):
        self.is_busy, self.waiting = False, self.waiting - events
        self._ship()


class Shipper:
    """An instance of `tower-audit ship`: its streams take turns, 64 messages or about 1,000 events at a time."""

    def __init__(self, sim, streams, target, cores, warm, step=SHIP_STEP, event=SHIP_EVENT):
        self.sim, self.streams, self.target, self.cores, self.warm, self.costs = sim, streams, target, cores, warm, (step, event)
        self.turn, self.is_busy, self.lags, self.shipped, self.steps = 0, False, [], 0, 0
        for stream in streams:
            stream.ready = self.step

    def step(self):
        if self.is_busy:
            return
        for _ in self.streams:
            stream = self.streams[self.turn % len(self.streams)]
            self.turn += 1
            if stream.stored:
                break
        else:
            return
        self.is_busy, taken, events = True, [], 0
        while stream.stored and len(taken) < FETCH_MESSAGES and events < FETCH_EVENTS:
            taken.append(stream.stored.popleft())
            events += taken[-1][1]
        self.cores.work(self.costs[0] + events * self.costs[1], self.target.append, events, lambda: self.sim.after(2 * WAKE, self._end, stream, taken, events))

    def _end(self, stream, taken, events):
        self.is_busy = False
        self.shipped, self.steps, stream.waiting = self.shipped + events, self.steps + 1, stream.waiting - events
        if self.sim.now >= self.warm:
            self.lags += [self.sim.now - since for since, _ in taken]
        self.step()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def arrivals(sim, writers, rate):
    """Requests at random times, the same rate for each process."""

    def arrive(writer):
        writer.record()
        sim.after(sim.gap(rate / len(writers)), arrive, writer)

    for writer in writers:
        sim.after(sim.gap(rate / len(writers)), arrive, writer)


def clients(sim, writers, connections, machine):
    """Clients of each process that send one request after the other."""

    def send(writer):
        machine.work(DEBUG_APP_EVENT + GENERATOR_CPU, sim.after, WAKE, writer.record, lambda: sim.after(WAKE, send, writer))

    for writer in writers:
        for _ in range(connections):
            send(writer)


def direct(kind, services, rate, cores, seconds=6.0, warm=1.0):
    """Processes that write to one database."""
    sim, found = Sim(), Found(warm)
    pool, disk = Station(sim, cores), Disk(sim)
    store = kind(sim, pool, disk)
    writers = [Writer(sim, store.append, found, 1 if kind is Sqlite else IN_FLIGHT) for _ in range(services)]
    arrivals(sim, writers, rate)
    sim.run(seconds)
    busy = store.lock.busy if kind is Sqlite else pool.busy
    return found, busy / seconds, disk.busy / seconds


class Cluster:
    """Services, JetStream nodes and streams, shippers and a database, each machine with cores and a disk of its own."""

    def __init__(self, services, nodes, streams, shippers, databases, warm, has_spools=False, sync=SYNC, cores=NODE_CORES):
        self.sim, self.found = Sim(), Found(warm)
        sim = self.sim
        self.nodes = [Node(sim, Station(sim, cores), Disk(sim, sync)) for _ in range(nodes)]
        self.streams = [Stream(sim, [self.nodes[(number + copy) % nodes] for copy in range(3)]) for number in range(streams)]
        self.databases = [Postgres(sim, Station(sim, cores), Disk(sim)) for _ in range(databases)]
        self.shippers = [
            Shipper(sim, self.streams[number::shippers], self.databases[number % databases], Station(sim, 1), warm) for number in range(shippers)]
        stores = [self.streams[number % streams] for number in range(services)]
        self.spools = [Spool(sim, stream) for stream in stores] if has_spools else []
        self.writers = [Writer(sim, store.append, self.found, 1 if has_spools else IN_FLIGHT) for store in self.spools or stores]

    def lags(self):
        return [lag for shipper in self.shippers for lag in shipper.lags]


def clustered(services, rate, nodes, streams, shippers, databases=1, has_spools=False, sync=SYNC, seconds=4.0, warm=2.0):
    cluster = Cluster(services, nodes, streams, shippers, databases, warm, has_spools, sync)
    arrivals(cluster.sim, cluster.writers, rate)
    cluster.sim.run(seconds)
    return cluster


class Machine:
    """The machine of the measured runs: everything on it, and other work beside it, which takes its part of the cores."""

    def __init__(self, sim, others):
        self.stretch = MACHINE_CORES / (MACHINE_CORES - others)
        self.cores, self.disk, self.free, self.busy = Station(sim, MACHINE_CORES), Disk(sim), None, 0.0

    def work(self, seconds, then, *args):
        self.busy += seconds
        self.cores.work(seconds * self.stretch, then, *args)


def four(measured, has_stream, ships, processes=4, connections=16, warm=1.0, seconds=6.0):
    """Four processes of the app, unoptimised, under clients that send one request after the other."""
    sim, found = Sim(), Found(warm)
    machine = Machine(sim, measured["others"])
    database = Postgres(sim, machine, machine.disk)
    stream = Stream(sim, [Node(sim, machine, machine.disk) for _ in range(3)])
    shipper = Shipper(sim, [stream], database, machine, warm, DEBUG_SHIP_STEP, DEBUG_SHIP_EVENT) if ships else None

    def append(events, then):
        store = stream.append if has_stream else lambda *it: sim.after(WAKE, database.append, *it)
        machine.work(DEBUG_APP_BATCH, store, events, then)

    writers = [Writer(sim, append, found) for _ in range(processes)]
    clients(sim, writers, connections, machine)
    sim.run(seconds)
    batch = stream.events / stream.messages if has_stream else found.events / found.batches
    result = {"rate": len(found.times) / (seconds - warm), "p50_ms": found.part(0.5) * 1e3, "p99_ms": found.part(0.99) * 1e3, "batch": batch}
    if has_stream:
        result |= {"store_us": nats_cpu(stream.messages / stream.groups, stream.events / stream.groups) / (stream.events / stream.groups) * 1e6, "bytes": written(batch)}
    else:
        result["store_us"] = (PG_BATCH / batch + PG_EVENT) * 1e6
    if ships:
        result["lag_s"] = stream.waiting / (stream.events / seconds)
    return result


def drained(measured):
    """Events a second of a shipper with nothing beside it, in messages of eight."""
    stretch = MACHINE_CORES / (MACHINE_CORES - measured["others"])
    events = FETCH_MESSAGES * 8
    return {"rate": events / ((DEBUG_SHIP_STEP + PG_BATCH + events * (DEBUG_SHIP_EVENT + PG_EVENT)) * stretch + SYNC + 2 * WAKE)}


def written(batch):
    """Bytes that a node writes for an event."""
    return NODE_MESSAGE_WRITTEN / batch + NODE_EVENT_WRITTEN


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def ms(seconds):
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def count(number):
    return f"{number:,.0f}"


def share(part):
    return f"{part * 100:.0f} %"


def cluster_row(topology, services, rate):
    cluster = clustered(services, rate, topology["nodes"], topology["streams"], topology["shippers"], has_spools=topology["spools"], sync=topology["sync"])
    seconds = cluster.sim.now
    messages, events = (sum(getattr(stream, name) for stream in cluster.streams) for name in ("messages", "events"))
    behind = sum(stream.waiting for stream in cluster.streams) + sum(spool.waiting for spool in cluster.spools)
    return {
        "p50": ms(cluster.found.part(0.5)), "p99": ms(cluster.found.part(0.99)), "messages": count(messages / seconds), "each": f"{events / messages:.1f}",
        "disk": share(min(1, max(node.disk.busy for node in cluster.nodes) / seconds)), "lag": ms(percentile(cluster.lags(), 0.99)), "behind": count(behind),
        "nodes": sum(node.cores.busy for node in cluster.nodes) / seconds,
        "cores": sum(node.cores.busy for node in cluster.nodes) / seconds + sum(base.cores.busy for base in cluster.databases) / seconds,
    }


def sizes():
    rows = []
    for services, day, logs, topology in SIZES:
        rate, mine = day / 86_400 * PEAK / logs, services // logs
        if isinstance(topology, str):
            kind = {"SQLite": Sqlite, "PostgreSQL": Postgres}[topology]
            found, cores, disk = direct(kind, mine, rate, NODE_CORES, seconds=20.0 if rate < 1000 else 4.0)
            words, lag, sessions = topology, "–", "–" if kind is Sqlite else mine * SESSIONS
            p50, p99, disk = ms(found.part(0.5)), ms(found.part(0.99)), share(disk)
        else:
            row = cluster_row(topology, mine, rate)
            words = f"{'spools, ' if topology['spools'] else ''}JetStream on {topology['nodes']} nodes with {plural(topology['streams'], 'stream')}, {plural(topology['shippers'], 'shipper')}, PostgreSQL"
            p50, p99, lag, cores, disk, sessions = row["p50"], row["p99"], row["lag"], row["cores"], row["disk"], topology["shippers"] * SESSIONS
        rows.append([count(services), f"{day / 1e6:,.0f} million", logs, count(rate), words, p50, p99, lag, f"{cores:.2f}", disk, sessions])
    return table(["services", "events a day", "logs", "events/s of a log at the peak", "store of each", "p50, ms", "p99, ms", "lag p99, ms", "cores busy", "busiest disk", "sessions"], rows)


def plural(number, word):
    return f"{number} {word}{'' if number == 1 else 's'}"


def streams():
    rows = []
    for topology in STREAMS:
        row = cluster_row(topology, *ONE_LOG)
        rows.append([
            "yes" if topology["spools"] else "no", topology["nodes"], topology["streams"], f"{topology['sync'] * 1e6:.0f}", topology["shippers"],
            row["p50"], row["p99"], row["messages"], row["each"], f"{row['nodes']:.1f}", row["disk"], row["lag"], row["behind"]])
    return table(["spools", "nodes", "streams", "a sync, µs", "shippers", "p50, ms", "p99, ms", "messages/s", "events each", "cores of the nodes", "busiest disk", "lag p99, ms", "events behind after 4 s"], rows)


def failures():
    services, rate = ONE_LOG
    rows = [leader_dies(topology, services, rate) for topology in FAILING]
    shippers = FAILING[0]["shippers"]
    # Nearly each message has one event.
    one = FETCH_MESSAGES / (SHIP_STEP + FETCH_MESSAGES * (SHIP_EVENT + PG_EVENT) + PG_BATCH + SYNC + 2 * WAKE)
    for what, outage in [("the shipper dies while it has messages", TAKEN_AGAIN), ("the readable database is away for an hour", 3600.0)]:
        backlog = rate * outage
        time = backlog / (one * shippers - rate)
        rows.append([what, f"{outage:,.0f} s", "none waits", f"{count(backlog)} events, {backlog * STREAM_BYTES / 1e9:.1f} GB in the streams", f"{time:,.0f} s"])
    node = rate * written(4)
    rows.append(["a node is away for an hour", "3,600 s", "none waits, once leaders have moved", f"{rate * 3600 * STREAM_BYTES / 1e9:.1f} GB for it to copy", f"{rate * 3600 * written(64) / (DISK_RATE - node) / 60:.0f} min, at {DISK_RATE / 1e6:.0f} MB/s of disk"])
    return table(["what fails", "for", "requests", "backlog at the end of it", "made up for in, at the peak"], rows)


def leader_dies(topology, services, rate):
    """A third of the streams has no leader for a while."""
    cluster = Cluster(services, topology["nodes"], topology["streams"], topology["shippers"], 1, 1.0, topology["spools"], topology["sync"])
    sim, found = cluster.sim, cluster.found
    arrivals(sim, cluster.writers, rate)
    sim.run(2.0)
    led = [stream for stream in cluster.streams if stream.leader is cluster.nodes[0]]
    for stream in led:
        stream.down(ELECTION)
    waiting = lambda: sum(len(writer.line) + writer.events for writer in cluster.writers) + sum(spool.waiting for spool in cluster.spools)  # noqa: E731
    usual = waiting()
    back = 2.0 + ELECTION
    sim.run(back)
    held, until = waiting(), back
    while until < back + 20 and waiting() > 2 * usual + rate / 20:
        until += 0.1
        sim.run(until)
    what = f"the node dies that leads {len(led)} of {plural(topology['streams'], 'stream')}{', behind spools' if topology['spools'] else ''}"
    requests = "none waits" if found.part(0.99) < 0.5 else f"those of {len(led)} in {topology['streams']} services wait; refused after 5 s: {count(found.refused)}"
    return [what, f"{ELECTION:.1f} s", requests, f"{count(held)} events in {'the spools' if topology['spools'] else 'queues of the services'}", f"{until - back:.1f} s"]


def costs():
    rows = []
    for part, bytes_written, kept, cpu in [
        ("the app, optimised: a request with its event", None, None, APP_CPU),
        ("SQLite", SQLITE_WRITTEN, SQLITE_KEPT, SQLITE_EVENT),
        ("PostgreSQL, in batches of 1", PG_WAL + PG_KEPT, PG_KEPT, PG_BATCH + PG_EVENT),
        ("PostgreSQL, in batches of 24", PG_WAL + PG_KEPT, PG_KEPT, PG_BATCH / 24 + PG_EVENT),
        ("JetStream, three copies, one message of 1 at a time", 3 * written(1), 3 * STREAM_BYTES, nats_cpu(1, 1)),
        ("JetStream, three copies, one message of 8 at a time", 3 * written(8), 3 * STREAM_BYTES, nats_cpu(1, 8) / 8),
        ("JetStream, three copies, one message of 64 at a time", 3 * written(64), 3 * STREAM_BYTES, nats_cpu(1, 64) / 64),
        ("JetStream, three copies, 64 messages of 1 at a time", 3 * GROUPED_WRITTEN, 3 * STREAM_BYTES, nats_cpu(64, 64) / 64),
        ("a shipper, unoptimised, with its PostgreSQL", PG_WAL + PG_KEPT, PG_KEPT, SHIP_EVENT + PG_EVENT),
    ]:
        some = [count(bytes_written), count(kept), f"{kept * BILLION / 1e12:.2f}"] if kept else ["–", "–", "–"]
        rows.append([part, *some[:2], f"{cpu * 1e6:.0f}", some[2], f"{cpu * BILLION / 86_400:.1f}"])
    return table(["part", "bytes written an event", "bytes kept", "CPU, µs", "TB kept of a billion", "cores busy with a billion a day"], rows)


def checked():
    rows = []
    for name, measured, simulated in [
        ("PostgreSQL", FOUR_POSTGRES, four(FOUR_POSTGRES, False, False)),
        ("JetStream", FOUR_NATS, four(FOUR_NATS, True, False)),
        ("JetStream, shipped to PostgreSQL", FOUR_SHIPPED, four(FOUR_SHIPPED, True, True)),
        ("a shipper, behind them", DRAINED, drained(DRAINED)),
    ]:
        for key, words, digits in [
            ("rate", "events a second", 0), ("p50_ms", "p50, ms", 1), ("p99_ms", "p99, ms", 1), ("batch", "events a batch", 1),
            ("store_us", "CPU of the store, µs an event", 0), ("bytes", "bytes written an event and node", 0), ("lag_s", "lag at the end, s", 2),
        ]:
            if key in measured:
                ratio = f"{simulated[key] / measured[key]:.2f}" if measured[key] else "–"
                rows.append([name, words, f"{measured[key]:,.{digits}f}", f"{simulated[key]:,.{digits}f}", ratio])
    return table(["run", "", "measured", "simulated", "simulated ÷ measured"], rows)


TABLES = {"sizes": sizes, "streams": streams, "failures": failures, "costs": costs, "checked": checked}


def with_tables(page):
    for name, made in TABLES.items():
        begin, end = f"<!-- {name}: made by benches/scale/simulate.py -->\n", f"<!-- end of {name} -->"
        before, rest = page.split(begin)
        _, after = rest.split(end)
        page = f"{before}{begin}\n{made()}\n{end}{after}"
    return page


def main():
    match sys.argv[1:]:
        case []:
            for name, made in TABLES.items():
                print(f"{name}\n\n{made()}")
        case ["--write"]:
            PAGE.write_text(with_tables(PAGE.read_text()))
        case ["--check"]:
            page = PAGE.read_text()
            if with_tables(page) != page:
                sys.exit("docs/scale.md has other tables: run `benches/scale/simulate.py --write`")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()

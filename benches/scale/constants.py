"""The constants of the simulation, in seconds and bytes, each with the place where it was measured.

M: `benches/scale/measure.py --profile debug --seconds 3`, 2026-11-30 19:30 UTC, two cores of a virtual machine that compilers used as well, PostgreSQL 15,
nats-server 2.15.1, the app and the shipper unoptimised. A pair of constants for batches and events is solved from the runs of one process
with 1 and 64 connections (benches/results/2026-11-30-busy/scale.jsonl): cost of an event = batch / events of a batch + event.
"""

# The machine and its servers.
MACHINE_CORES = 2  # M
SYNC = 112e-6  # M `sync_us`: 4 KiB into a file that has its blocks, and fdatasync, the median
WAKE = 60e-6  # A hop between two threads or machines; assumed. benches/results/2026-11-27-slow-wake: 70 to 90 µs for a request and its answer
GENERATOR_CPU = 16e-6  # M `generator_us` at 64 connections
PG_BATCH, PG_EVENT = 277e-6, 14.5e-6  # M `server_us`: 219.7 in batches of 1.35, 25.4 in batches of 25.4
# A group of messages is one sync on each server: `strace -f -c -e fsync,pwrite64` on one of them, 2026-11-30 (docs/stores/nats.md).
# CPU of the three servers: M `nats_us`, 1,208 for one message at a time; `examples/naive` under wrk, 2026-11-30 19:58, µs a message with 1, 4, 16, 64
# and 256 in flight: 1,008, 567, 213, 88, 53.
NATS_GROUP, NATS_MESSAGE, NATS_EVENT = 1150e-6, 48e-6, 6.5e-6
NODE_CORES = 4  # Of the machines of the tables: assumed
DISK_RATE = 200e6  # Bytes a second that a disk writes: assumed

# The app and the shipper, unoptimised, for the comparison alone.
DEBUG_APP_BATCH, DEBUG_APP_EVENT = 700e-6, 127e-6  # M `app_us`: 716 and 733 in batches of 1.35 and 1, 158 and 153 in batches of 25.4 and 21.9
DEBUG_SHIP_STEP, DEBUG_SHIP_EVENT = 91e-6, 42e-6  # M `ship_us` 53.5 (a message of 7.8 at a time), `drain_ship_us` 42.0 (64 of 8)

# The app, optimised.
APP_CPU = 20e-6  # benches/results/2026-11-30-fast-bare: CPU of a request in memory
SQLITE_EVENT = 9e-6  # The same place: 27.1 with SQLite, 18.4 without a database
SHIP_STEP, SHIP_EVENT = 91e-6, 42e-6  # Unoptimised: an upper bound

# Bytes of an event.
PG_KEPT, PG_WAL = 1204, 1516  # M `kept_bytes`, `wal_bytes` at 256 connections
STREAM_BYTES = 535  # M `stream_bytes` with 8 events a message
NODE_MESSAGE_WRITTEN, NODE_EVENT_WRITTEN = 4920, 575  # M `written_bytes_a_node`: 5,494 with 1 event a message, 799 with 21.9
GROUPED_WRITTEN = 1261  # `examples/naive`, as above: bytes written an event of 480 bytes and node with 64 in flight
SQLITE_KEPT = 769  # docs/performance.md: examples/fill.rs, ade69b7
SQLITE_WRITTEN = 2100  # 100 s at 256 connections, 847f4bf, 2026-11-29: 2.1 KB written

# Times of a failure.
ELECTION = 5.0  # tests/fault/jetstream.rs, the campaign of 2026-11-30: 4.5 to 8.4 s after a leader's death, half of them below 5
TAKEN_AGAIN = 20.0  # src/store/nats/consumer.rs: what a dead instance had taken comes again

# The code: src/writer/worker.rs and limits.rs, src/store/*/store.rs, src/store/nats/stream_reader.rs, docs/stores/postgres.md.
IN_FLIGHT = 4
FURTHER_BATCH = 24
FURTHER_AFTER = 20e-3
BATCH_EVENTS = 1024
WRITE_TIMEOUT = 5.0
FETCH_MESSAGES = 64
FETCH_EVENTS = 1000
SESSIONS = 12

# M: four processes, 16 connections each. `others`: the cores that other work of the machine had meanwhile.
FOUR_POSTGRES = {"rate": 4217, "p50_ms": 14.98, "p99_ms": 32.05, "batch": 8.01, "store_us": 40.9, "others": 0.75}
FOUR_NATS = {"rate": 2981, "p50_ms": 21.1, "p99_ms": 52.0, "batch": 7.94, "store_us": 121.9, "bytes": 1445, "others": 0.79}
FOUR_SHIPPED = {"rate": 2742, "p50_ms": 22.9, "p99_ms": 53.3, "batch": 7.80, "store_us": 138.6, "bytes": 1494, "lag_s": 0.0, "others": 0.72}
DRAINED = {"rate": 4708, "others": 0.75}

//! Killed under load again and again, at random moments, on one log.

use std::time::{Duration, Instant};

use tower_audit::{Phase, Timestamp};

use crate::support::{Folder, Record, SOON, Server, Settings, Shot, alone, integrity, load_while, until, url};

const KILLS: usize = 40;
/// On a log of JSON lines, whose recovery is another.
#[cfg(feature = "jsonl")]
const JSONL_KILLS: usize = 16;
/// On DuckDB.
#[cfg(feature = "duckdb")]
const DUCKDB_KILLS: usize = 16;
/// On a tee of both.
#[cfg(feature = "jsonl")]
const TEE_KILLS: usize = 12;
/// In front of SQLite.
const SPOOL_KILLS: usize = 16;
const CLIENTS: usize = 16;
/// The largest number of responses before a kill.
const MOST_RESPONSES: usize = 400;

#[test]
fn what_was_answered_survives_every_kill() {
    let folder = Folder::new();
    survives(&folder, &url(&folder.database()), KILLS);
    assert_eq!(integrity(&folder.database()), "ok");
}

/// Small files, so that rotation and compression are killed too.
#[cfg(feature = "jsonl")]
#[test]
fn what_was_answered_survives_every_kill_in_json_lines() {
    let folder = Folder::new();
    let path = folder.path().join("audit.jsonl");
    survives(&folder, &format!("jsonl:{}?rotate_bytes=64K&gzip=true", path.display()), JSONL_KILLS);
}

/// One process at a time has the file: the next one replays what the killed one has left in the write-ahead log.
#[cfg(feature = "duckdb")]
#[test]
fn what_was_answered_survives_every_kill_in_duckdb() {
    let folder = Folder::new();
    survives(&folder, &crate::duckdb_library::url(&folder.path().join("audit.duckdb")), DUCKDB_KILLS);
}

#[cfg(feature = "mysql")]
#[test]
fn what_was_answered_survives_every_kill_of_an_instance_on_mariadb() {
    let mariadb = crate::mariadb::Server::start();
    let database = mariadb.database();
    let record = kill_instances(&database.url(), MOST_RESPONSES);
    let left = "SELECT (SELECT COUNT(*) FROM audit_events_started), (SELECT COUNT(*) FROM audit_events_writers)";
    assert_eq!(database.sql(left), "0\t0");
    println!("kill on MariaDB: {} kills, {} events", ROUNDS * INSTANCES, record.len());
}

/// Killed between the steps of an append, which are no transaction.
#[cfg(feature = "mongodb")]
#[test]
fn what_was_answered_survives_every_kill_of_an_instance_on_mongodb() {
    let server = crate::mongodb_server::MongodbServer::start(&[]);
    let url = server.new_url();
    // The server of the tests takes a few hundred events a second.
    let record = kill_instances(&url, MOST_RESPONSES / 10);
    // One that was never stored stays in the list for a day.
    let left = server.shell(
        &url,
        "ids = [document['_id'] for document in db.audit_events_started.find()]\n\
         out(db.audit_events.count_documents({'event_id': {'$in': ids}}))",
    );
    assert_eq!(left, "0");
    let unknown = record.of_phase(Phase::Unknown).count();
    println!("kill on MongoDB: {} kills, {} events, {unknown} of them unknown", ROUNDS * INSTANCES, record.len());
    assert!(unknown > 0, "no kill ever hit an action that had started: this run has shown little");
}

#[cfg(any(feature = "mongodb", feature = "mysql"))]
const ROUNDS: usize = 4;
#[cfg(any(feature = "mongodb", feature = "mysql"))]
const INSTANCES: usize = 4;

/// Kills four instances at a time: each start waits for three seconds before it takes the one before it for dead.
#[cfg(any(feature = "mongodb", feature = "mysql"))]
fn kill_instances(url: &str, most_responses: usize) -> Record {
    let _turn = alone();
    let folder = Folder::new();
    let settings = Settings::new(url).env("EFFECTS", folder.effects_file());
    let mut shots = Vec::new();
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            let instances: Vec<_> = (0..INSTANCES)
                .map(|instance| {
                    let settings = &settings;
                    let kill = round * INSTANCES + instance;
                    scope.spawn(move || kill_under_load(settings.start(), kill, most_responses))
                })
                .collect();
            shots.extend(instances.into_iter().map(|instance| instance.join().expect("a kill does not panic")));
        });
    }
    // The last start closes the events that the last kills left open.
    settings.start().stop();

    let record = Record::read_url(url);
    record.assert_successes(shots.iter().flatten());
    record.assert_all_ended();
    record.assert_no_effect_without_record(&folder.effects(), shots.iter().flatten());
    record
}

/// Each member has each event that was acknowledged, once.
#[cfg(feature = "jsonl")]
#[test]
fn what_was_answered_survives_every_kill_in_both_members_of_a_tee() {
    let folder = Folder::new();
    let members = [url(&folder.database()), format!("jsonl:{}", folder.path().join("audit.jsonl").display())];
    let file = folder.path().join("tee.toml");
    let text = format!(
        "[[members]]\nname = 'database'\nurl = '{}'\n[[members]]\nname = 'lines'\nurl = '{}'\n",
        members[0], members[1]
    );
    std::fs::write(&file, text).expect("the folder can be written to");
    let shots = survives(&folder, &format!("tee:{}", file.display()), TEE_KILLS);
    for member in members {
        Record::read_url(&member).assert_successes(&shots);
    }
    assert_eq!(integrity(&folder.database()), "ok");
}

/// The process that starts next ships what the killed one has left, and closes what it left open.
#[test]
fn what_was_answered_survives_every_kill_in_a_spool() {
    let folder = Folder::new();
    let target = url(&folder.database());
    survives(&folder, &format!("spool:{}?to={target}", folder.path().join("spool").display()), SPOOL_KILLS);
    assert_eq!(integrity(&folder.database()), "ok");
    let record = Record::read(&folder.database());
    record.assert_all_ended();
}

/// Returns what was sent.
fn survives(folder: &Folder, url: &str, kills: usize) -> Vec<Shot> {
    let _turn = alone();
    let begun = Instant::now();
    let settings = Settings::new(url).env("EFFECTS", folder.effects_file());
    let mut shots = Vec::new();
    let mut killed_at = Vec::new();
    for kill in 0..kills {
        if kill % 4 == 3 {
            kill_while_starting(&settings);
        }
        shots.push(kill_under_load(settings.start(), kill, MOST_RESPONSES));
        killed_at.push(Timestamp::now());
    }
    // The last start closes the events that the last kill left open.
    settings.start().stop();

    let record = Record::read_url(url);
    record.assert_successes(shots.iter().flatten());
    record.assert_all_ended();
    let effects = record.assert_no_effect_without_record(&folder.effects(), shots.iter().flatten());
    assert_closed_by_the_next_start(&record, &killed_at);

    let sent: usize = shots.iter().map(Vec::len).sum();
    let successes = shots.iter().flatten().filter(|shot| shot.is_success()).count();
    let cut = shots.iter().flatten().filter(|shot| shot.status.is_none()).count();
    let unknown = record.of_phase(Phase::Unknown).count();
    println!(
        "kill: {kills} kills under load and {} while starting, {sent} requests, {successes} of them 2xx, {cut} cut \
         off, {effects} effects, {} events, {unknown} of them unknown, {:?}",
        kills / 4,
        record.len(),
        begun.elapsed(),
    );
    assert!(unknown > 0, "no kill ever hit an action that had started: this run has shown little");
    assert!(begun.elapsed() < Duration::from_secs(60), "too slow to be run often: {:?}", begun.elapsed());
    shots.into_iter().flatten().collect()
}

/// A kill may come before the log is open, while orphans are closed, or while the server listens.
fn kill_while_starting(settings: &Settings) {
    let moment = Duration::from_micros(fastrand::u64(..60_000));
    let begun = Instant::now();
    let starting = settings.spawn();
    until("the moment of the kill", SOON, || (begun.elapsed() >= moment).then_some(()));
    starting.kill();
}

fn kill_under_load(server: Server, kill: usize, most_responses: usize) -> Vec<Shot> {
    let responses = fastrand::usize(1..=most_responses);
    let address = server.address();
    load_while(address, CLIENTS, &format!("kill-{kill}"), |progress| {
        until("the clients get their responses", SOON, || (progress.successes() >= responses).then_some(()));
        assert_eq!(progress.failures(), 0, "{}", server.said());
        server.kill();
    })
}

/// An `unknown` event is there before the next server takes its first request.
#[track_caller]
fn assert_closed_by_the_next_start(record: &Record, killed_at: &[Timestamp]) {
    for unknown in record.of_phase(Phase::Unknown) {
        let started = unknown.request.started_event_id.expect("it says what it ends");
        let started = record.of_phase(Phase::Started).find(|event| event.event_id == started).expect("it is there");
        let died = killed_at.iter().find(|at| **at >= started.created_at).expect("it was killed later");
        let next = killed_at.iter().find(|at| *at > died);
        assert!(unknown.created_at >= *died, "closed while its server lived");
        assert!(next.is_none_or(|next| unknown.created_at < *next), "not closed by the next start");
    }
}

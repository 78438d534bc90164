//! The database is away under load, the service is killed meanwhile, and the database comes back.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tower_audit::{AuditEvent, EventId, Phase};

use crate::cluster::{Cluster, Database};
use crate::support::{Folder, Record, SOON, Settings, alone, load_while, run, until};

const CLIENTS: usize = 8;
/// Kills while the database is away. The contract says two.
const KILLS: usize = 3;
/// Responses before each kill, and before the end. `SPOOL_OUTAGE_RESPONSES` sets another number, for an outage of an hour's load.
const RESPONSES: usize = 300;
/// A lower bound of the responses and of the shipped events a second, for the limits of the waits.
const LEAST_RATE: u64 = 50;

/// The ids of the events in each process's folder, in the order of its appends.
fn waiting(directory: &Path) -> Vec<Vec<String>> {
    let sorted = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("it is a folder");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    };
    let ids_in = |segment: PathBuf| {
        let text = fs::read_to_string(segment).expect("frames are text");
        let events = text.lines().filter(|line| !line.starts_with('#'));
        let ids = events.map(|line| serde_json::from_str::<AuditEvent>(line).expect("an event").event_id.to_string());
        ids.collect::<Vec<_>>()
    };
    let folders = sorted(directory).into_iter();
    let segments = folders.map(|folder| {
        sorted(&folder).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "segment"))
    });
    segments.map(|segments| segments.flat_map(ids_in).collect()).collect()
}

/// The ids in the database, each with the number of the transaction that has inserted it: an append of the shipper. (Where a row lies says
/// less: a small one goes to an older page with room.)
fn transactions(database: &Database<'_>) -> HashMap<String, u64> {
    let rows = database.sql("SELECT replace(event_id::text, '-', ''), xmin FROM audit_events");
    let rows = rows.lines().map(|row| row.split_once('|').expect("two columns"));
    rows.map(|(id, transaction)| (id.to_owned(), transaction.parse().expect("a number"))).collect()
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_while_the_database_is_away() {
    let _turn = alone();
    let begun = Instant::now();
    let responses = std::env::var("SPOOL_OUTAGE_RESPONSES").map_or(RESPONSES, |set| set.parse().expect("a number"));
    let enough_time = |events: u64| SOON + Duration::from_secs(events / LEAST_RATE);
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = Folder::new();
    let target = folder.path().join("target");
    fs::write(&target, database.url()).expect("the file of the target's URL");
    let directory = folder.path().join("spool");
    let url = format!("spool:{}?to_file={}", directory.display(), target.display());
    let settings = Settings::new(&url).env("EFFECTS", folder.effects_file());
    let mut shots = Vec::new();
    for kill in 0..=KILLS {
        let server = settings.start();
        let address = server.address();
        let mut server = Some(server);
        shots.extend(load_while(address, CLIENTS, &format!("outage-{kill}"), |progress| {
            let answered = |count: usize| {
                let limit = enough_time(count as u64);
                until("the clients get their responses", limit, || (progress.successes() >= count).then_some(()));
            };
            answered(RESPONSES / 2);
            if kill == 0 {
                cluster.stop();
            }
            // While the database is away, requests succeed as before.
            answered(responses);
            let server = server.take().expect("it runs");
            assert_eq!(progress.failures(), 0, "{}", server.said());
            if kill < KILLS {
                server.kill();
            } else {
                server.stop();
            }
        }));
    }
    let program = env!("CARGO_BIN_EXE_tower-audit");
    let listed = run(program, &["spool", "list", "--format", "json", directory.to_str().expect("text")]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let left: u64 =
        listed["backlogs"].as_array().expect("a list").iter().map(|it| it["events"].as_u64().unwrap_or(0)).sum();
    assert!(left > 0, "the database was away: {listed}");
    let waiting = waiting(&directory);
    cluster.resume();
    let shipped_before: HashSet<String> = transactions(&database).into_keys().collect();
    let returned = Instant::now();
    // The next process ships what the others left, each in its order.
    let server = settings.start();
    until("everything is shipped", enough_time(left), || {
        fs::read_dir(&directory).expect("it is there").count().le(&1).then_some(())
    });
    let drained = returned.elapsed();
    server.stop();

    let record = Record::read_url(&database.url());
    record.assert_successes(&shots);
    record.assert_all_ended();
    let effects = record.assert_no_effect_without_record(&folder.effects(), &shots);
    // Once, and in the order of each process.
    assert_eq!(database.sql("SELECT count(*) FROM audit_events"), record.len().to_string());
    let transactions = transactions(&database);
    assert_eq!(transactions.len(), record.len());
    for ids in &waiting {
        let left: Vec<&str> = ids.iter().map(String::as_str).filter(|id| !shipped_before.contains(*id)).collect();
        assert!(left.is_sorted_by_key(|id| transactions[*id]), "a process's events were shipped in another order");
    }
    let waited: usize = waiting.iter().map(Vec::len).sum();
    assert!(waited as u64 >= left, "{waited} events are in the segments, and {left} were listed");
    let mut pairs = 0;
    for end in record.of_phase(Phase::Completed).chain(record.of_phase(Phase::Unknown)) {
        if let Some(started) = end.request.started_event_id {
            let transaction = |id: EventId| transactions[id.to_string().as_str()];
            assert!(transaction(started) <= transaction(end.event_id), "{started} came behind its end");
            pairs += 1;
        }
    }
    assert!(pairs > 0);
    let successes = shots.iter().filter(|shot| shot.is_success()).count();
    println!(
        "outage: {KILLS} kills while the database was away, {} requests, {successes} of them 2xx, {effects} effects, {} events; \
         {left} waited in the spool and were shipped {drained:?} after the database's return; {:?} in all",
        shots.len(),
        record.len(),
        begun.elapsed(),
    );
}

//! The database is away under load, the service is killed meanwhile, and the database comes back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tower_audit::{EventId, Phase};

use crate::cluster::Cluster;
use crate::support::{Folder, Record, SOON, Settings, alone, load_while, run, until};

const CLIENTS: usize = 8;
/// Kills while the database is away. The contract says two.
const KILLS: usize = 3;
/// Responses before each kill, and before the end.
const RESPONSES: usize = 300;

#[test]
fn nothing_acknowledged_is_lost_or_doubled_while_the_database_is_away() {
    let _turn = alone();
    let begun = Instant::now();
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = Folder::new();
    let target = folder.path().join("target");
    std::fs::write(&target, database.url()).expect("the file of the target's URL");
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
                until("the clients get their responses", SOON, || (progress.successes() >= count).then_some(()));
            };
            answered(RESPONSES / 2);
            if kill == 0 {
                cluster.stop();
            }
            // While the database is away, requests succeed as before.
            answered(RESPONSES);
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
    cluster.resume();
    let returned = Instant::now();
    // The next process ships what the others left, each in its order.
    let server = settings.start();
    until("everything is shipped", Duration::from_secs(30), || {
        std::fs::read_dir(&directory).expect("it is there").count().le(&1).then_some(())
    });
    let drained = returned.elapsed();
    server.stop();

    let record = Record::read_url(&database.url());
    record.assert_successes(&shots);
    record.assert_all_ended();
    let effects = record.assert_no_effect_without_record(&folder.effects(), &shots);
    // In order and once: a row lies where it was inserted, and no `started` event behind its end.
    let rows = database.sql("SELECT replace(event_id::text, '-', '') FROM audit_events ORDER BY tableoid, ctid");
    let places: HashMap<&str, usize> = rows.lines().enumerate().map(|(place, id)| (id, place)).collect();
    assert_eq!(places.len(), record.len());
    let mut pairs = 0;
    for end in record.of_phase(Phase::Completed).chain(record.of_phase(Phase::Unknown)) {
        if let Some(started) = end.request.started_event_id {
            let place = |id: EventId| places[id.to_string().as_str()];
            assert!(place(started) < place(end.event_id), "{started} came behind its end");
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

//! Many instances of a service on one database, as they are deployed: they may append and nothing else. They are killed,
//! and so is the database, under load.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tower_audit::Phase;

use crate::cluster::{Cluster, Database, unique};
use crate::support::{Folder, Place, Record, SOON, Server, Settings, Shot, alone, load_everywhere_while, run, until};

const INSTANCES: usize = 4;
/// Clients of each instance.
const CLIENTS: usize = 4;
/// In each round two instances are killed, and the database once.
const ROUNDS: usize = 3;
/// Rounds: together 20 kills of an instance and 10 of the database.
const FULL: (&str, usize) = ("TOWER_AUDIT_FULL_CAMPAIGN", 10);
/// The longest time from the database's return to an answer of each surviving instance.
const RECOVERY: Duration = Duration::from_secs(2);

#[test]
fn what_was_answered_survives_every_kill_of_an_instance_and_of_the_database() {
    let _turn = alone();
    let begun = Instant::now();
    let rounds = if std::env::var_os(FULL.0).is_some() { FULL.1 } else { ROUNDS };
    let cluster = Cluster::start();
    let database = cluster.database();
    let folder = Folder::new();
    let settings = deployed(&database, &folder);

    let places: Vec<Place> = (0..INSTANCES).map(|_| Place::default()).collect();
    let (shots, recoveries) = load_everywhere_while(&places, CLIENTS, "many", || {
        let mut servers: Vec<Server> = places.iter().map(|place| start_at(&settings, place)).collect();
        let mut recoveries = Vec::new();
        for round in 0..rounds {
            recoveries.extend(one_round(&cluster, &settings, &places, &mut servers, round));
        }
        work(&places, 20);
        for (place, server) in places.iter().zip(servers) {
            place.set(None);
            server.stop();
        }
        recoveries
    });
    // The last start closes the events that are still open.
    settings.start().stop();

    let record = Record::read_url(&database.url());
    record.assert_successes(&shots);
    record.assert_all_ended();
    let effects = record.assert_no_effect_without_record(&folder.effects(), &shots);
    let left = "SELECT (SELECT count(*) FROM audit_events_started), (SELECT count(*) FROM audit_events_writers)";
    assert_eq!(database.sql(left), "0|0");
    let answered = |shot: &&Shot| shot.answer.is_some();
    for shot in shots.iter().filter(answered).filter(|shot| !shot.is_success()) {
        assert!(matches!(shot.status, Some(500 | 503)), "{} was answered with {:?}", shot.id, shot.status);
    }

    let successes = shots.iter().filter(|shot| shot.is_success()).count();
    let unknown = record.of_phase(Phase::Unknown).count();
    let slowest = recoveries.iter().max().copied().unwrap_or_default();
    println!(
        "many: {} kills of an instance and {rounds} of the database ({} makes it {}), {} requests, {successes} of them \
         2xx, {} failed, {} cut off, {effects} effects, {} events, {unknown} of them unknown; back {:?} after the \
         database at the latest, {:?} in all",
        2 * rounds,
        FULL.0,
        FULL.1,
        shots.len(),
        shots.iter().filter(answered).count() - successes,
        shots.iter().filter(|shot| shot.status.is_none()).count(),
        record.len(),
        slowest,
        begun.elapsed(),
    );
    assert!(unknown > 0, "no kill ever hit an action that had started: this run has shown little");
}

/// The tables by their owner; the service as a member of the role that appends.
fn deployed(database: &Database<'_>, folder: &Folder) -> Settings {
    let program = env!("CARGO_BIN_EXE_tower-audit");
    let made = run(program, &["migrate", "--roles", "--url", &database.url()]);
    assert!(made.contains(&database.role("appender")), "{made}");
    let account = unique("service");
    database.sql(&format!("CREATE ROLE {account} LOGIN IN ROLE {}", database.role("appender")));
    Settings::new(&database.url_as(&account)).env("EFFECTS", folder.effects_file())
}

fn start_at(settings: &Settings, place: &Place) -> Server {
    let server = settings.start();
    place.set(Some(server.address()));
    server
}

/// Waits until each of the places has answered so many requests.
fn work(places: &[Place], requests: usize) {
    for place in places {
        let before = place.successes();
        until("the instance answers", SOON, || (place.successes() >= before + requests).then_some(()));
    }
}

/// Kills an instance under load, then the database, then another instance during the outage. Returns the time until
/// the others answered again.
fn one_round(
    cluster: &Cluster,
    settings: &Settings,
    places: &[Place],
    servers: &mut Vec<Server>,
    round: usize,
) -> Vec<Duration> {
    work(places, fastrand::usize(1..40));
    let first = round % INSTANCES;
    let second = (first + 1 + round % (INSTANCES - 1)) % INSTANCES;
    let mut victims: Vec<(usize, Server)> = Vec::new();
    let mut survivors: Vec<(usize, Server)> = Vec::new();
    for (place, server) in servers.drain(..).enumerate() {
        if place == first || place == second { &mut victims } else { &mut survivors }.push((place, server));
    }
    kill(&mut victims, first, places);
    cluster.crash();
    kill(&mut victims, second, places);
    let before: Vec<usize> = survivors.iter().map(|(place, _)| places[*place].successes()).collect();
    cluster.resume();
    let back = Instant::now();

    let slowest = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Meanwhile the killed instances start again. They must not take the others for dead.
        let starting: Vec<_> = [first, second]
            .map(|place| scope.spawn(move || (place, start_at(settings, &places[place]))))
            .into_iter()
            .collect();
        for ((place, server), before) in survivors.iter().zip(before) {
            until("an instance answers again", SOON, || (places[*place].successes() > before).then_some(()));
            let after = back.elapsed();
            assert!(
                after < RECOVERY,
                "instance {place} answered {after:?} after the database was back: {}",
                server.said()
            );
            slowest.fetch_max(usize::try_from(after.as_micros()).unwrap_or(usize::MAX), Ordering::Relaxed);
        }
        survivors.extend(starting.into_iter().map(|starting| starting.join().expect("it starts")));
    });
    survivors.sort_by_key(|(place, _)| *place);
    servers.extend(survivors.into_iter().map(|(_, server)| server));
    vec![Duration::from_micros(slowest.into_inner() as u64)]
}

fn kill(victims: &mut Vec<(usize, Server)>, which: usize, places: &[Place]) {
    places[which].set(None);
    let index = victims.iter().position(|(place, _)| *place == which).expect("it is one of them");
    victims.swap_remove(index).1.kill();
}

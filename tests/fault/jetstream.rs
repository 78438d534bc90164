//! Four instances of a service on a JetStream cluster of three servers, under load, and the program that ships their events into a
//! database that is read. Servers are killed, one loses its disk, some are cut off from the others, and the program is killed.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Runtime;
use tower_audit::Phase;
use tower_audit::store::{OpenOptions, open};

use crate::nats_cluster::network::Cable;
use crate::nats_cluster::{Cluster, program};
use crate::support::{
    Folder, Kind, Place, Record, Server, Settings, Shot, alone, in_own_network, load_everywhere_while, try_run, until,
    url,
};

const NAME: &str = "jetstream::what_was_answered_is_in_the_readable_store_once";
const INSTANCES: usize = 4;
/// Clients of each instance.
const CLIENTS: usize = 4;
const STREAM: &str = "AUDIT-0";

/// The number of things that go wrong.
struct Plan {
    /// Of servers, the leader and another one in turn. The first one loses its disk.
    kills: usize,
    /// Of the shipping program, at every second kill of a server.
    ship_kills: usize,
    cuts: &'static [Cut],
}

const SHORT: Plan = Plan { kills: 2, ship_kills: 1, cuts: &[Cut { leader: true, clients: false }] };
const FULL: Plan = Plan {
    kills: 20,
    ship_kills: 10,
    cuts: &[
        Cut { leader: true, clients: false },
        Cut { leader: false, clients: false },
        Cut { leader: true, clients: true },
    ],
};
/// Runs the full plan.
const CAMPAIGN: &str = "TOWER_AUDIT_FULL_CAMPAIGN";

/// A server that the others cannot reach.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// The stream's leader, or another one.
    leader: bool,
    /// Clients cannot reach it, either.
    clients: bool,
}

/// The longest time from the death of a server to the next success of each instance.
const RESUMED: Duration = Duration::from_secs(10);
/// The others elect a leader within nine seconds, and their clients find it.
const RESUMED_AFTER_CUT: Duration = Duration::from_secs(15);
/// More than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);
/// A server without its files catches up beside a load that never pauses.
const CAUGHT_UP: Duration = Duration::from_secs(300);
/// Growth of an instance's memory, in KiB, from the first kill to the end. Its queue may hold 64 MiB.
const GROWTH: u64 = 24 * 1024;

#[test]
fn what_was_answered_is_in_the_readable_store_once() {
    let _turn = alone();
    program();
    in_own_network(NAME, || campaign(if std::env::var_os(CAMPAIGN).is_some() { &FULL } else { &SHORT }));
}

fn campaign(plan: &Plan) {
    let begun = Instant::now();
    let runtime = Runtime::new().expect("a runtime");
    let cluster = Cluster::start_on_hosts();
    // A cluster that has just started takes longer than a service waits.
    let options = OpenOptions::new().timeout(Duration::from_secs(30));
    runtime.block_on(open(&cluster.url(""), options)).expect("the cluster is there");
    let folder = Folder::new();
    let settings = Settings::new(&cluster.url("")).env("EFFECTS", folder.effects_file());
    let places: Vec<Place> = (0..INSTANCES).map(|_| Place::default()).collect();
    let servers: Vec<Server> = places.iter().map(|place| start_at(&settings, place)).collect();
    let mut scene =
        Scene { cluster: &cluster, runtime: &runtime, places: &places, folder: &folder, troubles: Vec::new() };
    let mut programs = [scene.ship(), scene.ship()];

    let (shots, memory) = load_everywhere_while(&places, CLIENTS, "js", || {
        work(&places, 20);
        let before = memory(&servers);
        let mut most = before.clone();
        for kill in 0..plan.kills {
            scene.kill_a_server(kill, || {
                // Every second time the program that ships dies beside the server, and the other one takes over.
                if !kill.is_multiple_of(2) && kill / 2 < plan.ship_kills {
                    programs[kill / 2 % 2] = scene_ship(&cluster, &folder);
                    let before = stored(&folder);
                    until("the other program ships", LONG, || (stored(&folder) > before).then_some(()));
                }
            });
            raise(&mut most, &memory(&servers));
        }
        for cut in plan.cuts {
            scene.cut_off(*cut);
            raise(&mut most, &memory(&servers));
        }
        work(&places, 20);
        (before, most)
    });
    let loaded = begun.elapsed();
    for server in servers {
        server.stop();
    }
    let shipped = Instant::now();
    until("everything is shipped", LONG, || scene.is_shipped().then_some(()));
    let behind = shipped.elapsed();
    drop(programs);

    let record = Record::read_url(&url(&folder.database()));
    let (before, most) = memory;
    say(plan, &scene.troubles, &shots, &record);
    println!(
        "{NAME}: memory of the instances at the first kill {before:?} KiB, at most {most:?} KiB; {loaded:?} under load, shipped \
         {behind:?} after its end, {:?} in all",
        begun.elapsed()
    );
    check(&record, &shots, &folder);
    for trouble in &scene.troubles {
        for place in 0..INSTANCES {
            let took = trouble.resumed(&shots, place).unwrap_or(Duration::MAX);
            assert!(took < trouble.limit, "instance {place} answered {took:?} after {}", trouble.what);
        }
    }
    for (before, most) in before.iter().zip(&most) {
        assert!(*most < before + GROWTH, "the memory of an instance grew from {before} to {most} KiB");
    }
}

/// Something that went wrong, and when.
struct Trouble {
    what: String,
    at: Instant,
    limit: Duration,
}

impl Trouble {
    /// Returns the time until the first success of a request at this instance that was sent later.
    fn resumed(&self, shots: &[Shot], place: usize) -> Option<Duration> {
        let later = shots.iter().filter(|shot| shot.is_success() && shot.sent >= self.at && place_of(shot) == place);
        later.map(|shot| shot.sent + shot.took - self.at).min()
    }
}

struct Scene<'a> {
    cluster: &'a Cluster,
    runtime: &'a Runtime,
    places: &'a [Place],
    folder: &'a Folder,
    troubles: Vec<Trouble>,
}

impl Scene<'_> {
    fn ship(&self) -> Shipping {
        scene_ship(self.cluster, self.folder)
    }

    fn leader(&self, without: Option<usize>) -> usize {
        self.runtime.block_on(async {
            let client = self.cluster.client_without(without).await;
            self.cluster.leader(&client, STREAM).await
        })
    }

    fn caught_up(&self) {
        self.runtime.block_on(async {
            let client = self.cluster.client().await;
            self.cluster.caught_up_within(&client, STREAM, CAUGHT_UP).await;
        });
    }

    fn trouble(&mut self, what: String, limit: Duration) {
        self.troubles.push(Trouble { what, at: Instant::now(), limit });
    }

    /// Kills a server, waits until each instance answers, runs `meanwhile`, and starts it again.
    fn kill_a_server(&mut self, kill: usize, meanwhile: impl FnOnce()) {
        let leader = self.leader(None);
        let victim = if kill.is_multiple_of(2) { leader } else { (leader + 1 + kill / 2 % 2) % 3 };
        let kind = if victim == leader { "leader" } else { "follower" };
        self.trouble(format!("kill {kill}, of the {kind}"), RESUMED);
        self.cluster.kill(victim);
        work(self.places, 5);
        meanwhile();
        if kill == 0 {
            self.cluster.wipe(victim);
        }
        self.cluster.resume(victim);
        let back = Instant::now();
        self.caught_up();
        if kill == 0 {
            println!("{NAME}: the server that had lost its disk had a current copy after {:?}", back.elapsed());
        }
    }

    /// Cuts a server off from the others, waits until each instance answers and the others have a leader, and joins it again.
    fn cut_off(&mut self, cut: Cut) {
        let leader = self.leader(None);
        let victim = if cut.leader { leader } else { (leader + 1) % 3 };
        let cables = if cut.clients { &[Cable::Peers, Cable::Clients][..] } else { &[Cable::Peers] };
        self.trouble(format!("{cut:?}"), RESUMED_AFTER_CUT);
        for cable in cables {
            self.cluster.network().cut(victim, *cable);
        }
        work(self.places, 20);
        assert!(self.leader(Some(victim)) != victim, "the others have no leader");
        for cable in cables {
            self.cluster.network().join(victim, *cable);
        }
        self.caught_up();
        work(self.places, 5);
    }

    /// Returns true if the consumer has acknowledged all of the stream.
    fn is_shipped(&self) -> bool {
        let words = ["ship", "--status", "--from", &self.cluster.url("")];
        let Ok(status) = try_run(PROGRAM, &words) else { return false };
        let status: Value = serde_json::from_str(&status).expect("JSON");
        status.as_array().is_some_and(|streams| {
            !streams.is_empty() && streams.iter().all(|one| one["pending"] == 0 && one["unacknowledged"] == 0)
        })
    }
}

/// The program that ships, killed when it is dropped.
struct Shipping(Child);

impl Drop for Shipping {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn scene_ship(cluster: &Cluster, folder: &Folder) -> Shipping {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.path().join("ship.log"));
    let mut command = Command::new(PROGRAM);
    command.args(["ship", "--follow", "--from", &cluster.url(""), "--to", &url(&folder.database())]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
    Shipping(command.spawn().expect("the program starts"))
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_tower-audit");

fn start_at(settings: &Settings, place: &Place) -> Server {
    let server = settings.start();
    place.set(Some(server.address()));
    server
}

/// Waits until each instance has answered so many further requests.
fn work(places: &[Place], requests: usize) {
    let before: Vec<_> = places.iter().map(Place::successes).collect();
    until("every instance answers", LONG, || {
        places.iter().zip(&before).all(|(place, before)| place.successes() >= before + requests).then_some(())
    });
}

/// The number of events in the database, 0 while there is none.
fn stored(folder: &Folder) -> u64 {
    let counted = try_run(PROGRAM, &["count", "--url", &url(&folder.database())]);
    counted.ok().and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// The resident memory of each instance, in KiB.
fn memory(servers: &[Server]) -> Vec<u64> {
    let of = |server: &Server| {
        let status = fs::read_to_string(Path::new("/proc").join(server.pid().to_string()).join("status"));
        let status = status.expect("an instance lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of it");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    };
    servers.iter().map(of).collect()
}

fn raise(most: &mut [u64], now: &[u64]) {
    for (most, now) in most.iter_mut().zip(now) {
        *most = (*most).max(*now);
    }
}

/// The instance that a request was sent to, by the number of its client.
fn place_of(shot: &Shot) -> usize {
    let client = shot.id.split('-').nth(1).and_then(|number| number.parse::<usize>().ok());
    client.expect("a request has the number of its client") % INSTANCES
}

/// Every 2xx has exactly one `completed` event, and one `started` event if it is an administrator's; no instance has died, so every request was
/// answered; and what was not recorded was answered as the promise says.
fn check(record: &Record, shots: &[Shot], folder: &Folder) {
    record.assert_successes(shots);
    record.assert_no_effect_without_record(&folder.effects(), shots);
    let started = record.counts(Phase::Started);
    for shot in shots.iter().filter(|shot| shot.kind == Kind::Admin && shot.is_success()) {
        assert_eq!(started.get(shot.id.as_str()), Some(&1), "the start of {}", shot.id);
    }
    let ids: HashSet<_> = shots.iter().map(|shot| &shot.id).collect();
    assert_eq!(ids.len(), shots.len(), "two requests have one id");
    for shot in shots.iter().filter(|shot| !shot.is_success()) {
        assert!(matches!(shot.status, Some(500 | 503)), "{} was answered with {:?}", shot.id, shot.status);
    }
}

fn say(plan: &Plan, troubles: &[Trouble], shots: &[Shot], record: &Record) {
    let mut slowest: Vec<(&str, Duration)> = Vec::new();
    for trouble in troubles {
        let took = (0..INSTANCES).filter_map(|place| trouble.resumed(shots, place)).max().unwrap_or_default();
        println!("{NAME}: every instance answered {took:?} after {}", trouble.what);
        let kind = if trouble.what.contains("leader: true") || trouble.what.ends_with("the leader") {
            "a leader's"
        } else {
            "another server's"
        };
        match slowest.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, most)) => *most = (*most).max(took),
            None => slowest.push((kind, took)),
        }
    }
    let with = |status| shots.iter().filter(|shot| shot.status == Some(status)).count();
    println!(
        "{NAME}: {} kills of a server, {} of the shipping program, {} servers cut off ({CAMPAIGN} makes it {}, {} and {}): {} requests, {} of them 2xx, \
         {} answered 500 and {} 503; {} events in the readable store; the longest time without service: {slowest:?}",
        plan.kills,
        plan.ship_kills,
        plan.cuts.len(),
        FULL.kills,
        FULL.ship_kills,
        FULL.cuts.len(),
        shots.len(),
        shots.iter().filter(|shot| shot.is_success()).count(),
        with(500),
        with(503),
        record.len(),
    );
}

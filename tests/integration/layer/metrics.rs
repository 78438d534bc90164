//! The metrics of a log: what the app's recorder gets, and recorders that panic or use the log.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use http::StatusCode;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    set_default_local_recorder,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use tower::{Layer as _, ServiceExt as _};
use tower_audit::policy::presets;
use tower_audit::sealing::SealKey;
use tower_audit::store::conformance::{Fault, FaultyStore};
use tower_audit::store::{Durability, MemoryStore, StoreErrorKind};
use tower_audit::{AuditEvent, AuditLayer, AuditLog, EventType, Timestamp};

use crate::layer::support::{answering, delete, let_others_run, post};

const PAGE: &str = include_str!("../../../docs/metrics.md");
const ALERTS: &str = include_str!("../../../docs/alerts.yml");
const DASHBOARD: &str = include_str!("../../../docs/grafana.json");
const OPERATE: &str = include_str!("../../../docs/operate.md");

fn recorder() -> PrometheusRecorder {
    let buckets = [0.01, 1.0, 10.0];
    PrometheusBuilder::new().set_buckets(&buckets).expect("buckets").build_recorder()
}

/// The values of a text in Prometheus' format, by name and labels as they are written.
fn values(recorder: &PrometheusRecorder) -> BTreeMap<String, f64> {
    let text = recorder.handle().render();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

/// A log of this label: one of its own for each test, as they run in one process.
async fn faulty_log(label: &str) -> (AuditLog, FaultyStore) {
    let faulty = FaultyStore::new(Arc::new(MemoryStore::new()));
    let log = AuditLog::builder().store(Arc::new(faulty.clone())).metrics_label(label);
    (log.open().await.expect("the store is well for now"), faulty)
}

#[tokio::test(start_paused = true)]
async fn each_number_of_the_stats_is_a_metric() {
    let recorder = recorder();
    let _guard = set_default_local_recorder(&recorder);
    let (log, faulty) = faulty_log("orders").await;
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
    for fault in [
        None,
        Some(Fault::FailsAppend(StoreErrorKind::Permanent)),
        Some(Fault::FailsAppend(StoreErrorKind::Transient)),
        Some(Fault::HangsAppend),
    ] {
        faulty.set_fault(fault);
        for _ in 0..3 {
            service.clone().oneshot(post("/scans")).await.expect("infallible");
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stats = log.stats();
    assert!(stats.failed > 0 && stats.timed_out > 0 && stats.retries > 0 && stats.at_store > 0, "{stats:?}");
    let found = values(&recorder);
    for (name, expected) in [
        ("written_total", stats.written),
        ("failed_total", stats.failed),
        ("timed_out_total", stats.timed_out),
        ("rejected_total", stats.rejected),
        ("unrecorded_total", stats.unrecorded),
        ("transactional_total", stats.transactional),
        ("status_mismatches_total", stats.status_mismatches),
        ("batches_total", stats.batches),
        ("retries_total", stats.retries),
        ("abandoned_total", stats.abandoned),
        ("queued", stats.queued),
        ("at_store", stats.at_store),
        ("owed", stats.owed),
        ("detached", stats.detached),
    ] {
        let key = format!("tower_audit_{name}{{log=\"orders\"}}");
        assert_eq!(found.get(&key), Some(&(expected as f64)), "{key} of {found:#?}");
    }
    let fields = include_str!("../../../src/writer/stats.rs").lines();
    let fields = fields.filter(|line| line.trim().starts_with("pub ") && line.trim().ends_with(": u64,")).count();
    assert_eq!(fields, 14, "a new number needs a metric");
    // Each caller waited once, whatever became of its event.
    let waited =
        |result| found[&format!("tower_audit_write_duration_seconds_count{{log=\"orders\",result=\"{result}\"}}")];
    assert_eq!((waited("ok"), waited("failed")), (3.0, 9.0));
    assert!(found["tower_audit_append_duration_seconds_count{log=\"orders\",result=\"failed\"}"] > 3.0, "{found:#?}");
    assert_eq!(found["tower_audit_batch_events_sum{log=\"orders\"}"], 3.0);
}

#[test]
fn a_log_that_is_gone_leaves_no_level_behind() {
    let recorder = recorder();
    let _guard = set_default_local_recorder(&recorder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("one");
    let log = runtime.block_on(async {
        let (log, faulty) = faulty_log("ending").await;
        faulty.set_fault(Some(Fault::HangsAppend));
        log.record(AuditEvent::new(EventType::AUTH)).await.expect_err("the store hangs");
        log
    });
    let at_store = || values(&recorder)["tower_audit_at_store{log=\"ending\"}"];
    assert_eq!(at_store(), 1.0);
    // The worker ends with its runtime; the app may hold the log for ever.
    drop(runtime);
    assert_eq!(at_store(), 0.0);
    drop(log);
    assert_eq!(at_store(), 0.0);
}

/// `AuditStoreHangs` says that the store does not answer.
#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_once_has_no_events() {
    let recorder = recorder();
    let _guard = set_default_local_recorder(&recorder);
    let (log, faulty) = faulty_log("failing").await;
    faulty.set_fault(Some(Fault::FailsAppend(StoreErrorKind::Transient)));
    let writing = tokio::spawn({
        let log = log.clone();
        async move { log.record(AuditEvent::new(EventType::AUTH)).await }
    });
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(31)).await;
        assert_eq!(log.stats().at_store, 0, "it has answered");
        assert_eq!(values(&recorder)["tower_audit_at_store{log=\"failing\"}"], 0.0);
    }
    assert!(log.stats().retries > 1);
    faulty.set_fault(Some(Fault::HangsAppend));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(log.stats().at_store, 1);
    assert_eq!(values(&recorder)["tower_audit_at_store{log=\"failing\"}"], 1.0);
    faulty.set_fault(None);
    writing.abort();
}

#[tokio::test(start_paused = true)]
async fn events_are_counted_by_type_phase_and_outcome_and_logs_are_told_apart() {
    let recorder = recorder();
    let _guard = set_default_local_recorder(&recorder);
    let [first, second] =
        [AuditLog::open("memory:").await, AuditLog::open("memory:").await].map(|log| log.expect("open"));
    let service = AuditLayer::new(&first, presets::ivre()).layer(answering(StatusCode::FORBIDDEN));
    service.clone().oneshot(delete("/auth/admin/users/bob")).await.expect("infallible");
    first.record(AuditEvent::new(EventType::AUTH)).await.expect("it is kept");
    second.record(AuditEvent::new(EventType::AUTH)).await.expect("it is kept");
    for n in 0..100 {
        let event_type = EventType::new(&format!("many.n{n}")).expect("a type");
        second.record(AuditEvent::new(event_type)).await.expect("it is kept");
    }
    let_others_run().await;
    let found = values(&recorder);
    let added: Vec<(&str, f64)> = found
        .iter()
        .filter(|(key, _)| key.starts_with("tower_audit_events_total"))
        .map(|(key, value)| (key.as_str(), *value))
        .collect();
    let logs: BTreeSet<&str> = added.iter().filter_map(|(key, _)| key.split('"').nth(1)).collect();
    assert_eq!(logs.len(), 2, "{added:?}");
    let with = |rest: &str| added.iter().filter(|(key, _)| key.ends_with(rest)).map(|(_, value)| *value).sum::<f64>();
    assert_eq!(with("type=\"admin_action\",phase=\"started\",outcome=\"none\"}"), 1.0);
    assert_eq!(with("type=\"admin_action\",phase=\"completed\",outcome=\"4xx\"}"), 1.0);
    assert_eq!(with("type=\"auth\",phase=\"completed\",outcome=\"none\"}"), 2.0);
    // 64 types have a counter of their own; that of the second log's first event is one of them.
    assert_eq!(with("type=\"other\",phase=\"completed\",outcome=\"none\"}"), 37.0);
}

/// A recorder each of whose handles calls this.
#[derive(Clone)]
struct Calls(Arc<dyn Fn() + Send + Sync>);

impl CounterFn for Calls {
    fn increment(&self, _: u64) {
        (self.0)();
    }

    fn absolute(&self, _: u64) {
        (self.0)();
    }
}

impl GaugeFn for Calls {
    fn increment(&self, _: f64) {
        (self.0)();
    }

    fn decrement(&self, _: f64) {
        (self.0)();
    }

    fn set(&self, _: f64) {
        (self.0)();
    }
}

impl HistogramFn for Calls {
    fn record(&self, _: f64) {
        (self.0)();
    }
}

impl Recorder for Calls {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(self.clone()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(self.clone()))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(self.clone()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorder_that_panics_costs_nobody_an_answer() {
    let recorder = Calls(Arc::new(|| panic!("the recorder is broken")));
    let _guard = set_default_local_recorder(&recorder);
    let (log, faulty) = faulty_log("panicking").await;
    let service = AuditLayer::new(&log, presets::ivre()).layer(answering(StatusCode::OK));
    for (fault, status) in [(None, 200), (Some(Fault::FailsAppend(StoreErrorKind::Permanent)), 500), (None, 200)] {
        faulty.set_fault(fault);
        for request in [post("/scans"), post("/view")] {
            let answer = service.clone().oneshot(request).await.expect("infallible");
            assert_eq!(answer.status(), status, "{fault:?}");
        }
    }
    assert_eq!((log.stats().written, log.stats().failed), (4, 2));
    log.close().await.expect("nothing is left");
}

#[tokio::test(start_paused = true)]
async fn a_recorder_may_use_the_log() {
    // A call under a lock of the log would wait for itself.
    let log = Arc::new(OnceLock::<AuditLog>::new());
    let known = Arc::clone(&log);
    let recorder = Calls(Arc::new(move || drop(known.get().map(|log| (log.stats(), log.subscribe())))));
    let _guard = set_default_local_recorder(&recorder);
    let (opened, faulty) = faulty_log("calling").await;
    log.set(opened.clone()).expect("once");
    let service = AuditLayer::new(&opened, presets::ivre()).layer(answering(StatusCode::OK));
    for fault in [None, Some(Fault::FailsAppend(StoreErrorKind::Transient)), None, Some(Fault::HangsAppend)] {
        faulty.set_fault(fault);
        let requests = (0..20).map(|_| service.clone().oneshot(delete("/auth/admin/users/bob")));
        futures_util::future::join_all(requests).await;
    }
    assert!(opened.stats().written >= 80 && opened.stats().timed_out >= 20, "{:?}", opened.stats());
}

#[tokio::test]
async fn a_sealed_log_tells_when_it_was_last_sealed() {
    let recorder = recorder();
    let _guard = set_default_local_recorder(&recorder);
    let folder = tempfile::tempdir().expect("a folder");
    let key = SealKey::create(folder.path().join("key"), "example.com/audit").expect("a key");
    let log = AuditLog::builder().url("memory:").metrics_label("sealed").seal(key).open().await.expect("it opens");
    let sealed = || values(&recorder)["tower_audit_sealed_timestamp_seconds{log=\"sealed\"}"];
    let begun = sealed();
    let now = Timestamp::now().as_micros() as f64 / 1e6;
    assert!((now - 60.0..=now + 1.0).contains(&begun), "it begins with the start: {begun}, now {now}");
    log.record(AuditEvent::new(EventType::AUTH)).await.expect("it is kept");
    while sealed() <= begun {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(sealed() < now + 60.0, "{}", sealed());
    log.record(AuditEvent::new(EventType::AUTH)).await.expect("it is kept");
    log.close().await.expect("it seals what is left");
    assert_eq!(sealed(), f64::INFINITY, "no event of it will be unsealed");
    // A log that seals nothing has no such metric.
    let _log = AuditLog::builder().url("memory:").metrics_label("unsealed").open().await.expect("it opens");
    assert!(!values(&recorder).keys().any(|key| key.contains("sealed_timestamp") && key.contains("\"unsealed\"")));
}

/// The metrics that a log describes: name, type and unit.
#[derive(Default)]
struct Described(Mutex<BTreeSet<(String, &'static str, String)>>);

impl Described {
    fn add(&self, name: &KeyName, kind: &'static str, unit: Option<Unit>) {
        let unit = unit.map_or("none", |unit| if unit == Unit::Seconds { "seconds" } else { "count" });
        self.0.lock().expect("no panic").insert((name.as_str().to_owned(), kind, unit.to_owned()));
    }
}

impl Recorder for Described {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.add(&name, "counter", unit);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.add(&name, "gauge", unit);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
        self.add(&name, "histogram", unit);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

async fn described() -> BTreeSet<(String, &'static str, String)> {
    let recorder = Described::default();
    let guard = set_default_local_recorder(&recorder);
    let _log = AuditLog::open("memory:").await.expect("it opens");
    #[cfg(unix)]
    {
        use tower_audit::store::spool::SpoolStore;
        let folder = tempfile::tempdir().expect("a folder");
        let spool = SpoolStore::builder(folder.path(), Arc::new(MemoryStore::new())).durability(Durability::Warn);
        spool.open().await.expect("it opens");
    }
    drop(guard);
    recorder.0.into_inner().expect("no panic")
}

#[tokio::test(start_paused = true)]
async fn the_page_lists_the_metrics_of_a_log() {
    let rows: BTreeSet<_> = PAGE
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `tower_audit_")?.split(" | ");
            let name = format!("tower_audit_{}", cells.next()?.trim_end_matches('`'));
            let kind = ["counter", "gauge", "histogram"].into_iter().zip([cells.next()?; 3]);
            let kind = kind.filter(|(known, kind)| known == kind).map(|(known, _)| known).next()?;
            let unit = if cells.next()? == "seconds" { "seconds" } else { "count" };
            Some((name, kind, unit.to_owned()))
        })
        .collect();
    assert_eq!(rows, described().await);
}

/// The names of metrics in a text, without the endings of a histogram.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let names = words.filter(|word| word.starts_with("tower_audit_"));
    let whole = |name: &str| {
        let endings = ["_bucket", "_sum", "_count"];
        endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name).to_owned()
    };
    names.map(whole).collect()
}

#[tokio::test(start_paused = true)]
async fn dashboard_and_alerts_query_metrics_that_exist() {
    let known: BTreeSet<String> = described().await.into_iter().map(|(name, ..)| name).collect();
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() > 8);
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets")) {
        let query = target["expr"].as_str().expect("a query");
        let names = names_in(query);
        assert!(!names.is_empty() && names.is_subset(&known), "{query}");
    }
    let shown = names_in(DASHBOARD);
    assert_eq!(shown, known, "each metric is on the dashboard");
    assert!(names_in(ALERTS).is_subset(&known), "{:?}", names_in(ALERTS));
    let alerts: Vec<&str> = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 8, "{alerts:?}");
    for alert in &alerts {
        assert!(OPERATE.contains(&format!("\n| `{alert}` | ")), "{alert} is not in docs/operate.md");
    }
    let documented = OPERATE
        .lines()
        .filter(|line| line.starts_with("| `Audit") && !line[..line.find("` |").unwrap_or(0)].contains("::"));
    let documented = documented.count();
    assert_eq!(documented, alerts.len(), "docs/operate.md has alerts that are none");
}

fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this test needs promtool: apt-get install prometheus");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

#[tokio::test(start_paused = true)]
async fn prometheus_takes_the_metrics_and_the_alerts() {
    let recorder = recorder();
    let _guard = set_default_local_recorder(&recorder);
    let (log, _faulty) = faulty_log("prometheus").await;
    log.record(AuditEvent::new(EventType::AUTH)).await.expect("it is kept");
    let_others_run().await;
    let text = recorder.handle().render();
    assert!(text.contains("# TYPE tower_audit_events_total counter") && text.contains("# HELP tower_audit_queued "));
    promtool(&["check", "metrics"], &text);
    promtool(&["check", "rules", concat!(env!("CARGO_MANIFEST_DIR"), "/docs/alerts.yml")], "");
}

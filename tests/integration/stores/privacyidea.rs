//! The settings of privacyIDEA's logger audit, as docs/coming-from/privacyidea.md has them.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use serde_json::Value;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_audit::policy::presets;
use tower_audit::{AuditEvent, AuditLayer, AuditLog, Details, EventType};
use tracing::subscriber::set_default;

const PAGE: &str = include_str!("../../../docs/coming-from/privacyidea.md");

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl io::Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The second cells of the rows of the page that name a setting.
fn here(setting: &str) -> String {
    let row = PAGE
        .lines()
        .find(|line| line.starts_with("| `") && line.split(" | ").next().is_some_and(|it| it.contains(setting)));
    row.and_then(|row| row.split(" | ").nth(1)).unwrap_or_else(|| panic!("{setting} is not on the page")).to_owned()
}

#[test]
fn the_page_has_each_setting() {
    for setting in [
        "PI_AUDIT_MODULE",
        "PI_AUDIT_SERVERNAME",
        "PI_LOGCONFIG",
        "PI_AUDIT_LOGGER_QUALNAME",
        "qualname=",
        "level=INFO",
        "[loggers]",
        "[handlers]",
        "RotatingFileHandler",
        "args=",
        "maxBytes",
        "backupCount",
        "formatter=",
    ] {
        assert!(!here(setting).is_empty());
    }
    for setting in ["PI_AUDIT_SQL_URI", "PI_AUDIT_SQL_TRUNCATE", "PI_AUDIT_SQL_COLUMN_LENGTH"] {
        assert!(!here(setting).is_empty());
    }
}

/// Module, logger's name, level, format and server's name.
#[tokio::test]
async fn an_entry_is_one_json_message_of_the_chosen_logger() {
    for (setting, part) in [
        ("PI_AUDIT_MODULE", "tracing:TARGET?format=json"),
        ("PI_AUDIT_LOGGER_QUALNAME", "tracing:pi-audit?format=json"),
        ("level=INFO", "`level=info`"),
        ("PI_AUDIT_SERVERNAME", "`AuditLayer::details_from_response` returns `server`"),
        ("formatter=", "`format=json`"),
    ] {
        assert!(here(setting).contains(part), "{setting}: {}", here(setting));
    }
    let printed = Printed::default();
    let writer = printed.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).without_time();
    let _guard = set_default(subscriber.finish());
    let log = AuditLog::open("tracing:pi-audit?format=json&level=info").await.expect("it opens");
    let layer = AuditLayer::new(&log, presets::ivre()).details_from_response(|_| {
        let mut details = Details::new();
        details.insert("server".into(), "your choice".into());
        Ok(details)
    });
    let stored = service_fn(|_: Request<String>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let upload = Request::post("/scans").body(String::new()).expect("a request");
    layer.layer(stored).oneshot(upload).await.expect("infallible");
    let text = String::from_utf8(printed.0.lock().expect("no panic").clone()).expect("text");
    let lines: Vec<&str> =
        text.lines().filter_map(|line| line.split_once(" INFO pi-audit: ")).map(|(_, json)| json).collect();
    let [line] = &lines[..] else { panic!("one entry: {text}") };
    let entry: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!((&entry["event_type"], &entry["details"]["server"]), (&"upload".into(), &"your choice".into()));
}

/// File, size and number of files.
#[cfg(all(feature = "jsonl", unix))]
#[tokio::test]
async fn a_rotated_file_is_the_store_of_json_lines() {
    assert!(here("RotatingFileHandler").contains("jsonl:/var/log/app/audit.log"));
    assert!(here("maxBytes").contains("rotate_bytes=10000000") && here("backupCount").contains("keep=14"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("audit.log");
    let log =
        AuditLog::open(&format!("jsonl:{}?rotate_bytes=10000000&keep=14", path.display())).await.expect("it opens");
    let id = log.record(AuditEvent::new(EventType::AUTH)).await.expect("it is kept");
    log.close().await.expect("nothing is left");
    let text = std::fs::read_to_string(path).expect("the file");
    assert!(text.contains(&id.to_string()) && text.ends_with("}\n"), "{text}");
}

/// Container audit: written to both, read from the one that can be read.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_container_writes_to_both_and_reads_from_one() {
    use tower_audit::query::{Filter, PageQuery};
    use tower_audit::store::{self, OpenOptions};

    for (setting, part) in [
        ("containeraudit", "`tee:FILE`"),
        ("PI_AUDIT_CONTAINER_WRITE", "tracing:pi-audit?format=json"),
        ("PI_AUDIT_CONTAINER_READ", "`read = \"sql\"`"),
    ] {
        assert!(here(setting).contains(part), "{setting}: {}", here(setting));
    }
    let printed = Printed::default();
    let writer = printed.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).without_time();
    let _guard = set_default(subscriber.finish());
    let folder = tempfile::tempdir().expect("a folder");
    let open = async |read: &str| {
        let file = folder.path().join("audit.toml");
        let text = format!(
            "read = '{read}'\n[[members]]\nname = 'sql'\nurl = 'sqlite:{}'\n[[members]]\nname = 'logger'\nurl = \
             'tracing:pi-audit?format=json'\n",
            folder.path().join("audit.db").display()
        );
        std::fs::write(&file, text).expect("it is written");
        store::open(&format!("tee:{}", file.display()), OpenOptions::default()).await
    };
    let error = open("logger").await.expect_err("a logger cannot be read").to_string();
    assert!(error.contains("`read`: the member `logger` (tracing) cannot be read"), "{error}");
    let tee = open("sql").await.expect("it opens");
    let event = AuditEvent::new(EventType::AUTH);
    tee.append(std::slice::from_ref(&event)).await.expect("it is kept");
    let reader = tee.parts().reader.expect("it is read");
    let page = reader.query(&PageQuery::new(Filter::default(), 10)).await.expect("it is read");
    assert_eq!(page, std::slice::from_ref(&event));
    tee.close().await.expect("it closes");
    let printed = String::from_utf8(printed.0.lock().expect("no panic").clone()).expect("text");
    let lines: Vec<&str> = printed.lines().filter(|line| line.contains("pi-audit:")).collect();
    assert!(matches!(lines[..], [line] if line.contains(&event.event_id.to_string())), "{printed}");
}

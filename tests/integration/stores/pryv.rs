//! The settings of Pryv's audit, as docs/coming-from/pryv.md has them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tower_audit::query::{Filter, PageQuery};
use tower_audit::store::{self, AuditStore, OpenOptions, StoreError};
use tower_audit::{Actor, AuditEvent, EventType};

const PAGE: &str = include_str!("../../../docs/coming-from/pryv.md");

/// The methods of an API; `eventsource` and `access` are none of its resources.
const METHODS: [&str; 6] =
    ["accesses.create", "accesses.delete", "accesses.get", "events.get", "events.create", "events.delete"];

/// Writes a tee's file whose storage has this filter, in this language.
fn tee_with_filter(folder: &Path, extension: &str, filter: &str, more: &str) -> String {
    let of_filter = folder.join(format!("storage.{extension}"));
    std::fs::write(&of_filter, filter).expect("the folder can be written to");
    let file = folder.join("tee.yaml");
    let text = format!(
        "declare: [{}{more}]\nunmatched: discard\nmembers:\n- name: storage\n  url: 'sqlite:{}'\n  filter: '{}'\n",
        METHODS.join(", "),
        folder.join("audit.db").display(),
        of_filter.display()
    );
    std::fs::write(&file, text).expect("the folder can be written to");
    format!("tee:{}", file.display())
}

async fn open(url: &str) -> Result<Arc<dyn AuditStore>, StoreError> {
    store::open(url, OpenOptions::default()).await
}

fn events() -> Vec<AuditEvent> {
    METHODS.iter().map(|method| AuditEvent::new(EventType::new(method).expect("it is well"))).collect()
}

async fn types_in(store: &dyn AuditStore) -> BTreeSet<String> {
    let stored = store
        .parts()
        .reader
        .expect("it is read")
        .query(&PageQuery::new(Filter::default(), 100))
        .await
        .expect("it is well");
    stored.iter().map(|event| event.event_type.to_string()).collect()
}

/// The methods that a storage with this filter records, or the error.
async fn recorded(extension: &str, filter: &str) -> Result<BTreeSet<String>, String> {
    let folder = tempfile::tempdir().expect("it is well");
    let url = tee_with_filter(folder.path(), extension, filter, "");
    let tee = open(&url).await.map_err(|error| error.to_string())?;
    tee.append(&events()).await.map_err(|error| error.to_string())?;
    let found = types_in(&*tee).await;
    tee.close().await.map_err(|error| error.to_string())?;
    Ok(found)
}

/// The cells of the rows of a table of the page.
fn rows(header: &str) -> Vec<Vec<&'static str>> {
    let table = PAGE.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_of_the_page_selects_what_it_says() {
    let of = |select: &dyn Fn(&str) -> bool| {
        METHODS.iter().filter(|method| select(method)).map(|method| (*method).to_owned()).collect::<BTreeSet<_>>()
    };
    let rows = rows("| `include` | `exclude` |");
    assert_eq!(rows.len(), 12);
    for row in rows {
        let [include, exclude, there, here] = row[..] else { panic!("{row:?}") };
        let filter = format!(r#"{{"methods": {{"include": {include}, "exclude": {exclude}}}}}"#);
        let found = recorded("json", &filter).await;
        let expected = match if here == "the same" { there } else { here } {
            "everything" => Ok(of(&|_| true)),
            "these two" => Ok(of(&|method| method == "accesses.create" || method == "accesses.delete")),
            "everything but one" => Ok(of(&|method| method != "events.get")),
            "all of events, but one" => Ok(of(&|method| method.starts_with("events.") && method != "events.get")),
            "accesses.create, all of events, but one" => {
                Ok(of(&|method| method == "accesses.create" || method.starts_with("events.") && method != "events.get"))
            }
            text if text.starts_with("nothing") => Ok(BTreeSet::new()),
            "an error at the start" => Err("neither `include` nor `exclude` has an entry"),
            "an error at the start that names it" if include.contains("access.create") => Err("\"access.create\""),
            "an error at the start that names it" => Err("\"event.all\""),
            other => panic!("{other:?} is not known to the test"),
        };
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{filter}"),
            (Err(error), Err(named)) => {
                assert!(error.contains(named) && error.contains("storage.json, line 1"), "{error}")
            }
            (found, expected) => panic!("{filter}: {found:?}, and not {expected:?}"),
        }
    }
}

/// The files of Pryv's page, letter by letter.
#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_pryv_are_read_as_they_are() {
    const JSON: &str = r#"{
  "methods": {
    "include": ["access.create", "events.all"],
    "exclude": ["events.get"]
  }
}"#;
    const YAML: &str = r#"methods:
  include: ["accesses.create", "events.all"]
  exclude: ["events.get"]
"#;
    let expected: BTreeSet<String> =
        ["accesses.create", "events.create", "events.delete"].map(str::to_owned).into_iter().collect();
    assert_eq!(recorded("yml", YAML).await.unwrap(), expected);
    // The method of this example does not exist: an app that does not declare it learns of it.
    let error = recorded("json", JSON).await.unwrap_err();
    assert!(error.contains("storage.json, line 3: `include`: \"access.create\" is no known event type"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let url = tee_with_filter(folder.path(), "json", JSON, ", access.create");
    let tee = open(&url).await.unwrap();
    tee.append(&[&events()[..], &[AuditEvent::new(EventType::new("access.create").unwrap())]].concat()).await.unwrap();
    let found: Vec<String> = types_in(&*tee).await.into_iter().collect();
    assert_eq!(found, ["access.create", "events.create", "events.delete"]);
}

/// The whole file of the page: both outputs, a filter each, and the template.
#[cfg(all(feature = "syslog", unix))]
#[tokio::test(flavor = "multi_thread")]
async fn both_outputs_get_what_their_filters_say() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let collector = std::os::unix::net::UnixDatagram::bind(place("log")).unwrap();
    std::fs::write(place("storage.json"), r#"{"methods": {"include": [], "exclude": ["events.get"]}}"#).unwrap();
    let format = r#"{
  "template": "{userid} {type} createdBy:{createdBy} {streamIds} {content}",
  "level": "notice"
}"#;
    std::fs::write(place("syslog.json"), format).unwrap();
    let text = PAGE.split("```yaml\n").nth(1).and_then(|text| text.split("```").next()).unwrap();
    let text = text
        .replace("/dev/log", &place("log"))
        .replace("sqlite:audit.db", &format!("sqlite:{}", place("audit.db")))
        .replace("storage.json", &place("storage.json"))
        .replace("syslog.json", &place("syslog.json"));
    std::fs::write(place("tee.yaml"), text).unwrap();
    let tee = open(&format!("tee:{}", place("tee.yaml"))).await.unwrap();
    assert!(tee.capabilities().durable);
    let mut all: Vec<AuditEvent> = ["accesses.create", "events.get", "events.delete"]
        .map(|method| AuditEvent::new(EventType::new(method).unwrap()))
        .into();
    all.iter_mut().for_each(|event| event.actor = Actor::user("ck6j759f000011ps2octzo1ds"));
    tee.append(&all).await.unwrap();
    let stored: Vec<String> = types_in(&*tee).await.into_iter().collect();
    assert_eq!(stored, ["accesses.create", "events.delete"]);
    // Each is in the syslog, in order, in the form of the template.
    tee.close().await.unwrap();
    for event in &all {
        let mut bytes = [0; 4096];
        let length = collector.recv(&mut bytes).unwrap();
        let message = String::from_utf8(bytes[..length].to_vec()).unwrap();
        assert!(message.starts_with("<133>") && message.contains(" pryv-audit["), "{message}");
        let (_, text) = message.split_once("]: ").unwrap();
        let start = format!("ck6j759f000011ps2octzo1ds {0} createdBy: [\"action-{0}\"] ", event.event_type);
        let content = text.strip_prefix(&start).unwrap_or_else(|| panic!("{message}"));
        let content: Value = serde_json::from_str(content).unwrap();
        assert_eq!(content["action"], event.event_type.as_str());
    }
}

#[test]
fn the_page_has_each_setting() {
    for setting in [
        "AUDIT_STORAGE_FILTER",
        "AUDIT_SYSLOG_FILTER",
        "AUDIT_SYSLOG_FORMAT",
        "`methods:` in `platform.yml`",
        "{userid} {type} createdBy:{createdBy} {streamIds} {content}",
        "\"level\": \"notice\"",
        "`/dev/log`",
        "`pryv-audit`",
        "fail2ban",
    ] {
        assert!(PAGE.lines().any(|line| line.starts_with('|') && line.contains(setting)), "{setting}");
    }
}

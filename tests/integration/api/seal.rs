//! The seal in the read API and in the viewer.

use std::sync::Arc;

use axum::Router;
use tower_audit::seal::VerifierKey;
use tower_audit::sealing::{EventProof, SealKey, Sealer};
use tower_audit::store::{AuditStore, ErasedEvent, MemoryStore};
use tower_audit::viewer::AuditViewer;
use tower_audit::{AuditEvent, EventId};

use crate::api::support::{ALICE, ROOT, TestGate, app_over, ask, events};

/// Six events, of which the first five are sealed.
async fn sealed(store: &Arc<dyn AuditStore>) -> (VerifierKey, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("no error");
    let key = SealKey::create(folder.path().join("key"), "example.com/audit").expect("no error");
    let public = key.verifier_key();
    store.append(&events(6)[..5]).await.expect("no error");
    assert_eq!(Sealer::new(Arc::clone(store), key).step().await.expect("no error").sealed, 5);
    store.append(&events(6)[5..]).await.expect("no error");
    (public, folder)
}

fn path(number: u64, end: &str) -> String {
    format!("/audit/{number:032x}{end}")
}

fn viewer(store: Arc<dyn AuditStore>) -> Router {
    AuditViewer::from_store(store, TestGate).router("/ui")
}

async fn stores() -> Vec<(Arc<dyn AuditStore>, Option<tempfile::TempDir>)> {
    let stores = crate::api::support::stores().await;
    stores.into_iter().filter(|(store, _)| store.parts().sealing.is_some()).collect()
}

#[tokio::test]
async fn a_proof_goes_through_the_gate_and_is_checked_without_the_log() {
    for (store, _folder) in stores().await {
        let name = store.capabilities().name;
        let (key, _keys) = sealed(&store).await;
        let app = app_over(Arc::clone(&store));
        let state = ask(&app, ALICE, &path(1, "/seal")).await.json();
        assert_eq!((&state["state"], &state["erased"]), (&"sealed".into(), &0.into()), "{name}: {state}");
        assert!(state["index"].as_u64().unwrap() < 5, "{state}");
        assert_eq!(
            (&state["checkpoint"]["origin"], &state["checkpoint"]["size"]),
            (&"example.com/audit".into(), &5.into())
        );

        let answer = ask(&app, ALICE, &path(1, "/proof")).await;
        assert_eq!(answer.status, 200, "{name}");
        answer.assert_guarded();
        let file = format!("attachment; filename=\"{:032x}.tlog-proof\"", 1);
        assert_eq!(answer.header("content-disposition"), Some(file.as_str()));
        let event: AuditEvent = serde_json::from_str(ask(&app, ALICE, &path(1, "")).await.text()).unwrap();
        let proof = EventProof::new(event, answer.text().parse().unwrap());
        assert_eq!(proof.verify(&[key]).unwrap().size, 5);

        // Another's and a missing one look the same; nobody is anonymous.
        for end in ["/proof", "/seal"] {
            let missing = ask(&app, ALICE, &path(99, end)).await;
            missing.assert_problem(404);
            assert_eq!(ask(&app, ALICE, &path(2, end)).await, missing, "{name}");
            assert_eq!(ask(&app, ROOT, &path(2, end)).await.status, 200);
            ask(&app, "", &path(1, end)).await.assert_problem(401);
            ask(&app, ALICE, &format!("/audit/x{end}")).await.assert_problem(400);
            ask(&app, ALICE, &path(1, &format!("{end}?x=1"))).await.assert_problem(400);
        }

        // The sixth has no leaf yet.
        let state = ask(&app, ROOT, &path(6, "/seal")).await.json();
        assert_eq!((&state["state"], &state["index"]), (&"waiting".into(), &serde_json::Value::Null));
        let none = ask(&app, ROOT, &path(6, "/proof")).await;
        none.assert_problem(404);
        assert!(none.text().contains("not sealed yet"), "{none:?}");
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_event_page_shows_the_seal() {
    let store: Arc<dyn AuditStore> = Arc::new(MemoryStore::new());
    let (_, _keys) = sealed(&store).await;
    let app = viewer(Arc::clone(&store));
    let page = |number: u64| format!("/ui/events/{number:032x}");
    let shown = ask(&app, ALICE, &page(1)).await.text().to_owned();
    assert!(shown.contains("sealed as leaf 0") && shown.contains("5 leaves of"), "{shown}");
    let link = format!("href=\"{:032x}/proof\"", 1);
    assert!(shown.contains(&link), "{shown}");
    let proof = ask(&app, ALICE, &format!("{}/proof", page(1))).await;
    assert!(proof.status == 200 && proof.text().starts_with("c2sp.org/tlog-proof@v1"), "{proof:?}");
    assert_eq!(ask(&app, ALICE, &format!("{}/proof", page(2))).await.status, 404, "another user's");
    let waiting = ask(&app, ROOT, &page(6)).await.text().to_owned();
    assert!(waiting.contains("not sealed yet") && !waiting.contains("/proof\""), "{waiting}");

    // Somebody edits event 2.
    let edit = |event: &AuditEvent, _: Option<&_>| {
        let mut event = event.clone();
        event.outcome = Some(403);
        Some(ErasedEvent { event, seed: None })
    };
    let id = EventId::from_u128(2);
    assert_eq!(store.parts().erasure.unwrap().erase(&[id], &edit).await.unwrap(), 1);
    let damaged = ask(&app, ROOT, &page(2)).await.text().to_owned();
    assert!(damaged.contains("damaged: it is not the event that was sealed as leaf 1"), "{damaged}");
    assert!(!damaged.contains("/proof\""), "{damaged}");
    let state = ask(&app_over(Arc::clone(&store)), ROOT, &path(2, "/seal")).await.json();
    assert_eq!(state["state"], "damaged");
}

#[tokio::test]
async fn a_log_without_a_seal_says_so() {
    let store: Arc<dyn AuditStore> = Arc::new(MemoryStore::new());
    store.append(&events(1)).await.unwrap();
    let app = app_over(Arc::clone(&store));
    let state = ask(&app, ALICE, &path(1, "/seal")).await.json();
    assert_eq!((&state["state"], &state["checkpoint"]), (&"none".into(), &serde_json::Value::Null));
    ask(&app, ALICE, &path(1, "/proof")).await.assert_problem(404);
    let shown = ask(&viewer(store), ALICE, &format!("/ui/events/{:032x}", 1)).await.text().to_owned();
    assert!(!shown.contains("g-seal"), "{shown}");
}

//! A process that is killed between the effect and the commit leaves neither.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tower_audit::{AuditEvent, AuditLog, EventType};

use crate::transaction::database::{Backing, pool};

const FILE: &str = "TOWER_AUDIT_TEST_FILE";

#[tokio::test]
async fn a_process_killed_before_the_commit_leaves_neither_effect_nor_event() {
    let backing = Backing::new().await;
    backing.log().await.close().await.expect("the log closes");
    let mut victim = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "transaction::killed::victim", "--nocapture"])
        .env(FILE, backing.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(victim.stdout.take().expect("its output")).lines();
    assert!(lines.any(|line| line.expect("a line").contains("both are in the transaction")), "it came as far");
    victim.kill().expect("killed");
    victim.wait().expect("waited for");
    let log = backing.log().await;
    let reader = log.store().and_then(|store| store.parts().reader).expect("it is read");
    let events = reader.count(&Default::default()).await.expect("counted");
    // The one that was committed before, and its effect.
    assert_eq!((backing.effects().await, events), (1, 1));
}

#[tokio::test]
#[ignore = "run by a_process_killed_before_the_commit_leaves_neither_effect_nor_event"]
async fn victim() {
    let Some(path) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let pool = pool(&path).await;
    let log = AuditLog::open(&format!("sqlite:{}", path.display())).await.expect("the log opens");
    for commits in [true, false] {
        let mut tx = pool.begin().await.expect("begun");
        sqlx::query("INSERT INTO effects VALUES (1)").execute(&mut *tx).await.expect("an effect");
        log.record_in(&mut tx, AuditEvent::new(EventType::AUTH)).await.expect("an event");
        if commits {
            tx.commit().await.expect("committed");
        } else {
            println!("both are in the transaction");
            std::future::pending::<()>().await;
        }
    }
}

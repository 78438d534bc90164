//! The exit code of `verify`, whatever becomes of its output.

use std::process::Stdio;

use crate::support::{Run, Store, json, many, program};

/// A sealed store, and its public key.
fn sealed(events: u32) -> (Store, String) {
    let place = Store::of(&many(events, "2026-01-01T00:00:00Z"));
    let key = place.folder().join("seal.key");
    let key = key.to_str().expect("UTF-8");
    let vkey = Run::of(program(&["keygen", key, "--origin", "example.com/audit"])).ok().trim().to_owned();
    place.run(&["seal", "--once", "--key", key]).ok();
    (place, vkey)
}

fn tamper(place: &Store, sql: &'static str) {
    crate::support::runtime().block_on(async {
        use sqlx::{ConnectOptions as _, Connection as _};
        let mut db =
            sqlx::sqlite::SqliteConnectOptions::new().filename(place.path()).connect().await.expect("it opens");
        sqlx::raw_sql(sql).execute(&mut db).await.expect("it is changed");
        db.close().await.expect("it closes");
    });
}

#[test]
fn a_reader_that_has_gone_does_not_hide_damage() {
    let (place, vkey) = sealed(20);
    tamper(&place, "UPDATE audit_leaves SET seed = zeroblob(32) WHERE n = 10");
    for option in [&["--format", "json"][..], &[]] {
        let mut command = place.command(&[&["verify", "--vkey", &vkey], option].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("it ends").code(), Some(6));
    }
}

#[test]
fn nothing_to_verify_is_no_success() {
    let (place, vkey) = sealed(20);
    tamper(
        &place,
        "DELETE FROM audit_leaves; DELETE FROM audit_nodes; DELETE FROM audit_checkpoints; DELETE FROM audit_removals; \
         DELETE FROM audit_journal; DELETE FROM audit_segments",
    );
    let done = place.run(&["verify", "--vkey", &vkey]);
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("the log has no checkpoint"), "{done:?}");
    let done = place.run(&["verify", "--vkey", &vkey, "--format", "json"]);
    assert_eq!((done.code, &json(&done.stdout)["size"]), (Some(1), &0.into()), "{done:?}");
}

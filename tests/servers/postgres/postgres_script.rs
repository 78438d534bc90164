//! The script of the README that starts a private server.

use std::path::Path;
use std::process::Command;

use crate::postgres::support::{all, event, ok, open};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/postgres.sh");

/// Somebody without rights, who may not even read the folder of this project.
fn somebody() -> Command {
    let mut command = Command::new("runuser");
    command.args(["-u", "nobody", "--", "bash", "-s", "--"]).env("HOME", "/");
    command
}

fn run(mut command: Command, words: &[&str]) -> (String, String) {
    let script = std::fs::File::open(SCRIPT).expect("the script is there");
    let done = command.args(words).stdin(script).current_dir("/").output().expect("it runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{stdout}{stderr}");
    (stdout.into_owned(), stderr.into_owned())
}

async fn starts_and_stops(command: impl Fn() -> Command) {
    let (url, said) = run(command(), &[]);
    let folder = said.trim_end().rsplit(' ').next().expect("it says how to stop it").to_owned();
    assert!(Path::new(&folder).is_dir(), "{said}");
    let store = open(url.trim_end()).await;
    ok(store.append(&[event(1)]).await);
    assert_eq!(all(&*store).await.len(), 1);
    ok(store.close().await);
    run(command(), &["stop", &folder]);
    assert!(!Path::new(&folder).exists());
    let again = command().args(["stop", &folder]).stdin(std::fs::File::open(SCRIPT).expect("it is there")).output();
    assert_eq!(again.expect("it runs").status.code(), Some(2), "there is nothing to stop");
}

#[tokio::test]
async fn one_command_starts_a_server_and_one_stops_it() {
    // So that PostgreSQL is there.
    crate::cluster::Cluster::shared();
    starts_and_stops(|| {
        let mut command = Command::new("bash");
        command.args(["-s", "--"]);
        command
    })
    .await;
    if rustix::process::geteuid().is_root() {
        starts_and_stops(somebody).await;
    }
}

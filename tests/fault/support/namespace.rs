//! Mounts, and networks, in a namespace of its own, which end with the test.

use std::process::Command;

/// Returns true if the tests run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs `body`, the rest of the test of this name, in a process with mounts of its own.
#[track_caller]
pub(crate) fn in_own_namespace(test: &str, body: impl FnOnce()) {
    in_namespaces(&["--mount"], test, body);
}

/// As [`in_own_namespace`], with networks of its own too: there is no other host, and no loopback until it is set up.
#[track_caller]
#[allow(dead_code)] // Each test binary uses another part.
pub(crate) fn in_own_network(test: &str, body: impl FnOnce()) {
    in_namespaces(&["--mount", "--net"], test, body);
}

#[track_caller]
fn in_namespaces(namespaces: &[&str], test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let output = Command::new("unshare")
        .args(namespaces)
        .args(if is_root() { [].as_slice() } else { &["--user", "--map-root-user"] })
        .arg("--")
        .arg(std::env::current_exe().expect("the test knows where it is"))
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("`unshare` of util-linux is installed");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    eprint!("{stderr}");
    assert!(output.status.success(), "in namespaces of its own: {}\n{stdout}{stderr}", output.status);
    assert!(stdout.contains("1 passed"), "there is no test {test:?}: {stdout}");
    for line in stdout.lines().filter(|line| line.starts_with(test)) {
        println!("{line}");
    }
}

const INSIDE: &str = "TOWER_AUDIT_FAULT_IN_NAMESPACE";

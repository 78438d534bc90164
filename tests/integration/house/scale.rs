//! The tables of docs/scale.md are what the simulation prints.

use std::process::Command;

use super::source_files;

#[test]
fn the_page_about_scale_has_the_tables_of_the_simulation() {
    let done =
        Command::new("python3").arg(source_files::home().join("benches/scale/simulate.py")).arg("--check").output();
    let done = done.expect("python3 runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

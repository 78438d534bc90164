//! Running other programs to their end.

use std::process::{Command, Stdio};

/// Returns the output of the program.
#[track_caller]
pub(crate) fn run(program: &str, words: &[&str]) -> String {
    match try_run(program, words) {
        Ok(printed) => printed,
        Err(why) => panic!("{why}"),
    }
}

/// Returns the output of the program, or its failure.
pub(crate) fn try_run(program: &str, words: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{program} {}`: {}\n{stdout}{stderr}", words.join(" "), output.status))
}

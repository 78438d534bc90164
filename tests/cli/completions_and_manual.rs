//! `completions`, `man`, `--help` and `docs/cli.md` have every command.

use std::process::{Command, Stdio};

#[cfg(unix)]
use crate::support::terminal;
use crate::support::{Run, program};

/// Every command, as `--help` lists them.
fn commands() -> Vec<String> {
    let help = Run::of(program(&["--help"])).ok();
    let (_, list) = help.split_once("\nCommands:\n").expect("a list of commands");
    let (list, _) = list.split_once("\n\n").expect("its end");
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<String> = names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(names.len() >= 13 && names.contains(&"tail".into()) && names.contains(&"help".into()), "{names:?}");
    names.into_iter().filter(|name| name != "help").collect()
}

#[test]
fn every_shell_completes_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = Run::of(program(&["completions", shell])).ok();
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        assert!(script.contains("older-than"), "{shell}");
    }
    assert!(Run::of(program(&["completions", "tcsh"])).failed(2).contains("fish"));
}

/// Typed text before the tab, and its completion.
const COMPLETIONS: [(&str, &str); 5] = [
    ("tower-audit dest", "tower-audit destroy-and-recreate"),
    ("tower-audit query --form", "tower-audit query --format"),
    ("tower-audit --url memory: tail --follo", "tower-audit --url memory: tail --follow"),
    ("tower-audit purge --older", "tower-audit purge --older-than"),
    ("tower-audit export --format js", "tower-audit export --format json"),
];

/// Somebody sits at a shell and types.
#[cfg(unix)]
#[test]
fn bash_and_zsh_complete_what_is_typed() {
    let folder = tempfile::tempdir().expect("a folder");
    for (shell, words, prepare) in [
        ("bash", &["--norc", "-i"][..], "bind 'set enable-bracketed-paste off'; bind 'set completion-query-items 0'"),
        ("zsh", &["-f", "-i"], "bindkey -e; autoload -Uz compinit; compinit -u -D"),
    ] {
        let script = folder.path().join(shell);
        std::fs::write(&script, Run::of(program(&["completions", shell])).ok()).expect("the script is written");
        for (typed, completed) in COMPLETIONS {
            let mut command = Command::new(shell);
            command.args(words).env("TERM", "dumb");
            let prepare = format!("{prepare}; source {}; PS1='REA''DY> '\n", script.display());
            // The line is completed, shown, and thrown away.
            let screen = typed_into(&command, &prepare, "READY> ", &format!("{typed}\t\u{15}exit\n"));
            let shown = screen.replace(['\u{7}', '\u{8}'], "");
            assert!(shown.contains(completed), "{shell}: {typed:?} gives {screen:?}");
        }
    }
}

#[test]
fn fish_completes_what_is_typed() {
    let script = Run::of(program(&["completions", "fish"])).ok();
    for (typed, completed) in COMPLETIONS {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &format!("{script}\ncomplete -C '{typed}'")]).stdin(Stdio::null());
        let output = fish.output().expect("this test needs fish: apt-get install fish");
        let found = String::from_utf8(output.stdout).expect("UTF-8");
        let last = completed.rsplit(' ').next().expect("a word");
        let first = found.lines().next().and_then(|line| line.split('\t').next());
        assert_eq!(first, Some(last), "{typed:?} gives {found:?}");
    }
}

/// Types `first`, waits for the prompt, types `then`, and returns the screen at the end.
#[cfg(unix)]
fn typed_into(shell: &Command, first: &str, prompt: &str, then: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut shown = terminal(shell, 200)
        .env("HOME", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` gives a program a terminal");
    let mut keys = shown.stdin.take().expect("a pipe");
    let mut screen = shown.stdout.take().expect("a pipe");
    keys.write_all(first.as_bytes()).expect("it is typed");
    let mut text = Vec::new();
    // Before the shell reads the line itself, the terminal would take a tab for a tab.
    while !text.ends_with(prompt.as_bytes()) {
        let mut more = [0; 1];
        let bytes = screen.read(&mut more).expect("the screen");
        assert!(bytes > 0, "it ended without a prompt: {:?}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&more);
    }
    keys.write_all(then.as_bytes()).expect("it is typed");
    screen.read_to_end(&mut text).expect("the rest");
    shown.wait().expect("the shell ends");
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn every_command_has_a_page() {
    let page = Run::of(program(&["man"])).ok();
    assert!(page.contains(".TH tower-audit 1"), "{page}");
    for command in commands() {
        assert!(page.contains(&format!("tower\\-audit\\-{}(1)", command.replace('-', "\\-"))), "{command}");
        let own = Run::of(program(&["man", &command])).ok();
        assert!(own.contains(&format!(".TH tower-audit-{command} 1")), "{own}");
    }
    assert!(page.contains("Exit codes"), "{page}");
    assert!(Run::of(program(&["man", "nosuch"])).failed(2).contains("migrate"));
}

#[test]
fn the_manual_names_every_command_and_every_option() {
    let manual = include_str!("../../docs/cli.md");
    for command in commands() {
        assert!(manual.contains(&format!("`{command}")), "docs/cli.md lacks {command}");
        let help = Run::of(program(&[&command, "--help"])).ok();
        let options = help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2);
        for option in options.map(|word| word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric())) {
            let is_usual = ["--help", "--version"].contains(&option);
            assert!(is_usual || manual.contains(option), "docs/cli.md lacks {option} of {command}");
        }
    }
}

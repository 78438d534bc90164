//! `completions`, `man`, `--help` and `docs/cli.md`: none forgets a command.

use std::process::{Command, Stdio};

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

#[test]
fn bash_understands_its_script() {
    let script = Run::of(program(&["completions", "bash"])).ok();
    let ask = format!(
        "{script}\nCOMP_WORDS=(tower-audit ta); COMP_CWORD=1; _tower__audit tower-audit ta tower-audit; echo ${{COMPREPLY[@]}}"
    );
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", &ask]).stdin(Stdio::null());
    assert_eq!(Run::of(bash).ok(), "tail\n");
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

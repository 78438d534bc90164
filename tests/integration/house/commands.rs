//! Documented `cargo` commands name the features that their example or binary requires.

use std::collections::BTreeSet;

use super::source_files;

/// The words of each documented `cargo` command; a line that ends in a backslash goes on in the next.
fn commands() -> Vec<(String, Vec<String>)> {
    let mut commands = Vec::new();
    for (path, text) in source_files::documents() {
        let text = text.replace("\\\n", " ");
        for line in text.lines() {
            for (at, _) in line.match_indices("cargo ") {
                let command = line[at..].split(['`', '>', '|', ';', ')']).next().unwrap_or_default();
                commands.push((path.clone(), command.split_whitespace().map(str::to_owned).collect()));
            }
        }
    }
    commands
}

/// The values of an option that may be given several times, as `--name value` or `--name=value`.
fn values<'a>(words: &'a [String], name: &str) -> Vec<&'a str> {
    let behind = words.windows(2).filter(|pair| pair[0] == name).map(|pair| &*pair[1]);
    let joined = words.iter().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    behind.chain(joined).collect()
}

/// The features that the manifest turns on with these, these included.
fn enabled<'a>(features: &'a toml::Table, given: impl IntoIterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut enabled = BTreeSet::new();
    let mut left: Vec<&str> = given.into_iter().collect();
    while let Some(feature) = left.pop() {
        if enabled.insert(feature) {
            left.extend(strings(features.get(feature)));
        }
    }
    enabled
}

fn strings(array: Option<&toml::Value>) -> impl Iterator<Item = &str> {
    array.and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str)
}

#[test]
fn documented_commands_name_the_features_that_they_need() {
    let manifest =
        std::fs::read_to_string(source_files::home().join("Cargo.toml")).unwrap().parse::<toml::Table>().unwrap();
    let features = manifest["features"].as_table().unwrap();
    let targets = |kind: &'static str, name: &str| {
        let all = manifest[kind].as_array().unwrap();
        all.iter().find(|target| target["name"].as_str() == Some(name)).cloned()
    };
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (path, words) in commands() {
        if words.iter().any(|word| word == "--all-features") {
            continue;
        }
        let given = values(&words, "--features").into_iter().flat_map(|list| list.split(','));
        let default = (!words.iter().any(|word| word == "--no-default-features")).then_some("default");
        let enabled = enabled(features, given.chain(default));
        let mut named: Vec<_> = values(&words, "--example").into_iter().map(|name| ("example", name)).collect();
        named.extend(values(&words, "--bin").into_iter().map(|name| ("bin", name)));
        let runs_the_program = matches!(words.get(1).map(String::as_str), Some("run" | "install"));
        if named.is_empty() && runs_the_program {
            named.push(("bin", "tower-audit"));
        }
        for (kind, name) in named {
            checked += 1;
            match targets(kind, name) {
                None => wrong.push(format!("{path}: there is no {kind} {name}: {}", words.join(" "))),
                Some(target) => wrong.extend(
                    strings(target.get("required-features")).filter(|feature| !enabled.contains(feature)).map(
                        |feature| format!("{path}: {kind} {name} needs the feature {feature}: {}", words.join(" ")),
                    ),
                ),
            }
        }
    }
    assert!(checked > 15, "{checked} commands");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

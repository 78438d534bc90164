//! A policy in a file.

use std::fmt::Write as _;

use serde_json::Value;
use tower_audit::{AuditPolicy, PolicyError};

use super::choices::Choices;

/// Any text is a policy or an error that says where, at no length. The same values in TOML and in YAML are the same
/// policy, or wrong for the same reason.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let kind = choices.below(3);
    let text = choices.rest();
    match kind {
        0 => drop(checked(AuditPolicy::from_toml(&text), &text)),
        1 => drop(checked(AuditPolicy::from_yaml(&text), &text)),
        _ => {
            let Ok(Value::Object(mut values)) = serde_json::from_str(&text) else { return };
            values.values_mut().for_each(without_null);
            values.retain(|_, value| !value.is_null());
            let (mut toml, mut yaml) = (String::new(), String::new());
            for (key, value) in &values {
                write_text(&mut toml, key);
                toml.push_str(" = ");
                write(&mut toml, value, " = ");
                toml.push('\n');
            }
            write(&mut yaml, &Value::Object(values), ": ");
            let toml = checked(AuditPolicy::from_toml(&toml), &toml);
            // Advice is written in the file's own language.
            let yaml = checked(AuditPolicy::from_yaml(&yaml), &yaml)
                .map_err(|error| error.replace("`preset: mutations`", "`preset = \"mutations\"`"));
            // The two formats have different limits of depth.
            let is_read = |policy: &Result<_, String>| !policy.as_ref().is_err_and(|error| error.starts_with("not "));
            if is_read(&toml) && is_read(&yaml) {
                assert_eq!(toml, yaml);
            }
        }
    }
}

/// The policy as it is shown, or what is wrong but for the line.
fn checked(policy: Result<AuditPolicy, PolicyError>, text: &str) -> Result<String, String> {
    let error = match policy {
        Ok(policy) => {
            for index in 0..policy.rules().len() {
                policy.route_pattern(index, "/a/%2e%2e/b");
            }
            return Ok(format!("{policy:?}"));
        }
        Err(error) => error,
    };
    let shown = error.to_string();
    assert!(!shown.is_empty() && shown.len() < 4096, "{} bytes: {shown:.200}", shown.len());
    assert!(!shown.contains(char::is_control), "{shown:?}");
    let Some(line) = error.line() else { return Err(shown) };
    // YAML has a line end at each of these.
    assert!((1..=text.matches(['\n', '\r']).count() + 1).contains(&line), "{shown}");
    Err(shown.strip_prefix(&format!("line {line}: ")).expect("the line comes first").to_owned())
}

/// TOML has no null.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.values_mut().for_each(without_null);
            entries.retain(|_, value| !value.is_null());
        }
        Value::Array(items) => {
            items.iter_mut().for_each(without_null);
            items.retain(|item| !item.is_null());
        }
        _ => {}
    }
}

/// Writes a value as both formats have it, but for what is between a key and its value.
fn write(out: &mut String, value: &Value, between: &str) {
    match value {
        Value::String(text) => write_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                write(out, item, between);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (n, (key, value)) in entries.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                write_text(out, key);
                out.push_str(between);
                write(out, value, between);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// Writes a text with the escapes that both formats have.
fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        if matches!(character, ' '..='~') && !matches!(character, '"' | '\\') {
            out.push(character);
        } else {
            write!(out, "\\U{:08x}", u32::from(character)).expect("a String takes everything");
        }
    }
    out.push('"');
}

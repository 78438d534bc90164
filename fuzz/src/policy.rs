//! The path and the method of a request, as the rules of a policy see them.

use http::Method;
use tower_audit::{AuditPolicy, EventType, Rule};

use super::choices::Choices;

/// A rule names the requests that the plainest reading of its patterns names, among all path variants; and
/// a path that it names, it names in every other spelling.
pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let mount = *choices.pick(&["/", "/cgi", "/a/b/"]);
    let own = own_patterns(&mut choices);
    let Ok(method) = Method::from_bytes(choices.line()) else { return };
    let path = choices.text();
    let spelled = spelled(&path, &mut choices);

    let own_rule = Rule::new(EventType::new("own.rule").expect("a type")).paths(own.clone());
    let policy = match AuditPolicy::builder().preset_ivre().rule(own_rule).base_path(mount).build() {
        Ok(policy) => policy,
        Err(error) => {
            assert_eq!(error.key(), Some("paths"), "{error}");
            return;
        }
    };
    let rules = [
        (method.as_str().eq_ignore_ascii_case("POST"), 0, texts(&["/scans", "/view", "/flows", "/flows/cleanup"])),
        (!["GET", "HEAD", "OPTIONS", "TRACE"].contains(&method.as_str()), 1, texts(&["/auth/admin/{*rest}"])),
        (true, 4, own),
    ];
    let candidates = policy.matching_rules(&method, &path);
    let candidates_spelled = policy.matching_rules(&method, &spelled);
    for (has_method, index, patterns) in rules {
        let is_named = candidates.contains(index);
        assert!(has_method || !is_named, "{method} {path}");
        assert!(!is_named || candidates_spelled.contains(index), "{method} {path} as {spelled}");
        if has_method && has_one_reading(&path) && !patterns.iter().any(|pattern| pattern.contains('%')) {
            let is_meant = patterns.iter().any(|pattern| means(pattern, mount, &path));
            assert_eq!(is_named, is_meant, "{method} {path} by {patterns:?} below {mount}");
        }

        let template = policy.route_pattern(index, &path);
        assert!(template.is_none() || policy.route_pattern(index, &spelled).is_some(), "{path} as {spelled}");
        if let Some(template) = template {
            assert!(is_named || !has_method, "{path} by {template}");
            assert!(!template.contains("{*") && patterns.iter().any(|pattern| pattern == template), "{template}");
        } else if is_named {
            assert!(patterns.iter().any(|pattern| pattern.contains("{*")), "{path} by {patterns:?}");
        }
    }
    assert!(candidates.iter().all(|index| [0, 1, 4].contains(&index)));
}

fn own_patterns(choices: &mut Choices<'_>) -> Vec<String> {
    let known = ["/", "/{*path}", "/a/b", "/users/{id}", "/users/{id}/keys/{*rest}", "/é/{x}/a.b"];
    let mut patterns = texts(&[*choices.pick(&known)]);
    let own = choices.text();
    if !own.is_empty() {
        patterns.push(own);
    }
    patterns
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// Returns true if the path has a single path variant, empty segments aside.
fn has_one_reading(path: &str) -> bool {
    path.starts_with('/') && !path.contains(['%', '\\']) && !has_dots(path)
}

fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| segment == "." || segment == "..")
}

/// Matches a pattern in the plainest way.
fn means(pattern: &str, mount: &str, path: &str) -> bool {
    fn segments(text: &str) -> Vec<&str> {
        text.split('/').filter(|segment| !segment.is_empty()).collect()
    }
    let (mut pattern, path, mount) = (segments(pattern), segments(path), segments(mount));
    let takes_rest = pattern.pop_if(|last| last.starts_with("{*")).is_some();
    let fits = |path: &[&str]| {
        let has_length = if takes_rest { path.len() >= pattern.len() } else { path.len() == pattern.len() };
        has_length && pattern.iter().zip(path).all(|(meant, found)| meant.starts_with('{') || meant == found)
    };
    // A base path may be a segment of the app's own.
    fits(&path) || path.strip_prefix(mount.as_slice()).is_some_and(fits)
}

/// Spells the path in another way: bytes as `%XX`, and detours such as `/x/../`, unless they would change
/// the meaning of its dots.
fn spelled(path: &str, choices: &mut Choices<'_>) -> String {
    if path.contains('%') {
        return path.to_owned();
    }
    let slashes = ["/", "%2f", "%2F", "//", "/./", "/%2e/", "%2f%2e/", "/x/../", "/x/y%2F../.%2e/", "/x//../"];
    let slashes = match has_dots(path) {
        false => &slashes[..],
        true if path.contains("//") || path.split('/').any(|segment| segment == ".") => &slashes[..3],
        true => &slashes[..7],
    };
    let mut spelled = String::new();
    for character in path.chars() {
        let mut bytes = [0; 4];
        match character {
            '/' => spelled.push_str(choices.pick::<&str>(slashes)),
            // A parser may take it for a slash, and not its escape.
            '\\' => spelled.push('\\'),
            _ if choices.flip() => {
                let upper = choices.flip();
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    let escape = if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") };
                    spelled.push_str(&escape);
                }
            }
            plain => spelled.push(plain),
        }
    }
    spelled
}

//! The template of a route: paths that it matches, and what a nested router leaves of it.

/// The value of a parameter in an example path; no rule has it as a literal.
pub(super) const PLACEHOLDER: &str = "0tower-audit-probe";

/// A path that the template matches: like `pattern`, where that has something of its own for a parameter.
///
/// Braces that are doubled stand for themselves.
pub(super) fn example_path(template: &str, pattern: Option<&str>) -> String {
    let mut like = pattern.unwrap_or_default().split('/').skip(1);
    let mut path = String::new();
    for segment in template.split('/').skip(1) {
        let own = like.next().filter(|own| !own.is_empty() && !own.contains('{'));
        path.push('/');
        match parameter(segment) {
            None => path.push_str(&segment.replace("{{", "{").replace("}}", "}")),
            Some((before, after)) => {
                let fits = |own: &&str| own.len() > before.len() + after.len();
                match own.filter(|own| own.starts_with(before) && own.ends_with(after)).filter(fits) {
                    Some(own) => path.push_str(own),
                    None => path.extend([before, PLACEHOLDER, after]),
                }
            }
        }
    }
    if template.contains("{*") {
        // The parameter at the end may stand for as much as the pattern has.
        for own in like.filter(|own| !own.is_empty() && !own.contains('{')) {
            path.extend(["/", own]);
        }
    }
    path
}

/// Returns the text before and after the parameter of a segment.
fn parameter(segment: &str) -> Option<(&str, &str)> {
    if segment.contains("{{") {
        return None;
    }
    Some((segment.split_once('{')?.0, segment.rsplit_once('}')?.1))
}

/// The template as it is seen within the routers that may be nested around it: all of it, and what is left after each
/// of its segments.
pub(super) fn nested_views(template: &str) -> Vec<String> {
    let mut seen = vec![template.to_owned()];
    let ends = template.char_indices().skip(1).filter(|&(_, c)| c == '/');
    seen.extend(ends.map(|(at, _)| template[at..].to_owned()));
    if !template.ends_with('/') && !template.contains("{*") {
        seen.push("/".to_owned());
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_like_their_template_and_the_pattern() {
        for (template, pattern, path) in [
            ("/", None, "/"),
            ("/scans", Some("/other"), "/scans"),
            ("/a/{id}/b", None, "/a/0tower-audit-probe/b"),
            ("/a/{id}/b", Some("/a/7/b"), "/a/7/b"),
            ("/a/{id}", Some("/a/{x}"), "/a/0tower-audit-probe"),
            ("/{a}/{b}", Some("/auth"), "/auth/0tower-audit-probe"),
            ("/{*rest}", Some("/auth/admin/{*rest}"), "/auth/admin"),
            ("/x/{*rest}", None, "/x/0tower-audit-probe"),
            ("/v_{n}", None, "/v_0tower-audit-probe"),
            ("/v_{n}", Some("/v_1"), "/v_1"),
            ("/v_{n}", Some("/v_"), "/v_0tower-audit-probe"),
            ("/{{a}}/b", Some("/x/y"), "/{a}/b"),
        ] {
            assert_eq!(example_path(template, pattern), path, "{template} {pattern:?}");
        }
    }

    #[test]
    fn a_nested_router_leaves_what_follows_its_prefix() {
        for (template, seen) in [
            ("/", &["/"][..]),
            ("/a", &["/a", "/"]),
            ("/a/", &["/a/", "/"]),
            ("/a/{b}/c", &["/a/{b}/c", "/{b}/c", "/c", "/"]),
            ("/a/{*rest}", &["/a/{*rest}", "/{*rest}"]),
        ] {
            assert_eq!(nested_views(template), seen, "{template}");
        }
    }
}

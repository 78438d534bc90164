//! Data flows one way: `use` lines follow ARCHITECTURE's table, and files make no circles.

use std::collections::{BTreeMap, BTreeSet};

use super::source_files;

const ARCHITECTURE: &str = include_str!("../../../ARCHITECTURE.md");
/// Circles that stay: a type and its builder, and what ARCHITECTURE names beside them.
const CIRCLES: &[&[&str]] =
    &[&["src/policy/audit_policy.rs", "src/policy/builder.rs"], &["src/writer/audit_log.rs", "src/writer/builder.rs"]];

type Names = BTreeSet<String>;

/// A source tree with its modules: which file a path leads to.
struct Tree {
    root: &'static str,
    /// The text of each file, without comments and strings.
    code: BTreeMap<String, String>,
    /// Re-exports of each module: a name, and the path that it stands for.
    exports: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Tree {
    fn new(root: &'static str, is_of_tree: impl Fn(&str) -> bool) -> Self {
        let code: BTreeMap<_, _> = source_files::files(root)
            .into_iter()
            .filter(|(path, _)| is_of_tree(path) && !path.contains("/tests/"))
            .map(|(path, text)| (path, source_files::without_text(&text)))
            .collect();
        let mut exports = BTreeMap::new();
        for (path, text) in &code {
            let uses = use_lines(text).into_iter().filter(|(is_public, _)| *is_public);
            exports.insert(path.clone(), uses.flat_map(|(_, tree)| leaves(&tree)).collect());
        }
        Self { root, code, exports }
    }

    /// The file of a module, if there is such a module.
    fn file(&self, module: &[String]) -> Option<String> {
        let path = module.iter().fold(self.root.to_owned(), |path, part| path + "/" + part);
        let names = match module {
            [] => ["/lib.rs", "/main.rs", "/mod.rs"].map(|name| self.root.to_owned() + name),
            _ => [path.clone() + ".rs", path.clone() + "/mod.rs", path + "/main.rs"],
        };
        names.into_iter().find(|name| self.code.contains_key(name))
    }

    fn module(&self, file: &str) -> Vec<String> {
        let inner = file.strip_prefix(self.root).expect("a file of the tree").trim_start_matches('/');
        let mut parts: Vec<String> = inner.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            parts.pop();
        }
        parts
    }

    /// The file that a path leads to, seen from a file of the tree; re-exports are followed.
    fn target(&self, from: &str, path: &[String], depth: usize) -> Option<String> {
        let mut module = self.module(from);
        let mut rest = path.iter();
        let mut rest = match path.first().map(String::as_str)? {
            "crate" => {
                module.clear();
                rest.next();
                rest
            }
            "self" => {
                rest.next();
                rest
            }
            "super" => rest,
            first if self.file(&[module.clone(), vec![first.to_owned()]].concat()).is_some() => rest,
            _ => return None,
        };
        while let Some(part) = rest.clone().next() {
            if part == "super" {
                module.pop();
            } else {
                module.push(part.clone());
                if self.file(&module).is_none() {
                    module.pop();
                    break;
                }
            }
            rest.next();
        }
        let file = self.file(&module)?;
        if let Some(name) = rest.next()
            && depth < 8
            && let Some(export) = self.exports[&file].get(name)
            && let Some(target) = self.target(&file, export, depth + 1)
        {
            return Some(target);
        }
        Some(file)
    }

    /// The files that each file uses. A module and its own parts are no arrow.
    fn arrows(&self) -> BTreeMap<String, Names> {
        let mut arrows = BTreeMap::new();
        for (file, text) in &self.code {
            let is_list = file.ends_with("/mod.rs") || file.ends_with("/lib.rs");
            let mut paths = inline_paths(text);
            if !is_list {
                paths.extend(use_lines(text).into_iter().flat_map(|(_, tree)| leaves(&tree)).map(|(_, path)| path));
            }
            let targets: Names = paths
                .iter()
                .filter_map(|path| self.target(file, path, 0))
                .filter(|target| target != file && !target.ends_with("/mod.rs") && !target.ends_with("/lib.rs"))
                .collect();
            arrows.insert(file.clone(), targets);
        }
        arrows
    }
}

/// The trees behind `use`: true if they are passed on.
fn use_lines(text: &str) -> Vec<(bool, String)> {
    let mut lines = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let before = text[..at].trim_end_matches(' ');
        let line = &before[before.rfind(['\n', ';', '}']).map_or(0, |at| at + 1)..];
        let visibility = line.trim();
        let is_public = visibility == "pub" || visibility.starts_with("pub(") && visibility.ends_with(')');
        if (visibility.is_empty() || is_public)
            && let Some(end) = text[at..].find(';')
        {
            lines.push((is_public, text[at + 4..at + end].split_whitespace().collect::<Vec<_>>().join(" ")));
        }
    }
    lines
}

/// The names that a use tree brings, and the path of each.
fn leaves(tree: &str) -> Vec<(String, Vec<String>)> {
    let Some(open) = tree.find('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
        let path: Vec<String> = path.trim().split("::").map(|part| part.trim().to_owned()).collect();
        let name = if name.is_empty() { path.last().cloned().unwrap_or_default() } else { name.trim().to_owned() };
        return vec![(name, path)];
    };
    let prefix: Vec<String> =
        tree[..open].trim_end_matches("::").split("::").map(|part| part.trim().to_owned()).collect();
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[begin..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    parts
        .flat_map(leaves)
        .map(|(name, path)| {
            let path = if path == ["self"] { prefix.clone() } else { [prefix.clone(), path].concat() };
            (name, path)
        })
        .collect()
}

/// Paths in the code that begin with `crate::` or `super::`.
fn inline_paths(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            let is_begin =
                text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '$');
            let line = &text[text[..at].rfind([';', '}']).map_or(0, |at| at + 1)..at];
            if is_begin && !line.contains("use ") {
                let path =
                    text[at..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap_or_default();
                paths.push(path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect());
            }
        }
    }
    paths
}

/// The first folder of a file below `src`, or its name.
fn folder(file: &str) -> &str {
    let inner = file.strip_prefix("src/").unwrap_or(file);
    inner.split('/').next().unwrap_or(inner)
}

fn library() -> Tree {
    Tree::new("src", |path| !path.starts_with("src/bin/"))
}

/// The rows of the code map: the folder, and those that it may use.
fn code_map() -> BTreeMap<String, Names> {
    let table = ARCHITECTURE.split("## Code map").nth(1).expect("ARCHITECTURE has a code map");
    let rows =
        table.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let names = |cell: &str| -> Names {
            cell.split('`').skip(1).step_by(2).map(|name| name.trim_end_matches('/').to_owned()).collect()
        };
        (names(cells[0]).pop_first().expect("a folder"), names(cells[2]))
    })
    .collect()
}

#[test]
fn folders_use_what_the_code_map_says() {
    let map = code_map();
    let mut seen: BTreeMap<&str, BTreeMap<&str, Names>> = BTreeMap::new();
    let arrows = library().arrows();
    for (file, targets) in &arrows {
        for target in targets {
            let (from, to) = (folder(file), folder(target));
            if from != to && from != "lib.rs" && to != "lib.rs" {
                let uses = seen.entry(from).or_default().entry(to).or_default();
                uses.insert(format!("{file} uses {target}"));
            }
        }
    }
    let mut wrong = Vec::new();
    for (from, uses) in &seen {
        let Some(allowed) = map.get(*from) else {
            wrong.push(format!("{from} is not in the code map"));
            continue;
        };
        for (to, lines) in uses.iter().filter(|(to, _)| !allowed.contains(**to)) {
            wrong.push(format!("{from} may not use {to}: {}", lines.first().expect("a line")));
        }
    }
    for (from, allowed) in &map {
        let folders = allowed.iter().filter(|to| map.contains_key(*to));
        for to in folders.filter(|to| !seen.get(from.as_str()).is_some_and(|uses| uses.contains_key(to.as_str()))) {
            if !from.starts_with("bin") {
                wrong.push(format!("{from} does not use {to}, as the code map has it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_make_no_circles() {
    for tree in [library(), Tree::new("src/bin/tower-audit", |_| true)] {
        let arrows = tree.arrows();
        let reached: BTreeMap<&String, Names> = arrows.keys().map(|file| (file, reachable(&arrows, file))).collect();
        let mut circles = BTreeSet::new();
        for (file, targets) in &reached {
            let circle: Vec<&str> =
                targets.iter().filter(|other| reached[*other].contains(*file)).map(String::as_str).collect();
            if circle.len() > 1 && !CIRCLES.contains(&circle.as_slice()) {
                circles.insert(circle.join(" "));
            }
        }
        assert!(circles.is_empty(), "circles of files:\n{}", circles.into_iter().collect::<Vec<_>>().join("\n"));
    }
}

fn reachable(arrows: &BTreeMap<String, Names>, from: &String) -> Names {
    let mut found = Names::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for target in &arrows[file] {
            if found.insert(target.clone()) {
                open.push(target);
            }
        }
    }
    found
}

#[test]
fn a_use_tree_is_read() {
    let paths: Vec<_> =
        leaves("super::a::{self, B, c::{D as E, f}}").into_iter().map(|(name, path)| (name, path.join("::"))).collect();
    let expected = [("self", "super::a"), ("B", "super::a::B"), ("E", "super::a::c::D"), ("f", "super::a::c::f")];
    assert_eq!(paths, expected.map(|(name, path)| (name.to_owned(), path.to_owned())));
    let tree = library();
    let path = ["crate", "AuditEvent"].map(str::to_owned);
    assert_eq!(tree.target("src/policy/rule.rs", &path, 0).as_deref(), Some("src/event/audit_event.rs"));
}

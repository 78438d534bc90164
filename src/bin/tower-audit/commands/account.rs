//! The account that runs the program.

/// The account that runs the program, as its environment names it: a name for honest operators, no proof against
/// others.
pub(super) fn user() -> Option<String> {
    ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok()).find(|user| !user.is_empty())
}

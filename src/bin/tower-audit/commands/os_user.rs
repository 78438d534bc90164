//! The account that runs the program.

/// Returns the account's name from `USER` or `LOGNAME`, else its number: a name for honest operators, no proof against
/// others.
pub(super) fn name() -> String {
    let named =
        ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok()).find(|user| !user.is_empty());
    named.unwrap_or_else(number)
}

#[cfg(unix)]
fn number() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn number() -> String {
    "unknown account".to_owned()
}

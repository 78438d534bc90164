//! Policies in TOML and YAML, feature `policy-file`.

mod schema;

mod from_file;

#[cfg(test)]
mod tests;

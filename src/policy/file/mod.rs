//! Policies in TOML and YAML, feature `policy-file`.

mod decode;

mod from_file;

#[cfg(test)]
mod tests;

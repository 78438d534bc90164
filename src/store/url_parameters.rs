//! The parameters of a store's URL.

use super::redacted_url::parameter_name;

/// Splits `NAME=VALUE&…` into names and values. An error is the hint: a name is given twice.
pub(super) fn url_parameters(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(format!("`{}` is given twice", parameter_name(name)));
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

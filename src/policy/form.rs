//! Forms and query strings (`application/x-www-form-urlencoded`), decoded once.

use super::percent;

/// The names and values of a form. What is no UTF-8 is replaced.
pub(crate) fn form_pairs(form: &[u8]) -> impl Iterator<Item = (String, String)> {
    form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = at.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &[u8]) -> String {
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let bytes: Vec<u8> = percent::decoded(&spaced).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_once() {
        let pairs: Vec<_> = form_pairs(b"a=1&b+c=%2541+d&e&&=f&g=%ff").collect();
        let expected = [("a", "1"), ("b c", "%41 d"), ("e", ""), ("", "f"), ("g", "\u{fffd}")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

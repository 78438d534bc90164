//! The textual forms of an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::CompactText;

/// Reads an address in any of the forms in which people and proxies write one: IPv4 and IPv6, bare or, version 6, in
/// brackets, with a port or without. An IPv4 address that is mapped into IPv6 is the IPv4 address.
///
/// A zone of an IPv6 address (`fe80::1%eth0`, RFC 4007) is left out: it means something on the host alone that wrote it.
pub(crate) fn read(text: &[u8]) -> Option<IpAddr> {
    let bare = || without_zone(text)?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    bare().or_else(|| node(text, without_zone, is_port)).map(|addr| addr.to_canonical())
}

/// Returns the one form in which events have an address, if the text is one in another form.
pub(crate) fn canonical(text: &str) -> Option<CompactText> {
    // An IPv4 address has no other, and most are such.
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let canonical = to_text(read(text.as_bytes())?);
    (canonical != text).then_some(canonical)
}

/// The address of a node, without its port:
///
/// ```text
/// node        = nodename [ ":" node-port ]                                       RFC 7239 section 6
/// nodename    = IPv4address / "[" IPv6address "]" / "unknown" / obfnode
/// node-port   = 1*5DIGIT / obfport
/// ```
///
/// `unknown` and what begins with `_` (section 6.3) name no address.
pub(crate) fn node(node: &[u8], version_6: fn(&[u8]) -> Option<&str>, is_port: fn(&[u8]) -> bool) -> Option<IpAddr> {
    let (name, port) = match node.iter().rposition(|byte| *byte == b']') {
        Some(end) => (&node[..=end], &node[end + 1..]),
        None => node.split_at(node.iter().position(|byte| *byte == b':').unwrap_or(node.len())),
    };
    if !port.is_empty() && !is_port(port.strip_prefix(b":")?) {
        return None;
    }
    match name.strip_prefix(b"[") {
        Some(inner) => version_6(inner.strip_suffix(b"]")?)?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => plain_text(name)?.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

pub(crate) fn is_port(port: &[u8]) -> bool {
    (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit)
}

pub(crate) fn plain_text(text: &[u8]) -> Option<&str> {
    std::str::from_utf8(text).ok()
}

/// The address before a `%` and the name of a zone: one or more of the characters that RFC 6874 has for it.
fn without_zone(address: &[u8]) -> Option<&str> {
    let text = plain_text(address)?;
    let Some((address, zone)) = text.split_once('%') else { return Some(text) };
    let is_zone = !zone.is_empty() && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    is_zone.then_some(address)
}

/// Writes an address. By hand, where it is version 4: the formatter takes five times as long for it.
pub(crate) fn to_text(addr: IpAddr) -> CompactText {
    let IpAddr::V4(addr) = addr else { return addr.to_string().into() };
    let mut text = [0; "255.255.255.255".len()];
    let mut len = 0;
    let mut push = |byte| {
        text[len] = byte;
        len += 1;
    };
    for (n, octet) in addr.octets().into_iter().enumerate() {
        if n > 0 {
            push(b'.');
        }
        for (power, is_last) in [(100, false), (10, false), (1, true)] {
            if is_last || octet >= power {
                push(b'0' + octet / power % 10);
            }
        }
    }
    std::str::from_utf8(&text[..len]).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for octet in 0..=255 {
            let addr = IpAddr::from([octet, 0, 255 - octet, octet]);
            assert_eq!(to_text(addr).as_str(), addr.to_string());
        }
        assert_eq!(to_text("2001:db8::1".parse().unwrap()), "2001:db8::1");
    }

    #[test]
    fn every_form_has_one_that_is_stored() {
        for (text, stored) in [
            ("192.0.2.7:4711", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::FFFF:C000:0207", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(stored), "{text}");
            assert_eq!(canonical(stored), None);
        }
        for other in
            ["", "192.0.2.7", "192.0.2.07", "192.0.2", "localhost", "localhost:80", "::1::", "[::1", "…[cut: 1"]
        {
            assert_eq!(canonical(other), None, "{other}");
        }
    }
}

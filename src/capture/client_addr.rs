//! Where a request came from.

use std::net::{IpAddr, SocketAddr};

use crate::policy::{Capture, ProxyHeader};

/// The address at the other end of the connection: put it into the extensions of the request.
///
/// With axum, `into_make_service_with_connect_info::<SocketAddr>()` does it by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// The client's address: the peer's, or, behind proxies that the app trusts, the last one in the proxies' header that
/// is not itself such a proxy. Read from the right, because everything to the left of the first address that is not
/// trusted is the client's to invent.
pub(super) fn resolve<'h>(
    peer: Option<IpAddr>,
    capture: &Capture,
    values: impl DoubleEndedIterator<Item = &'h [u8]>,
) -> Option<IpAddr> {
    let mut client = peer?.to_canonical();
    if !capture.trusts(client) {
        return Some(client);
    }
    for value in values.rev() {
        for element in value.rsplit(|b| *b == b',') {
            let Some(hop) = std::str::from_utf8(element).ok().and_then(|text| match capture.proxy_header() {
                ProxyHeader::XForwardedFor => parse_node(text.trim()),
                ProxyHeader::Forwarded => parse_forwarded(text),
            }) else {
                // A hop that names no address ends what can be known.
                return Some(client);
            };
            client = hop.to_canonical();
            if !capture.trusts(client) {
                return Some(client);
            }
        }
    }
    Some(client)
}

/// The address in the `for` parameter of one element of `Forwarded` (RFC 7239 section 4).
fn parse_forwarded(element: &str) -> Option<IpAddr> {
    let node = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    })?;
    parse_node(node.strip_prefix('"').and_then(|node| node.strip_suffix('"')).unwrap_or(node))
}

/// An address, with or without a port; version 6 in brackets or bare.
fn parse_node(node: &str) -> Option<IpAddr> {
    if let Ok(addr) = node.parse::<IpAddr>() {
        return Some(addr);
    }
    if let Ok(addr) = node.parse::<SocketAddr>() {
        return Some(addr.ip());
    }
    node.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AuditPolicy;

    fn client(peer: &str, header: ProxyHeader, values: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let policy = AuditPolicy::builder().preset().trusted_proxies(trusted, header).build().unwrap();
        let values = values.iter().map(|value| value.as_bytes());
        resolve(Some(peer.parse().unwrap()), policy.capture(), values).unwrap().to_string()
    }

    #[test]
    fn a_stranger_cannot_claim_an_address() {
        assert_eq!(client("203.0.113.9", ProxyHeader::XForwardedFor, &["192.0.2.1"]), "203.0.113.9");
    }

    #[test]
    fn behind_proxies_the_first_stranger_from_the_right_counts() {
        let header = ProxyHeader::XForwardedFor;
        assert_eq!(client("10.0.0.1", header, &["1.1.1.1, 192.0.2.1, 10.0.0.2"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", header, &["1.1.1.1", "192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(client("::ffff:10.0.0.1", header, &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", header, &["192.0.2.1, unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", header, &[]), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_by_rfc_7239() {
        let header = ProxyHeader::Forwarded;
        assert_eq!(
            client("10.0.0.1", header, &[r#"for=1.1.1.1, For="[2001:db8:cafe::17]:4711";proto=https"#]),
            "2001:db8:cafe::17"
        );
        assert_eq!(client("10.0.0.1", header, &["for=_hidden"]), "10.0.0.1");
    }
}

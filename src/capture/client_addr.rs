//! The client's address.

use std::net::{IpAddr, SocketAddr};

use super::forwarded::{ForwardedHops, in_forwarded, in_x_forwarded_for};
use crate::policy::{CaptureConfig, ProxyHeader};

/// The address at the other end of the connection: put it into the extensions of the request.
///
/// With axum, `into_make_service_with_connect_info::<SocketAddr>()` does it by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an app makes it of an address")]
pub struct PeerAddr(pub SocketAddr);

/// Returns the client's address: the peer's, or, behind proxies that the app trusts, the last one in the proxies' header
/// that is not itself such a proxy.
///
/// The chain is read from its right end, the newest hop, because everything to the left of the first address that is not
/// trusted is the client's to invent. It ends early, at the last trusted hop that is known, before a hop that names no
/// address and before a header line that cannot be read: a guess could be what the client wants to be taken for.
///
/// ```text
/// trusted: 10.0.0.0/8    peer: 10.0.0.1
/// x-forwarded-for: 6.6.6.6, 192.0.2.1, 10.0.0.2     192.0.2.1
/// x-forwarded-for: 6.6.6.6, unknown, 10.0.0.2       10.0.0.2
/// x-forwarded-for: 10.0.0.3, 10.0.0.2               10.0.0.3
/// ```
pub(super) fn resolve<'h>(
    peer: Option<IpAddr>,
    capture: &CaptureConfig,
    lines: impl DoubleEndedIterator<Item = &'h [u8]>,
) -> Option<IpAddr> {
    let mut client = peer?.to_canonical();
    if !capture.trusts(client) {
        return Some(client);
    }
    // Several lines are one list (RFC 9110 section 5.3).
    for line in lines.rev() {
        let chain = match capture.proxy_header() {
            ProxyHeader::XForwardedFor => Chain::of(in_x_forwarded_for(line), capture),
            ProxyHeader::Forwarded => Chain::of(in_forwarded(line), capture),
        };
        match chain {
            Chain::Trusted(first) => client = first.unwrap_or(client),
            Chain::Ends(last) => return Some(last.unwrap_or(client)),
        }
    }
    Some(client)
}

/// The hops of one header line, as seen from its right end. A quoted string can only be recognised from the left, so the
/// line is read from there, and with each hop it is decided anew where a reader from the right would stop.
enum Chain {
    /// All of them are trusted proxies; the leftmost one, if there is any.
    Trusted(Option<IpAddr>),
    /// A reader stops at this hop; none: at the one before, which is on the line below or the peer.
    Ends(Option<IpAddr>),
}

impl Chain {
    fn of(members: impl ForwardedHops, capture: &CaptureConfig) -> Self {
        let mut chain = Self::Trusted(None);
        for member in members {
            let Ok(hop) = member else { return Self::Ends(None) };
            let hop = hop.map(|hop| hop.to_canonical());
            chain = match (hop, chain) {
                (None, _) => Self::Ends(None),
                (Some(hop), _) if !capture.trusts(hop) => Self::Ends(Some(hop)),
                (Some(hop), Self::Trusted(None)) => Self::Trusted(Some(hop)),
                // The last trusted hop before one that names no address.
                (Some(hop), Self::Ends(None)) => Self::Ends(Some(hop)),
                (Some(_), chain) => chain,
            };
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AuditPolicy;

    fn client(peer: &str, header: ProxyHeader, values: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let policy = AuditPolicy::builder().preset_ivre().trusted_proxies(trusted, header).build().unwrap();
        let values = values.iter().map(|value| value.as_bytes());
        resolve(Some(peer.parse().unwrap()), policy.capture_config(), values).unwrap().to_string()
    }

    #[test]
    fn a_stranger_cannot_claim_an_address() {
        assert_eq!(client("203.0.113.9", ProxyHeader::XForwardedFor, &["192.0.2.1"]), "203.0.113.9");
    }

    #[test]
    fn behind_proxies_the_first_stranger_from_the_right_counts() {
        for (lines, expected) in [
            (&["1.1.1.1, 192.0.2.1, 10.0.0.2"][..], "192.0.2.1"),
            (&["1.1.1.1", "192.0.2.1:4711"], "192.0.2.1"),
            (&["1.1.1.1", "10.0.0.3, 10.0.0.2"], "1.1.1.1"),
            (&["192.0.2.1, unknown"], "10.0.0.1"),
            (&["192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["192.0.2.1, unknown", "10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (&[], "10.0.0.1"),
            // Empty members of a list are none (RFC 9110 section 5.6.1.2).
            (&["192.0.2.1,"], "192.0.2.1"),
            (&["192.0.2.1,,10.0.0.9, ,"], "192.0.2.1"),
            (&["192.0.2.1", ""], "192.0.2.1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["fe80::1%eth0"], "fe80::1"),
            (&["[fe80::1%eth0]:80"], "fe80::1"),
            // A text that is no address ends the chain.
            (&["fe80::1%"], "10.0.0.1"),
            (&["192.0.2.1%eth0"], "10.0.0.1"),
            (&["\"192.0.2.1\""], "10.0.0.1"),
            (&["192.0.2.01"], "10.0.0.1"),
            (&["192.0.2.1:"], "10.0.0.1"),
            (&["192.0.2.1:123456"], "10.0.0.1"),
            (&["192.0.2.1 192.0.2.2"], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", ProxyHeader::XForwardedFor, lines), expected, "{lines:?}");
        }
        assert_eq!(client("::ffff:10.0.0.1", ProxyHeader::XForwardedFor, &["2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn forwarded_is_read_by_rfc_7239() {
        for (lines, expected) in [
            (&[r#"for=1.1.1.1, For="[2001:db8:cafe::17]:4711";proto=https"#][..], "2001:db8:cafe::17"),
            (&["for=192.0.2.43;by=203.0.113.43,"], "192.0.2.43"),
            (&["for=192.0.2.43 ; proto=http ,, for=10.0.0.2;;"], "192.0.2.43"),
            (&[r#"for="192.0.2.43:_port""#], "192.0.2.43"),
            (&[r#"for="\1\9\2.0.2.43""#], "192.0.2.43"),
            (&[r#"by="a,b";for=192.0.2.43"#], "192.0.2.43"),
            (&["for=192.0.2.43", "for=10.0.0.2"], "192.0.2.43"),
            // Nothing within a quoted string is a hop.
            (&[r#"for=203.0.113.9;host="a,for=1.2.3.4;x=""#], "203.0.113.9"),
            (&[r#"proto=http;host="a,for=1.2.3.4;x=";for=203.0.113.9"#], "203.0.113.9"),
            (&[r#"for="203.0.113.9";host="a\",for=1.2.3.4;x=""#], "203.0.113.9"),
            (&[r#"for=203.0.113.9;host="a,for=1.2.3.4""#], "203.0.113.9"),
            // An element without an address, or with two, ends the chain.
            (&["for=_hidden"], "10.0.0.1"),
            (&["for=unknown"], "10.0.0.1"),
            (&["by=203.0.113.43"], "10.0.0.1"),
            (&["for=192.0.2.43;for=192.0.2.44"], "10.0.0.1"),
            (&["for=192.0.2.43, for=_a, for=10.0.0.2"], "10.0.0.2"),
            // So does a line that is none by the grammar, even if a part of it could be read.
            (&[r#"for=", for=192.0.2.43"#], "10.0.0.1"),
            (&["for=192.0.2.43:80"], "10.0.0.1"),
            (&["for=192.0.2.43, for"], "10.0.0.1"),
            (&["for =192.0.2.43"], "10.0.0.1"),
            (&[r#"for=192.0.2.43, for="10.0.0.2"x"#], "10.0.0.1"),
            (&[r#"for="x"#, "for=192.0.2.43, for=10.0.0.2"], "192.0.2.43"),
            (&[r#"for="2001:db8::1""#], "10.0.0.1"),
            (&[r#"for="[fe80::1%eth0]""#], "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", ProxyHeader::Forwarded, lines), expected, "{lines:?}");
        }
    }
}

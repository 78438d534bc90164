//! The protocol of a request.

use http::HeaderValue;

/// The protocol of a request, by its `content-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Protocol {
    #[default]
    Http,
    Grpc,
}

/// Returns true for the `content-type` of gRPC over HTTP/2: `application/grpc`, with a suffix or parameters. That of
/// gRPC-Web is another one.
pub(crate) fn is_grpc(content_type: &HeaderValue) -> bool {
    const NAME: &[u8] = b"application/grpc";
    let Some((name, rest)) = content_type.as_bytes().split_at_checked(NAME.len()) else { return false };
    name.eq_ignore_ascii_case(NAME) && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
}

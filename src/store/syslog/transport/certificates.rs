//! The certificates of a TLS connection.

use std::path::PathBuf;

/// The certificates of a TLS connection: by default the collector's is signed by a public authority, and the sink has none.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Certificates {
    /// The authorities that sign the collector's certificate, in PEM.
    pub(in super::super) ca_file: Option<PathBuf>,
    /// The sink's own certificate and those up to its authority, in PEM.
    pub(in super::super) cert_file: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    pub(in super::super) key_file: Option<PathBuf>,
    /// The name in the collector's certificate, if it is not the host's.
    pub(in super::super) server_name: Option<String>,
}

//! The client's side of TLS connections: authorities, and a certificate of its own.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The files of a client, in PEM. Without `ca_file` the public authorities are trusted.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientFiles<'a> {
    pub(super) ca_file: Option<&'a Path>,
    pub(super) cert_file: Option<&'a Path>,
    pub(super) key_file: Option<&'a Path>,
}

/// Reads the files. An error names the parameter that is wrong.
pub(super) fn client_config(files: ClientFiles<'_>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match files.ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in read_certificates("ca_file", path)? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("`ca_file` has a certificate of no authority: {error}"))?;
            }
        }
    }
    // An app may have another provider of cryptography, or several: this one is named.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    match (files.cert_file, files.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert_file), Some(key_file)) => {
            let chain = read_certificates("cert_file", cert_file)?;
            let key = PrivateKeyDer::from_pem_file(key_file)
                .map_err(|error| format!("`key_file` has no private key in PEM: {error}"))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("`key_file` is not the key of `cert_file`: {error}"))
        }
        _ => Err("`cert_file` and `key_file` belong together: give both or none".into()),
    }
}

fn read_certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error| format!("`{parameter}` has no certificate in PEM: {error}");
    let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(format!("`{parameter}` has no certificate in PEM"));
    }
    Ok(certificates)
}

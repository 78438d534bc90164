//! TLS (RFC 5425), with rustls.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig};

use super::super::error::WrongFiles;
use super::{Certificates, Server};
use crate::store::client_tls::{self, ClientFiles};

/// The sink's side of TLS connections to one collector.
pub(super) struct Client {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Client {
    /// Reads the certificates. For each connection, so that renewed ones are used.
    pub(super) fn new(server: &Server, certificates: &Certificates) -> io::Result<Self> {
        let config = client_config(certificates)?;
        let name = certificates.server_name.as_ref().unwrap_or(&server.host).clone();
        let name = ServerName::try_from(name)
            .map_err(|_| wrong("the name of the collector is none that a certificate has"))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }

    /// Agrees on TLS with the collector.
    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await.map_err(without_names)
    }
}

/// Replaces the error that names the collector: it is a part of the URL.
fn without_names(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => io::Error::new(io::ErrorKind::InvalidData, "its certificate is for another name: set `server_name`"),
        _ => error,
    }
}

fn client_config(certificates: &Certificates) -> io::Result<ClientConfig> {
    let files = ClientFiles {
        ca_file: certificates.ca_file.as_deref(),
        cert_file: certificates.cert_file.as_deref(),
        key_file: certificates.key_file.as_deref(),
    };
    client_tls::client_config(files).map_err(wrong)
}

fn wrong(problem: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, WrongFiles(problem.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_hold_no_certificates_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing").unwrap();
        let missing = folder.path().join("missing.pem");
        let none = Certificates::default;
        for (certificates, named) in [
            (Certificates { ca_file: Some(empty.clone()), ..none() }, "`ca_file` has no certificate"),
            (Certificates { ca_file: Some(missing.clone()), ..none() }, "`ca_file` has no certificate"),
            (Certificates { cert_file: Some(empty.clone()), ..none() }, "belong together"),
            (Certificates { key_file: Some(empty.clone()), ..none() }, "belong together"),
            (Certificates { cert_file: Some(empty.clone()), key_file: Some(empty), ..none() }, "`cert_file` has no"),
        ] {
            let error = client_config(&certificates).unwrap_err();
            assert!(WrongFiles::is(&error));
            assert!(error.to_string().contains(named), "{error}");
        }
        assert!(client_config(&none()).is_ok());
    }
}

//! Errors of the driver that are no answer of a server: a broken connection, TLS, a value that cannot be read.

use std::borrow::Cow;
use std::error::Error;

use sqlx::error::DatabaseError;

use crate::store::StoreErrorKind;

/// The parameters of a store's URL that the remedies for TLS name.
pub(crate) struct TlsParameters {
    pub(crate) mode: &'static str,
    pub(crate) authority: &'static str,
}

/// The kind and the remedy of an error that is no answer of the server; the remedy is empty if there is none.
pub(crate) fn classify_unanswered(error: &sqlx::Error, tls: &TlsParameters) -> (StoreErrorKind, Cow<'static, str>) {
    match error {
        sqlx::Error::Configuration(_) => (StoreErrorKind::Config, "".into()),
        sqlx::Error::Tls(error) => (StoreErrorKind::Config, tls.remedy(&error.to_string())),
        // Errors of the TLS library about a certificate arrive here.
        sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            (StoreErrorKind::Config, tls.remedy(&error.to_string()))
        }
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
            (StoreErrorKind::Permanent, "".into())
        }
        // The connection broke, or never was.
        _ => (StoreErrorKind::Transient, "".into()),
    }
}

impl TlsParameters {
    /// The remedy when TLS fails.
    fn remedy(&self, cause: &str) -> Cow<'static, str> {
        let Self { mode, authority } = self;
        let has = |words: &str| cause.contains(words);
        if has("UnknownIssuer") || has("BadSignature") {
            format!(
                "the server's certificate is of an authority that is not known here: name its file by `{authority}`"
            )
            .into()
        } else if has("not valid for name") {
            "the server's certificate is not for the host that the URL names".into()
        } else if has("xpired") {
            "the server's certificate has expired, or a clock is wrong".into()
        } else if has("does not support TLS") {
            format!("the server has no TLS and `{mode}` asks for it: turn it on there").into()
        } else {
            format!("the encrypted connection failed: see `{mode}`").into()
        }
    }
}

/// The cause without what the driver puts around it: it would be printed twice, once by each. `refusal` makes the one of an
/// answer of the server.
pub(crate) fn cause<R: Error + Send + Sync + 'static>(
    error: sqlx::Error,
    refusal: impl FnOnce(&dyn DatabaseError) -> R,
) -> Box<dyn Error + Send + Sync> {
    match error {
        sqlx::Error::Database(refused) => Box::new(refusal(&*refused)),
        sqlx::Error::Io(error) => Box::new(error),
        sqlx::Error::Configuration(error)
        | sqlx::Error::Tls(error)
        | sqlx::Error::Encode(error)
        | sqlx::Error::Decode(error)
        | sqlx::Error::ColumnDecode { source: error, .. } => error,
        error => Box::new(error),
    }
}

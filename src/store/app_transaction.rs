//! Connections and transactions of the app's own.

use std::fmt;

#[cfg(feature = "mysql")]
use sqlx::mysql::{MySql, MySqlConnection};
#[cfg(feature = "postgres")]
use sqlx::postgres::{PgConnection, Postgres};
#[cfg(feature = "sqlite")]
use sqlx::sqlite::{Sqlite, SqliteConnection};

/// A connection of the app's, of one of the kinds that stores know.
#[non_exhaustive]
pub enum AppConnection<'a> {
    /// To MariaDB or MySQL.
    #[cfg(feature = "mysql")]
    MySql(&'a mut MySqlConnection),
    /// To PostgreSQL.
    #[cfg(feature = "postgres")]
    Postgres(&'a mut PgConnection),
    /// To an SQLite file.
    #[cfg(feature = "sqlite")]
    Sqlite(&'a mut SqliteConnection),
    /// There is none: without a store that knows transactions, nobody can have one.
    #[doc(hidden)]
    None(std::convert::Infallible, std::marker::PhantomData<&'a mut ()>),
}

impl fmt::Debug for AppConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "mysql")]
            Self::MySql(_) => "MySql",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "Postgres",
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "Sqlite",
            Self::None(..) => "None",
        })
    }
}

/// A transaction that an event can be written in: `sqlx`'s, for MariaDB, MySQL, PostgreSQL or SQLite, or a connection that is in one, so
/// that both `&mut tx` and `&mut *tx` will do.
///
/// A connection that was told `BEGIN` by hand is not in a transaction that `sqlx` knows of, and is refused. Nobody else
/// can implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no transaction that an event can be written in",
    label = "expected `&mut` of a `Transaction` of sqlx 0.9, for a database whose feature is on",
    note = "a pool has no transaction: begin one with `pool.begin()`, pass `&mut tx`, and commit it"
)]
pub trait AppTransaction: sealed::Sealed + Send {
    /// Its connection.
    #[doc(hidden)]
    fn connection(&mut self) -> AppConnection<'_>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! transaction_of {
    ($feature:literal, $database:ident, $connection:ident) => {
        #[cfg(feature = $feature)]
        impl sealed::Sealed for sqlx::Transaction<'_, $database> {}
        #[cfg(feature = $feature)]
        impl AppTransaction for sqlx::Transaction<'_, $database> {
            fn connection(&mut self) -> AppConnection<'_> {
                AppConnection::$database(&mut **self)
            }
        }
        #[cfg(feature = $feature)]
        impl sealed::Sealed for $connection {}
        #[cfg(feature = $feature)]
        impl AppTransaction for $connection {
            fn connection(&mut self) -> AppConnection<'_> {
                AppConnection::$database(self)
            }
        }
    };
}

transaction_of!("mysql", MySql, MySqlConnection);
transaction_of!("postgres", Postgres, PgConnection);
transaction_of!("sqlite", Sqlite, SqliteConnection);

//! Connection strings of many forms, whose password is never shown.

use tower_audit::AuditLog;
use tower_audit::store::{OpenOptions, RedactedUrl, open};

use crate::support::{Run, program};

const PASSWORD: &str = "hunter2";

/// Forms of other software and other databases, and unescaped ones. Where the password has more than
/// one part, each begins with the text that the test looks for.
const WRITTEN: [&str; 47] = [
    // libpq's keywords
    "host=db.example.org user=app password=hunter2",
    "host=db password='hunter2 and more' dbname=app",
    "password = hunter2",
    "service=audit password=hunter2",
    // ADO and ODBC
    "Server=db;Uid=app;Password=hunter2;",
    "Server=db,1433;Initial Catalog=app;User Id=app;Pwd=hunter2",
    "Driver={PostgreSQL};Server=db;UID=app;PWD=hunter2;",
    "odbc:Driver=x;Pwd=hunter2",
    // JDBC
    "jdbc:postgresql://db/app?user=app&password=hunter2",
    "jdbc:sqlserver://db;user=app;password=hunter2;",
    "jdbc:oracle:thin:app/hunter2@db:1521:xe",
    "JDBC:mysql://app:hunter2@db/app",
    // other stores
    "mongodb://app:hunter2@db/app",
    "mongodb+srv://app:hunter2@db/app?w=majority",
    "redis://:hunter2@db:6379/0",
    "rediss://app:hunter2@db",
    "mysql://app:hunter2@db/app",
    "postgresql+psycopg2://app:hunter2@db/app",
    "sqlserver://app:hunter2@db?database=app",
    "nosuch://app:hunter2@db/app",
    "sqlite://app:hunter2@db/app",
    "sqlite:audit.db?hunter2@db",
    "duckdb://app:hunter2@db/app",
    "duckdb:audit.duckdb?library=/lib&hunter2@db",
    "memory:hunter2",
    // without a scheme, or with none of a store
    "hunter2",
    "hunter2:",
    "hunter2:app@db",
    "app:hunter2@db/app",
    "app/hunter2@db",
    "//app:hunter2@db/app",
    "://app:hunter2@db/app",
    " postgres://app:hunter2@db/app",
    "\"postgres://app:hunter2@db/app\"",
    "DATABASE_URL=postgres://app:hunter2@db/app",
    "POSTGRES://app:hunter2@db/app",
    "postgres:\\\\app:hunter2@db/app",
    // unescaped characters
    "postgres://app:hunter2#hunter2@db.invalid:1/app",
    "postgres://app:hunter2/hunter2@db.invalid:1/app",
    "postgres://app:hunter2:hunter2@db.invalid:1/app",
    "postgres://app:hunter2 hunter2@db.invalid:1/app",
    "postgres://app:x?hunter2@db.invalid:1/app",
    "postgres://app:x?hunter2&hunter2@db.invalid:1/app",
    "postgres://app:x?sslmode=hunter2@db.invalid:1/app",
    "postgres://app:%hunter2@db.invalid:1/app",
    "postgres://app:hunter2@hunter2@db.invalid:port/app",
    "postgres://app:[hunter2@db.invalid:1/app",
];

fn assert_hidden(shown: &str, url: &str, place: &str) {
    assert!(!shown.to_lowercase().contains(PASSWORD), "{place} of {url:?}: {shown}");
}

#[test]
fn the_library_shows_no_password() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut options = OpenOptions::default();
    options.create_if_missing = false;
    options.timeout = std::time::Duration::from_millis(200);
    for url in WRITTEN {
        let redacted = RedactedUrl::of(url);
        assert_hidden(&format!("{redacted} {redacted:?} {:?}", redacted.scheme()), url, "the redacted URL");
        let builder = AuditLog::builder().url(url).write_timeout(std::time::Duration::from_millis(200));
        assert_hidden(&format!("{builder:?} {builder:#?}"), url, "the builder");
        let error = runtime.block_on(open(url, options)).map(|_| ()).expect_err(url);
        let mut shown = format!("{error} {error:?} {error:#?}");
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            shown.push_str(&format!("{error} {error:?}"));
            cause = error.source();
        }
        assert_hidden(&shown, url, "the store's error");
        let error = runtime.block_on(builder.open()).expect_err(url);
        assert_hidden(&format!("{error} {error:?}"), url, "the log's error");
    }
}

#[test]
fn the_program_shows_no_password() {
    // An argument in the wrong place is shown unless it looks like a connection string; a bare word does not.
    let looks_like_none = |url: &str| url.split(['=', ':', '@']).count() < 2 || !url.contains(['=', '@']);
    for (n, url) in WRITTEN.into_iter().enumerate() {
        let mut runs = vec![Run::of(program(&["count", "--url", url])), Run::of(program(&["doctor", "--url", url]))];
        if !looks_like_none(url) && !url.contains("app/hunter2") {
            let misplaced: [&[&str]; 4] = [
                &["count", url],
                &[url, "count"],
                &["count", "--url", "memory:", "--since", url],
                &["query", "--url", "memory:", "--limit", url],
            ];
            runs.push(Run::of(program(misplaced[n % misplaced.len()])));
        }
        for run in runs {
            assert!(run.code.is_some_and(|code| code > 0), "{url:?}: {run:?}");
            assert_hidden(&format!("{} {}", run.stdout, run.stderr), url, "the program's output");
        }
    }
}

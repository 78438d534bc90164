//! The end of `--help` and of the manual's first page.

use std::sync::LazyLock;

use tower_audit::store::SCHEMES;

use crate::error::EXIT_CODES;

const EXAMPLES: &str = "\
Examples:
  tower-audit query --url sqlite:/var/lib/app/audit.db -u alice@example.org -s 7d
  tower-audit history order/7
  tower-audit tail -f --outcome 4xx,5xx
  tower-audit stats -s 30d --interval day
  tower-audit export -s 2026-01-01 --until 2026-02-01 --format csv -o january.csv
  tower-audit purge --older-than 365d --dry-run";

const ENVIRONMENT: &str = "\
Environment:
  AUDIT_URL, DATABASE_URL  the store, in this order, if neither --url nor --url-file names one
  PGPASSWORD, PGPASSFILE   PostgreSQL: the password, or a file with passwords, if the URL has none
  USER, LOGNAME            the actor of the events that the program records
  NO_COLOR                 if it is set, no colours; nor if TERM is `dumb`";

/// Examples, environment, exit codes.
pub(crate) fn after() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{EXAMPLES}\n\n{ENVIRONMENT}\n\n{EXIT_CODES}"));
    &TEXT
}

/// The version, and the stores of this build.
pub(crate) fn version() -> &'static str {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| format!("{}\nstores: {}", env!("CARGO_PKG_VERSION"), SCHEMES.join(", ")));
    &TEXT
}

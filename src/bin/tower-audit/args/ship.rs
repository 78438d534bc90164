//! Options of `ship`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(ClapArgs)]
pub(crate) struct ShipArgs {
    /// The store to read, such as sqlite:/var/lib/app/audit.db, or the directory of a spool, as spool:DIR. Not for a URL with a password
    #[arg(long, value_name = "URL", required_unless_present = "from_file", conflicts_with = "from_file")]
    pub(crate) from: Option<String>,

    /// A file whose first line is the URL to read
    #[arg(long, value_name = "FILE")]
    pub(crate) from_file: Option<PathBuf>,

    /// The store to append to. Without it and --to-file, that of --url, --url-file, AUDIT_URL or DATABASE_URL
    #[arg(long, value_name = "URL", conflicts_with = "to_file")]
    pub(crate) to: Option<String>,

    /// A file whose first line is the URL to append to
    #[arg(long, value_name = "FILE")]
    pub(crate) to_file: Option<PathBuf>,

    /// Go on with new events until interrupted; without it, end when everything is shipped
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// A file for the progress, locked by the one instance that ships; others with the same file wait and take over. Without it, the
    /// store is read from its beginning, or from --since
    #[arg(long, value_name = "FILE")]
    pub(crate) progress: Option<PathBuf>,

    /// Ship the events from this moment on, also those that were shipped before: 30d, 2h, a Unix time, ISO 8601
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,

    /// Of a NATS stream: move the consumer to this sequence number of each stream, for all instances, and ship from there
    #[arg(long, value_name = "N", conflicts_with = "since")]
    pub(crate) from_sequence: Option<u64>,

    /// Of a NATS stream: print the progress of the consumer on each stream as JSON, and ship nothing
    #[arg(long, conflicts_with_all = ["follow", "since", "from_sequence"])]
    pub(crate) status: bool,

    /// Of a NATS stream: pause the consumer, for all instances, until this moment (ISO 8601); a moment that has passed ends a pause
    #[arg(long, value_name = "WHEN", conflicts_with_all = ["follow", "since", "from_sequence", "status"])]
    pub(crate) pause_until: Option<String>,

    /// Put events that the target refuses for good into this directory, and go on; `tower-audit spool list DIR` shows them
    #[arg(long, value_name = "DIR")]
    pub(crate) dead_letters: Option<PathBuf>,
}

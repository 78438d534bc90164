//! Diagnostics of the sink.

use super::SyslogSettings;
use crate::store::Diagnostic;
use crate::store::sink_diagnostics::diagnose_sink;

/// Reports what an operator should know of this sink.
pub(super) fn diagnose(settings: &SyslogSettings, cut: u64) -> Vec<Diagnostic> {
    let mut found = diagnose_sink();
    if settings.destination.is_readable_on_the_way() {
        found.push(Diagnostic::warning(
            "transport",
            format!("messages over {} can be read, changed and forged on their way", settings.destination.transport()),
            "use `syslog+tls://HOST`, or a collector on this machine",
        ));
    }
    found.push(match cut {
        0 => Diagnostic::ok("size", format!("no message was larger than {} bytes", settings.max_bytes)),
        _ => Diagnostic::warning(
            "size",
            format!(
                "{cut} messages were larger than {} bytes, or than the socket takes, and were cut",
                settings.max_bytes
            ),
            "raise `max_bytes`, here and in the collector",
        ),
    });
    found
}

//! The sink `syslog:` in front of real collectors: rsyslog, syslog-ng, and fail2ban behind them.

mod collector;
mod corpus;
mod debian_packages;
mod fail2ban;
mod rsyslog;
mod sink;
mod syslog_ng;
mod tls;

//! The sink `syslog:` in front of real collectors: rsyslog, syslog-ng, and fail2ban behind them.

mod collector;
mod corpus;
mod fail2ban;
mod packages;
mod rsyslog;
mod sink;
mod syslog_ng;
mod tls;

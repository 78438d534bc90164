//! Statistics of events: counts by value and by time, queried and drawn.

mod bar_chart;
mod report;
mod time_buckets;

pub(crate) use report::StatsReport;

//! How many events there are of what, and when: asked of the store, and drawn.

mod bar_chart;
mod report;
mod time_range;

pub(crate) use report::StatsReport;

//! Following a log: every event once, as it arrives.
//!
//! A store says which events there are, not which are new, and an event can become visible later than one of a later
//! time: several processes write, each with a clock and a queue of its own. So the newest stretch of the log is read
//! again and again, and what was shown is remembered for as long as it may be read again.

mod dedup;
mod file_replacement;
mod follower;

pub(crate) use follower::Follower;

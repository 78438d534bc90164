//! A log of JSON lines: calls that fail, files that are taken away, processes that share it.

mod append_only;
mod archive_fails;
mod each_call;
mod failed_calls;
mod full_disk;
mod lock_removed;
mod logrotate;
mod machine_restart;
mod multi_process;
mod purge_killed;
mod rlimit_fsize;
mod rotation_fails;
mod scene;
mod taken_away;
mod torn_line;

//! The house itself: the arrows between folders and files, the words of summaries, and documented commands.

mod arrows;
mod auto_traits;
mod code;
mod commands;
mod words;

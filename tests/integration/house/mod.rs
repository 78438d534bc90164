//! The house itself: the arrows between folders and files, and the words of summaries.

mod arrows;
mod auto_traits;
mod code;
mod words;

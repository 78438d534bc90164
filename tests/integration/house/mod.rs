//! The house itself: the arrows between folders and files, the words of summaries, documented commands, random numbers.

mod arrows;
mod auto_traits;
mod code;
mod commands;
mod random;
mod words;

//! The house itself: the arrows between folders and files, the words of summaries, documented commands, random numbers, simulated tables.

mod arrows;
mod auto_traits;
mod code;
mod commands;
mod random;
mod scale;
mod words;

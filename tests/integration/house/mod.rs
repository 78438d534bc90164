//! The house itself: the arrows between folders and files, the words of summaries, documented commands, random numbers, simulated tables.

mod arrows;
mod auto_traits;
mod commands;
mod doc_consistency;
mod doc_summaries;
mod random_source;
mod scale;
mod source_files;

//! Servers and clients that end early.

mod graceful;
mod hang_up;
mod second_writer;

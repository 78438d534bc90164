//! Servers and clients that end early.

mod hang_up;
mod neighbour;
mod shutdown;

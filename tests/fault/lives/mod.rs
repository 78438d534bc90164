//! What ends before its time: a server, a client, a neighbour.

mod hang_up;
mod neighbour;
mod shutdown;

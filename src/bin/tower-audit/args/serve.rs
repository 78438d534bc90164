//! Options of `serve`.

use clap::Args as ClapArgs;

use super::number::port;

#[derive(ClapArgs)]
pub(crate) struct ServeArgs {
    /// The port on 127.0.0.1; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value = "0", value_parser = port, allow_hyphen_values = true)]
    pub(crate) port: u16,

    /// Print an address of 127.0.0.1, for a browser that does not find names below .localhost. Do not visit servers of
    /// others on 127.0.0.1 with it meanwhile: a browser sends them the token
    #[arg(long)]
    pub(crate) numeric: bool,
}

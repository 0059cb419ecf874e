//! Options that decide who may send, in addition to programs on this machine.

use std::net::IpAddr;

use clap::Args;

use logbridge_receiver::internals::Guard;

#[derive(Args, Debug)]
pub(in crate::command) struct AllowedSenders {
    /// Accept requests whose Host header is this name, such as host.docker.internal [default: localhost and the
    /// addresses of this machine; any name if other machines can connect]
    #[arg(long, value_name = "NAME", help_heading = "Access options")]
    allow_host: Vec<String>,
    /// Accept requests from web pages of this origin, such as `https://shop.example`; `*` accepts every page [default:
    /// pages of localhost]
    #[arg(long, value_name = "ORIGIN", help_heading = "Access options")]
    allow_origin: Vec<String>,
}

impl AllowedSenders {
    pub(in crate::command) fn guard(&self, host: IpAddr) -> Guard {
        Guard::new(host, &self.allow_host, &self.allow_origin)
    }
}

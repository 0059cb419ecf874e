//! What `logbridge listen` and `logbridge run` have in common: requests that come in, are counted, and are passed on.

mod ending;
mod forward;
mod tally;

pub(super) use ending::asked_to_end;
pub(super) use forward::{Passed, Upstream, below};
pub(super) use tally::{Levels, Oddities, Tally, bounded, names_nothing};

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use clap::Args;

use super::Problem;
use logbridge_receiver::internals::{Content, Decoded, Guard, Limits, NoServer, Server, Service};

/// Where requests come in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doors {
    pub(super) host: IpAddr,
    pub(super) grpc: u16,
    pub(super) http: u16,
}

/// At which door a request of gRPC belongs; the other one is for HTTP.
pub(super) const GRPC_DOOR: usize = 0;

impl Doors {
    /// Opens both: the first address is that for gRPC, the second that for HTTP.
    pub(super) fn open<S: Service>(self, service: Arc<S>) -> Result<(Server, [SocketAddr; 2]), Problem> {
        let asked = [self.grpc, self.http].map(|port| SocketAddr::new(self.host, port));
        let server =
            Server::start(asked.to_vec(), service, Limits::default()).map_err(|no_server| self.problem(&no_server))?;
        match server.addresses.as_slice() {
            [grpc, http] => {
                let addresses = [*grpc, *http];
                Ok((server, addresses))
            }
            // Two were asked for.
            _ => Err(Problem::new("nothing listens", "")),
        }
    }

    fn problem(self, no_server: &NoServer) -> Problem {
        let NoServer { address, error } = no_server;
        let (port, option) = match address {
            None => {
                return Problem::new(
                    format!("nothing can be received: {error}"),
                    "check the limits of the process (ulimit -n)",
                );
            }
            Some(GRPC_DOOR) => (self.grpc, "--grpc-port"),
            Some(_) => (self.http, "--http-port"),
        };
        let place = SocketAddr::new(self.host, port);
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                let help = format!(
                    "another program listens there (a collector?): end it, or name another port with {option} (0 is any free one)"
                );
                Problem::new(format!("port {port} is taken: nothing can listen at {place}"), help)
            }
            io::ErrorKind::PermissionDenied => Problem::new(
                format!("nothing may listen at {place}: {error}"),
                format!("name a port above 1023 with {option}"),
            ),
            io::ErrorKind::AddrNotAvailable => {
                let help = "name one with --host: 127.0.0.1 for this machine alone, 0.0.0.0 for all";
                Problem::new(format!("{} is no address of this machine", self.host), help)
            }
            _ => Problem::new(
                format!("nothing can listen at {place}: {error}"),
                format!("name another port with {option}"),
            ),
        }
    }
}

/// Who may send, besides programs of this machine.
#[derive(Args, Debug)]
pub(super) struct Senders {
    /// Take requests that call this machine by this name, such as host.docker.internal [default: localhost and the
    /// addresses of this machine alone; all names where other machines are let in]
    #[arg(long, value_name = "NAME", help_heading = "Who may send")]
    allow_host: Vec<String>,
    /// Take what web pages of this origin send, such as `https://shop.example`; `*` is every page [default: those of localhost]
    #[arg(long, value_name = "ORIGIN", help_heading = "Who may send")]
    allow_origin: Vec<String>,
}

impl Senders {
    pub(super) fn guard(&self, host: IpAddr) -> Guard {
        Guard::new(host, &self.allow_host, &self.allow_origin)
    }
}

/// How a remark on a key begins.
pub(super) const UNKNOWN_KEY: &str = "unknown key";

/// What has no meaning in a request, or that there is nothing in it.
pub(super) fn remark(decoded: &Decoded) -> Option<String> {
    let nothing = match decoded.message.content() {
        Content::Logs => "request without records",
        Content::Traces => "request without spans",
        Content::Metrics => "request without data points",
    };
    match (decoded.message.is_empty(), &decoded.remark) {
        (true, Some(key)) => Some(format!("{nothing}: {UNKNOWN_KEY} {key}")),
        (true, None) => Some(nothing.to_owned()),
        (false, Some(key)) => Some(format!("{UNKNOWN_KEY} {key}")),
        (false, None) => None,
    }
}

/// A mishap without the number of its connection, which would make each one new.
pub(super) fn cause_of(problem: &str) -> &str {
    problem.strip_prefix("connection ").and_then(|rest| rest.split_once(": ")).map_or(problem, |(_, cause)| cause)
}

/// An address of this machine, in digits.
pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        text => text
            .parse()
            .map_err(|_| "write an address such as 127.0.0.1, or 0.0.0.0 for all of this machine".to_owned()),
    }
}

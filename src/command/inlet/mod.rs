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

use super::Problem;
use crate::receiver::{NoServer, Server, Service};

/// The longest body that is read. A collector takes 4 MiB over gRPC, and 20 MiB over HTTP.
pub(super) const MAX_BODY: usize = 64 << 20;

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
        let server = Server::start(asked.to_vec(), service).map_err(|no_server| self.problem(&no_server))?;
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

//! The two listening sockets: one for OTLP/gRPC, one for OTLP/HTTP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::command::exit_status::CommandError;
use logbridge_receiver::internals::{Limits, Server, Service, StartError};

/// The index of the listener for gRPC; the other listener is for HTTP.
pub(in crate::command) const GRPC_LISTENER: usize = 0;

/// The addresses to listen on. Port 0 is any free port.
#[derive(Clone, Copy, Debug)]
pub(in crate::command) struct ListenAddrs {
    pub(in crate::command) host: IpAddr,
    pub(in crate::command) grpc: u16,
    pub(in crate::command) http: u16,
}

impl ListenAddrs {
    /// Starts a server on both ports and returns it with its addresses for gRPC and HTTP.
    pub(in crate::command) fn serve<S: Service>(
        self,
        service: Arc<S>,
    ) -> Result<(Server, [SocketAddr; 2]), CommandError> {
        let wanted = [self.grpc, self.http].map(|port| SocketAddr::new(self.host, port));
        let server =
            Server::start(wanted.to_vec(), service, Limits::default()).map_err(|failure| self.error(&failure))?;
        match server.addresses.as_slice() {
            [grpc, http] => {
                let addresses = [*grpc, *http];
                Ok((server, addresses))
            }
            // A server has one address for each that it was given.
            _ => Err(CommandError::new("the server has no address", "")),
        }
    }

    fn error(self, failure: &StartError) -> CommandError {
        let StartError { address, error } = failure;
        let (port, option) = match address {
            None => {
                return CommandError::new(
                    format!("cannot start the receiver: {error}"),
                    "check the process limits (ulimit -n)",
                );
            }
            Some(GRPC_LISTENER) => (self.grpc, "--grpc-port"),
            Some(_) => (self.http, "--http-port"),
        };
        let address = SocketAddr::new(self.host, port);
        match error.kind() {
            io::ErrorKind::AddrInUse => CommandError::new(
                format!("port {port} is in use: cannot listen on {address}"),
                format!(
                    "stop the program that listens there (a collector?), or choose another port with {option}; 0 is \
                     any free port"
                ),
            ),
            io::ErrorKind::PermissionDenied => CommandError::new(
                format!("no permission to listen on {address}: {error}"),
                format!("choose a port above 1023 with {option}"),
            ),
            io::ErrorKind::AddrNotAvailable => CommandError::new(
                format!("{} is not an address of this machine", self.host),
                "choose one with --host: 127.0.0.1 accepts only this machine, 0.0.0.0 accepts all",
            ),
            _ => CommandError::new(
                format!("cannot listen on {address}: {error}"),
                format!("choose another port with {option}"),
            ),
        }
    }
}

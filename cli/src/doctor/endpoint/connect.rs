//! Resolves the name of the endpoint and connects to each of its addresses.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

const RESOLVE_TIMEOUT: Duration = Duration::from_millis(2500);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2500);
/// Limits the number of concurrent connections.
const MAX_ADDRESSES: usize = 8;

/// The addresses of a name, each with the result of a connection to it.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// Why the name has no address, if it has none.
    pub(crate) unresolved: Option<String>,
    /// In the order of the resolver.
    pub(crate) addresses: Vec<(SocketAddr, Result<(), ConnectFailure>)>,
    /// The other default port of OTLP (4317 or 4318), if it is open.
    pub(crate) other_open_port: Option<u16>,
}

/// Why a connection failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ConnectFailure {
    Refused,
    TimedOut,
    Other(String),
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::TimedOut => f.write_str("no answer to the connection"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl Connections {
    pub(super) fn first_open_address(&self) -> Option<SocketAddr> {
        self.addresses.iter().find(|(_, result)| result.is_ok()).map(|(address, _)| *address)
    }
}

/// Resolves a name and connects to all its addresses concurrently.
pub(super) async fn connect_all(host: &str, port: u16) -> Connections {
    let mut found: Vec<SocketAddr> = match timeout(RESOLVE_TIMEOUT, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return unresolved(error.to_string()),
        Err(_elapsed) => return unresolved(format!("no answer within {RESOLVE_TIMEOUT:?}")),
    };
    found.dedup();
    found.truncate(MAX_ADDRESSES);
    if found.is_empty() {
        return unresolved("the resolver returned no address".to_owned());
    }
    let sibling = match port {
        4317 => Some(4318),
        4318 => Some(4317),
        _ => None,
    };
    let mut tasks = JoinSet::new();
    for (place, address) in found.iter().copied().enumerate() {
        tasks.spawn(async move { (place, connect(address).await) });
        if let Some(sibling) = sibling {
            let address = SocketAddr::new(address.ip(), sibling);
            tasks.spawn(async move { (usize::MAX, connect(address).await) });
        }
    }
    let mut results: Vec<Result<(), ConnectFailure>> = vec![Err(ConnectFailure::TimedOut); found.len()];
    let mut is_sibling_open = false;
    while let Some(done) = tasks.join_next().await {
        let Ok((place, result)) = done else { continue };
        match results.get_mut(place) {
            Some(kept) => *kept = result,
            None => is_sibling_open |= result.is_ok(),
        }
    }
    Connections {
        unresolved: None,
        addresses: found.into_iter().zip(results).collect(),
        other_open_port: sibling.filter(|_| is_sibling_open),
    }
}

fn unresolved(why: String) -> Connections {
    Connections { unresolved: Some(why), ..Connections::default() }
}

async fn connect(address: SocketAddr) -> Result<(), ConnectFailure> {
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(_stream)) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(ConnectFailure::Refused),
        Ok(Err(error)) => Err(ConnectFailure::Other(error.to_string())),
        Err(_elapsed) => Err(ConnectFailure::TimedOut),
    }
}

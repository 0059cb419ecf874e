//! Name and address: the resolver's answer, and a connection to each address.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A name that is not known within this time is of no use to a program either.
const RESOLVER: Duration = Duration::from_millis(2500);
const CONNECT: Duration = Duration::from_millis(2500);
/// A name may have very many.
const MOST: usize = 8;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// Why the name has no address.
    pub(crate) unresolved: Option<String>,
    /// In the resolver's order.
    pub(crate) addresses: Vec<(SocketAddr, Result<(), ConnectFailure>)>,
    /// The other usual port of OTLP, where that one is open.
    pub(crate) other_open_port: Option<u16>,
}

/// Why a connection did not come about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ConnectFailure {
    Refused,
    TimedOut,
    Other(String),
}

impl Connections {
    pub(super) fn first_open_address(&self) -> Option<SocketAddr> {
        self.addresses.iter().find(|(_, result)| result.is_ok()).map(|(address, _)| *address)
    }
}

/// Resolves, and connects to everything at once.
pub(super) async fn connect_all(host: &str, port: u16) -> Connections {
    let mut found: Vec<SocketAddr> = match timeout(RESOLVER, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => return unresolved(error.to_string()),
        Err(_elapsed) => return unresolved(format!("no answer within {RESOLVER:?}")),
    };
    found.dedup();
    found.truncate(MOST);
    if found.is_empty() {
        return unresolved("it has no address".to_owned());
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
    match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(_stream)) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(ConnectFailure::Refused),
        Ok(Err(error)) => Err(ConnectFailure::Other(error.to_string())),
        Err(_elapsed) => Err(ConnectFailure::TimedOut),
    }
}

//! The server: a thread that accepts connections, reads requests, and passes them to a [`Service`].
//!
//! Each port serves HTTP/1.1 and gRPC. All tasks run on the one thread, so nothing else happens between two steps of a
//! service that does not await between them.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

use super::connections::{ClientConnection, ConnectionSlot, Connections, Limits};
use super::exchange::{Disconnect, Service, handle};
use super::sniff::{Protocol, sniff};
use super::thread_hook::run_hook;

/// The pause after a failed `accept`, which fails again at once if, for example, file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A running server. Dropping it closes all connections and joins its thread.
#[derive(Debug)]
pub struct Server {
    /// The listen addresses, in the order of the addresses passed to [`Server::start`].
    pub addresses: Vec<SocketAddr>,
    // Nothing is sent: dropping the sender is the signal to stop. The mutex makes the server `Sync`.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Option<JoinHandle<()>>,
    connections: Arc<Connections>,
}

/// The reason why a server could not be started.
#[derive(Debug)]
pub struct StartError {
    /// The index of the address that could not be bound. `None` if the error has another cause.
    pub address: Option<usize>,
    pub error: io::Error,
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self { address: None, error }
    }
}

impl Server {
    /// Starts a server that listens on all these addresses. Port 0 selects a free port.
    ///
    /// # Errors
    ///
    /// Returns an error if an address cannot be bound or no thread can be spawned.
    pub fn start<S: Service>(addresses: Vec<SocketAddr>, service: Arc<S>, limits: Limits) -> Result<Self, StartError> {
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let connections = Arc::new(Connections::new(limits));
        let thread_connections = Arc::clone(&connections);
        let thread = std::thread::Builder::new()
            .name("logbridge-receiver".to_owned())
            .spawn(move || run(&addresses, &service, &thread_connections, &ready, stopped))?;
        let panicked = |_| Err(io::Error::other("the receiver's thread panicked").into());
        let addresses = started.recv().unwrap_or_else(panicked)?;
        Ok(Self { addresses, stop: Mutex::new(Some(stop)), thread: Some(thread), connections })
    }

    /// Waits until all connections made so far are accepted.
    pub async fn all_accepted(&self) {
        for address in &self.addresses {
            // Connections are accepted in order, so a new one comes after all others.
            if let Ok(mut stream) = TcpStream::connect(address).await {
                // The server closes a connection on which nothing arrives.
                let _closed = stream.shutdown().await;
                let _ended = stream.read(&mut [0]).await;
            }
        }
    }

    /// Returns whether a request is being answered.
    pub fn is_answering(&self) -> bool {
        self.connections.is_answering()
    }

    /// Returns whether any client is connected.
    pub fn has_clients(&self) -> bool {
        !self.connections.is_empty()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the panic hook. Another panic in `drop` could abort the test.
            thread.join().ok();
        }
    }
}

type Ready = Sender<Result<Vec<SocketAddr>, StartError>>;

/// Runs the server's thread: sends the listen addresses to `ready`, and returns after the sender of `stop` is dropped.
fn run<S: Service>(
    addresses: &[SocketAddr],
    service: &Arc<S>,
    connections: &Arc<Connections>,
    ready: &Ready,
    stop: oneshot::Receiver<()>,
) {
    run_hook();
    // Sending fails only if `Server::start` no longer waits.
    match own_runtime().map_err(StartError::from).and_then(|runtime| Ok((listeners(&runtime, addresses)?, runtime))) {
        Err(error) => drop(ready.send(Err(error))),
        Ok((listeners, runtime)) => {
            let addresses: io::Result<_> = listeners.iter().map(TcpListener::local_addr).collect();
            drop(ready.send(addresses.map_err(StartError::from)));
            for (index, listener) in listeners.into_iter().enumerate() {
                runtime.spawn(accept(listener, index, Arc::clone(connections), Arc::clone(service)));
            }
            runtime.block_on(stop).ok();
            // Drops all tasks with their sockets, but does not wait for a blocking resolver call, which may hang.
            runtime.shutdown_background();
        }
    }
}

fn listeners(runtime: &Runtime, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let bind = |(index, address): (usize, &SocketAddr)| {
        runtime.block_on(TcpListener::bind(address)).map_err(|error| StartError { address: Some(index), error })
    };
    addresses.iter().enumerate().map(bind).collect()
}

fn own_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_io().enable_time().on_thread_start(run_hook).build()
}

async fn accept<S: Service>(listener: TcpListener, index: usize, connections: Arc<Connections>, service: Arc<S>) {
    let mut number = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                run_hook();
                number += 1;
                match connections.admit(number, index) {
                    Some(slot) => drop(tokio::spawn(supervise(stream, slot, Arc::clone(&service)))),
                    None => refuse(&stream),
                }
            }
            Err(error) => {
                service.problem(format!("cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Answers that all connections are in use, unless the client is not ready to receive.
fn refuse(stream: &TcpStream) {
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
                          content-type: text/plain\r\ncontent-length: 40\r\n\r\n\
                          all connections are in use, retry later\n";
    let _sent = stream.try_write(BUSY);
}

/// Serves a connection in a task of its own, so that a panic (such as that of a printer) is reported and ends only this
/// connection.
async fn supervise<S: Service>(stream: TcpStream, slot: ConnectionSlot, service: Arc<S>) {
    let connection = slot.client().connection.number;
    let task_service = Arc::clone(&service);
    let task = tokio::spawn(async move { slot.serve(serve(stream, slot.client(), task_service)).await });
    if let Err(error) = task.await {
        service.problem(format!("connection {connection}: {error}"));
    }
}

async fn serve<S: Service>(stream: TcpStream, client: ClientConnection, service: Arc<S>) {
    // Otherwise an answer may wait for the client's acknowledgement. An error means only such a delay.
    stream.set_nodelay(true).ok();
    let connection = client.connection.number;
    let protocol = sniff(&stream).await;
    #[cfg(feature = "grpc")]
    if protocol == Protocol::Http2 {
        return super::grpc::serve(stream, client, service).await;
    }
    if protocol == Protocol::Tls {
        let what = "the client speaks TLS, but this port accepts only plain HTTP: use http:// instead of https://";
        service.problem(format!("connection {connection}: {what}"));
    }
    let responses = service_fn(|request| handle(request, client.clone(), Arc::clone(&service)));
    let mut serving = http1::Builder::new().half_close(S::HALF_CLOSE).serve_connection(TokioIo::new(stream), responses);
    let Err(error) = (&mut serving).await else {
        return;
    };
    match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(Disconnect::Close) => {}
        Some(Disconnect::Reset) => {
            // With a linger time of zero, closing the socket at the end of this block sends RST instead of FIN.
            let stream = serving.into_parts().io.into_inner();
            if let Err(error) = stream.set_zero_linger() {
                service.problem(format!(
                    "connection {connection}: cannot reset the connection, closing it instead: {error}"
                ));
            }
        }
        // Already reported above.
        None if protocol == Protocol::Tls => {}
        None => service.problem(format!("connection {connection}: {error}")),
    }
}

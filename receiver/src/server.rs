//! The receiver's thread: accepts connections, reads requests, and hands each of them to a service, which answers.
//!
//! Constraints:
//! * There is one thread. A service that does not wait between two things has nothing come between them.
//! * HTTP/1.1 and gRPC are served on each port, whichever it is meant for.

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

use super::connections::{Caller, Connections, Limits, Open};
use super::exchange::{Hangup, Service, handle};
use super::own_thread::run_hook;
use super::sniff::{Opening, opening};

/// How long to leave a failing `accept` alone: it fails again at once when, say, file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A server that runs; it stops, with all its connections, when this is dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens, in the order in which that was asked for.
    pub addresses: Vec<SocketAddr>,
    // Never sent on: that it is dropped is the signal to stop. One who only shares a server is `Sync` with it.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Option<JoinHandle<()>>,
    connections: Arc<Connections>,
}

/// Why a server does not run.
#[derive(Debug)]
pub struct NoServer {
    /// Which address cannot be listened at, if that is it.
    pub address: Option<usize>,
    pub error: io::Error,
}

impl From<io::Error> for NoServer {
    fn from(error: io::Error) -> Self {
        Self { address: None, error }
    }
}

impl Server {
    /// Listens at all these addresses; port 0 is a free one.
    pub fn start<S: Service>(addresses: Vec<SocketAddr>, service: Arc<S>, limits: Limits) -> Result<Self, NoServer> {
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let connections = Arc::new(Connections::new(limits));
        let of_thread = Arc::clone(&connections);
        let thread = std::thread::Builder::new()
            .name("logbridge-receiver".to_owned())
            .spawn(move || run(&addresses, &service, &of_thread, &ready, stopped))?;
        let panicked = |_| Err(io::Error::other("the receiver's thread panicked").into());
        let addresses = started.recv().unwrap_or_else(panicked)?;
        Ok(Self { addresses, stop: Mutex::new(Some(stop)), thread: Some(thread), connections })
    }

    /// Waits until each connection that was made before has been accepted: those that come first are accepted first.
    pub async fn all_accepted(&self) {
        for address in &self.addresses {
            if let Ok(mut stream) = TcpStream::connect(address).await {
                // It closes a connection on which nothing comes.
                let _closed = stream.shutdown().await;
                let _ended = stream.read(&mut [0]).await;
            }
        }
    }

    /// Whether a request is being answered.
    pub fn is_answering(&self) -> bool {
        self.connections.is_answering()
    }

    /// Whether any client is connected.
    pub fn has_clients(&self) -> bool {
        !self.connections.is_empty()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.take() {
            // A panic over there was reported by the panic hook when it happened; one more here could abort the test.
            thread.join().ok();
        }
    }
}

type Ready = Sender<Result<Vec<SocketAddr>, NoServer>>;

/// The body of the thread. Says on `ready` where it listens, ends when the other end of `stop` is dropped.
fn run<S: Service>(
    addresses: &[SocketAddr],
    service: &Arc<S>,
    connections: &Arc<Connections>,
    ready: &Ready,
    stop: oneshot::Receiver<()>,
) {
    run_hook();
    // Sending fails only when nobody waits for this thread any more.
    match own_runtime().map_err(NoServer::from).and_then(|runtime| Ok((listeners(&runtime, addresses)?, runtime))) {
        Err(error) => drop(ready.send(Err(error))),
        Ok((listeners, runtime)) => {
            let addresses: io::Result<_> = listeners.iter().map(TcpListener::local_addr).collect();
            drop(ready.send(addresses.map_err(NoServer::from)));
            for (door, listener) in listeners.into_iter().enumerate() {
                runtime.spawn(accept(listener, door, Arc::clone(connections), Arc::clone(service)));
            }
            runtime.block_on(stop).ok();
            // Dropping the runtime here drops all tasks, and with them their sockets. A resolver call may hang: nobody
            // waits for it.
            runtime.shutdown_background();
        }
    }
}

fn listeners(runtime: &Runtime, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, NoServer> {
    let bind = |(index, address): (usize, &SocketAddr)| {
        runtime.block_on(TcpListener::bind(address)).map_err(|error| NoServer { address: Some(index), error })
    };
    addresses.iter().enumerate().map(bind).collect()
}

fn own_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_io().enable_time().on_thread_start(run_hook).build()
}

async fn accept<S: Service>(listener: TcpListener, door: usize, connections: Arc<Connections>, service: Arc<S>) {
    let mut number = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                run_hook();
                number += 1;
                match connections.admit(number, door) {
                    Some(open) => drop(tokio::spawn(watch(stream, open, Arc::clone(&service)))),
                    None => turn_away(&stream),
                }
            }
            Err(error) => {
                service.problem(format!("accepting a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Tells a client that all connections are in use, if it can be told at once.
fn turn_away(stream: &TcpStream) {
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
                          content-type: text/plain\r\ncontent-length: 40\r\n\r\n\
                          all connections are in use: come again.\n";
    let _it_comes_again_anyway = stream.try_write(BUSY);
}

/// Serves a connection in a task of its own, so that its panic (of a printer, say) is noticed and ends it alone.
async fn watch<S: Service>(stream: TcpStream, open: Open, service: Arc<S>) {
    let connection = open.caller().connection.number;
    let serving = Arc::clone(&service);
    let served = tokio::spawn(async move { open.serve(serve(stream, open.caller(), serving)).await });
    if let Err(error) = served.await {
        service.problem(format!("connection {connection}: {error}"));
    }
}

async fn serve<S: Service>(stream: TcpStream, caller: Caller, service: Arc<S>) {
    // Without it an answer may wait for the client's acknowledgement; where it fails that is all that happens.
    stream.set_nodelay(true).ok();
    let connection = caller.connection.number;
    let opening = opening(&stream).await;
    #[cfg(feature = "grpc")]
    if opening == Opening::Http2 {
        return super::grpc::serve(stream, caller, service).await;
    }
    if opening == Opening::Tls {
        let what = "the client speaks TLS, which is not spoken here: write http:// instead of https://";
        service.problem(format!("connection {connection}: {what}"));
    }
    let answers = service_fn(|request| handle(request, caller.clone(), Arc::clone(&service)));
    let mut exchange =
        http1::Builder::new().half_close(S::OUTLIVES_CLIENTS).serve_connection(TokioIo::new(stream), answers);
    let Err(error) = (&mut exchange).await else {
        return;
    };
    match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(Hangup::Close) => {}
        Some(Hangup::Reset) => {
            // With no time to linger, closing the socket (at the end of this block) sends RST in place of FIN.
            let stream = exchange.into_parts().io.into_inner();
            if let Err(error) = stream.set_zero_linger() {
                service.problem(format!("connection {connection}: closed, not reset: {error}"));
            }
        }
        // It has been told; what it was answered in plain text tells the client.
        None if opening == Opening::Tls => {}
        None => service.problem(format!("connection {connection}: {error}")),
    }
}

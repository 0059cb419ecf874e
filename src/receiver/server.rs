//! The receiver's thread: accepts connections, reads requests, and hands each of them to a service, which answers.
//!
//! Constraints:
//! * There is one thread. A service that does not wait between two things has nothing come between them.
//! * HTTP/1.1 and gRPC are served on each port, whichever it is meant for.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

use super::answer::{Ending, Reply, WholeBody};
use super::request::ReceivedRequest;
use super::sniff::{Opening, opening};
use crate::thread;

/// How long to leave a failing `accept` alone: it fails again at once when, say, file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What is done about requests.
pub(crate) trait Service: Send + Sync + 'static {
    /// The longest body that is read; a longer one is refused.
    const MAX_BODY: usize = usize::MAX;

    /// Answers a request that was read to its end. What is to be waited for nobody has to wait for in here: a client that
    /// goes away meanwhile ends that.
    fn answer(&self, exchange: Exchange) -> impl Future<Output = Reply> + Send;

    /// A request of gRPC that holds no message that could be handed over, or one that is too long.
    fn unreadable(&self, _request: ReceivedRequest, _door: usize, _status: StatusCode, _why: &str) {}

    /// Hears of mishaps: connections that broke, a panic.
    fn problem(&self, what: String);
}

/// A request that was read to its end.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// As it came.
    pub(crate) request: ReceivedRequest,
    /// Its head, as over HTTP also where it came over gRPC.
    pub(crate) head: Parts,
    /// The message, without the frame of gRPC.
    pub(crate) body: Bytes,
    /// What a request of gRPC was before it was unpacked.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code))] // There are none.
    pub(crate) packed: Option<Packed>,
    /// At which of the addresses it came in.
    pub(crate) door: usize,
}

/// A request of gRPC.
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) path: &'static str,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A server that runs; it stops, with all its connections, when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it listens, in the order in which that was asked for.
    pub(crate) addresses: Vec<SocketAddr>,
    // Never sent on: that it is dropped is the signal to stop. One who only shares a server is `Sync` with it.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Option<JoinHandle<()>>,
}

/// Why a server does not run.
#[derive(Debug)]
pub(crate) struct NoServer {
    /// Which address cannot be listened at, if that is it.
    pub(crate) address: Option<usize>,
    pub(crate) error: io::Error,
}

impl From<io::Error> for NoServer {
    fn from(error: io::Error) -> Self {
        Self { address: None, error }
    }
}

impl Server {
    /// Listens at all these addresses; port 0 is a free one.
    pub(crate) fn start<S: Service>(addresses: Vec<SocketAddr>, service: Arc<S>) -> Result<Self, NoServer> {
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("logbridge-receiver".to_owned())
            .spawn(move || run(&addresses, &service, &ready, stopped))?;
        let panicked = |_| Err(io::Error::other("the receiver's thread panicked").into());
        let addresses = started.recv().unwrap_or_else(panicked)?;
        Ok(Self { addresses, stop: Mutex::new(Some(stop)), thread: Some(thread) })
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
fn run<S: Service>(addresses: &[SocketAddr], service: &Arc<S>, ready: &Ready, stop: oneshot::Receiver<()>) {
    thread::mark_own();
    // Sending fails only when nobody waits for this thread any more.
    match own_runtime().map_err(NoServer::from).and_then(|runtime| Ok((listeners(&runtime, addresses)?, runtime))) {
        Err(error) => drop(ready.send(Err(error))),
        Ok((listeners, runtime)) => {
            let addresses: io::Result<_> = listeners.iter().map(TcpListener::local_addr).collect();
            drop(ready.send(addresses.map_err(NoServer::from)));
            for (door, listener) in listeners.into_iter().enumerate() {
                runtime.spawn(accept(listener, door, Arc::clone(service)));
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
    runtime::Builder::new_current_thread().enable_io().enable_time().on_thread_start(thread::mark_own).build()
}

async fn accept<S: Service>(listener: TcpListener, door: usize, service: Arc<S>) {
    let mut connection = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connection += 1;
                tokio::spawn(watch(stream, Caller { connection, door }, Arc::clone(&service)));
            }
            Err(error) => {
                service.problem(format!("accepting a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) connection: usize,
    pub(super) door: usize,
}

/// Serves a connection in a task of its own, so that its panic (of a printer, say) is noticed and ends it alone.
async fn watch<S: Service>(stream: TcpStream, caller: Caller, service: Arc<S>) {
    let served = tokio::spawn(serve(stream, caller, Arc::clone(&service)));
    if let Err(error) = served.await {
        service.problem(format!("connection {}: {error}", caller.connection));
    }
}

async fn serve<S: Service>(stream: TcpStream, caller: Caller, service: Arc<S>) {
    // Without it an answer may wait for the client's acknowledgement; where it fails that is all that happens.
    stream.set_nodelay(true).ok();
    let connection = caller.connection;
    let opening = opening(&stream).await;
    #[cfg(feature = "grpc")]
    if opening == Opening::Http2 {
        return super::grpc::serve(stream, caller, service).await;
    }
    if opening == Opening::Tls {
        let what = "the client speaks TLS, which is not spoken here: write http:// instead of https://";
        service.problem(format!("connection {connection}: {what}"));
    }
    let answers = service_fn(|request| handle(request, caller, Arc::clone(&service)));
    let mut exchange = http1::Builder::new().serve_connection(TokioIo::new(stream), answers);
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

/// The service's way to end a connection without an answer.
#[derive(Debug)]
pub(super) enum Hangup {
    Close,
    Reset,
}

impl fmt::Display for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ends without an answer, as planned")
    }
}

impl StdError for Hangup {}

/// The body, or why there is none.
pub(super) enum Body {
    CutShort(String),
    TooLong(String),
    Whole(Bytes),
}

/// Reads a body to its end, unless it is longer than the service reads.
pub(super) async fn read<S: Service>(body: Incoming) -> Body {
    match Limited::new(body, S::MAX_BODY).collect().await {
        Ok(body) => Body::Whole(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Body::TooLong(format!("its body is longer than {} bytes", S::MAX_BODY))
        }
        Err(error) => Body::CutShort(error.to_string()),
    }
}

pub(super) async fn handle<S: Service>(
    request: Request<Incoming>,
    caller: Caller,
    service: Arc<S>,
) -> Result<Response<WholeBody>, Hangup> {
    let (head, body) = request.into_parts();
    let connection = caller.connection;
    let body = match read::<S>(body).await {
        Body::Whole(body) => body,
        Body::CutShort(error) => {
            service.problem(format!("connection {connection}: request cut short: {error}"));
            return Err(Hangup::Close);
        }
        Body::TooLong(why) => {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            service.unreadable(ReceivedRequest::new(&head, 0, connection), caller.door, status, &why);
            return http(Reply::refusal(status, why).ending);
        }
    };
    let request = ReceivedRequest::new(&head, body.len(), connection);
    let exchange = Exchange { request, head, body, packed: None, door: caller.door };
    http(answer(exchange, caller, service).await)
}

/// The service's answer. A request that was read is dealt with to its end also when the client goes away meanwhile, as one
/// does that sends and ends: in a task of its own.
pub(super) async fn answer<S: Service>(exchange: Exchange, caller: Caller, service: Arc<S>) -> Ending {
    let answering = Arc::clone(&service);
    match tokio::spawn(async move { answering.answer(exchange).await }).await {
        Ok(Reply { wait, ending, .. }) => {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            ending
        }
        Err(error) => {
            service.problem(format!("connection {}: {error}", caller.connection));
            Ending::Close
        }
    }
}

fn http(ending: Ending) -> Result<Response<WholeBody>, Hangup> {
    match ending {
        Ending::Close => Err(Hangup::Close),
        Ending::Reset => Err(Hangup::Reset),
        Ending::Respond(response) => Ok(response.map(BodyExt::boxed)),
        Ending::PassOn(response) => Ok(response),
    }
}

//! The receiver's thread: accepts connections, reads requests, judges them, answers.
//!
//! One request is read, judged, answered by the plan and stored without a pause between reading and storing. As there
//! is one thread, the order of requests, of answers from a plan and of stored records or spans is the same.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

use super::answer::{Ending, Reply};
use super::decode::{Refusal, decode};
use super::request::ReceivedRequest;
use super::store::Store;
use crate::thread;

/// How long to leave a failing `accept` alone: it fails again at once when, say, file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The body of the thread. Says on `ready` which port it listens on, ends when the other end of `stop` is dropped.
pub(super) fn run(port: u16, store: Arc<Store>, ready: Sender<io::Result<u16>>, stop: oneshot::Receiver<()>) {
    thread::mark_own();
    let outcome = own_runtime().and_then(|runtime| {
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?;
        let port = listener.local_addr()?.port();
        Ok((runtime, listener, port))
    });
    // Sending fails only when nobody waits for this thread any more.
    match outcome {
        Err(error) => drop(ready.send(Err(error))),
        Ok((runtime, listener, port)) => {
            drop(ready.send(Ok(port)));
            runtime.spawn(accept(listener, store));
            runtime.block_on(stop).ok();
            // Dropping the runtime here drops all tasks, and with them their sockets.
        }
    }
}

fn own_runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_io().enable_time().on_thread_start(thread::mark_own).build()
}

async fn accept(listener: TcpListener, store: Arc<Store>) {
    let mut connection = 0;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connection += 1;
                tokio::spawn(watch(stream, connection, Arc::clone(&store)));
            }
            Err(error) => {
                store.problem(format!("accepting a connection: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a connection in a task of its own, so that its panic (of a printer, say) is noticed and ends it alone.
async fn watch(stream: TcpStream, connection: usize, store: Arc<Store>) {
    let served = tokio::spawn(serve(stream, connection, Arc::clone(&store)));
    if let Err(error) = served.await {
        store.problem(format!("connection {connection}: {error}"));
    }
}

async fn serve(stream: TcpStream, connection: usize, store: Arc<Store>) {
    // Without it an answer may wait for the client's acknowledgement; where it fails that is all that happens.
    stream.set_nodelay(true).ok();
    #[cfg(feature = "grpc")]
    if super::grpc::speaks_http2(&stream).await {
        return super::grpc::serve(stream, connection, store).await;
    }
    let service = service_fn(|request| handle(request, connection, Arc::clone(&store)));
    let mut exchange = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let Err(error) = (&mut exchange).await else {
        return;
    };
    match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(Hangup::Close) => {}
        Some(Hangup::Reset) => {
            // With no time to linger, closing the socket (at the end of this block) sends RST in place of FIN.
            let stream = exchange.into_parts().io.into_inner();
            if let Err(error) = stream.set_zero_linger() {
                store.problem(format!("connection {connection}: closed, not reset: {error}"));
            }
        }
        None => store.problem(format!("connection {connection}: {error}")),
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

async fn handle(
    request: Request<Incoming>,
    connection: usize,
    store: Arc<Store>,
) -> Result<Response<Full<Bytes>>, Hangup> {
    let (head, body) = request.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            store.problem(format!("connection {connection}: request cut short: {error}"));
            return Err(Hangup::Close);
        }
    };
    let request = ReceivedRequest::new(&head, body.len(), connection);
    match answer(request, &head, body, &store).await {
        Ending::Close => Err(Hangup::Close),
        Ending::Reset => Err(Hangup::Reset),
        Ending::Respond(response) => Ok(response),
    }
}

/// Judges a request that was read, stores what is to be stored, and gives the answer when it is due.
pub(super) async fn answer(request: ReceivedRequest, head: &Parts, body: Bytes, store: &Store) -> Ending {
    let body_bytes = body.len();
    let (reply, message) = match decode(head, body) {
        Ok((format, message)) => (store.next_reply(&message, body_bytes, format), Some(message)),
        Err(Refusal { status, why }) => (Reply::refusal(status, why), None),
    };
    store.record(request, message, &reply);
    if !reply.wait.is_zero() {
        tokio::time::sleep(reply.wait).await;
    }
    reply.ending
}

//! Reads requests from connections, hands them to a [`Service`], and sends its replies over HTTP.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::answer::{Reply, ReplyAction, WholeBody};
use super::connections::{BodyPermit, ClientConnection};
use super::guard::{Admission, Guard};
use super::limits::MAX_BODY;
use super::request::ReceivedRequest;
use super::thread_hook::run_hook;

/// The part of a server that answers requests.
pub trait Service: Send + Sync + 'static {
    /// Whether a complete request is handled even if its client has closed the connection without waiting for the
    /// answer.
    ///
    /// Otherwise such a connection ends at once, and unread bytes are discarded.
    const HALF_CLOSE: bool = false;

    /// Returns the rules for who may send. `None` lets everybody send.
    fn guard(&self) -> Option<&Guard> {
        None
    }

    /// Answers a request that has arrived completely.
    ///
    /// Delays belong in [`Reply::delay`], not into this function: only there does a disconnecting client end them.
    fn answer(&self, exchange: Exchange) -> impl Future<Output = Reply> + Send;

    /// Reports a request that is not passed to [`Service::answer`]: it is not allowed, too long, too slow, or a gRPC
    /// request without a valid message.
    fn rejected(&self, _request: ReceivedRequest, _listener: usize, _status: StatusCode, _why: &str) {}

    /// Reports a problem of the server, such as a broken connection or a panic.
    fn problem(&self, what: String);
}

/// A request that has arrived completely.
#[derive(Debug)]
pub struct Exchange {
    /// The request as the client sent it.
    pub request: ReceivedRequest,
    /// The head. That of a gRPC request is converted to the equivalent HTTP head.
    pub head: Parts,
    /// The body. That of a gRPC request is the message without its length prefix.
    pub body: Bytes,
    /// The original of a gRPC request.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code))] // Always `None` there.
    pub grpc: Option<GrpcRequest>,
    /// The index of the listen address at which it arrived.
    pub listener: usize,
    pub(super) _permit: BodyPermit,
}

/// A gRPC request as the client sent it.
#[derive(Debug)]
pub struct GrpcRequest {
    pub path: &'static str,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The error by which a service makes hyper end a connection without an answer.
#[derive(Debug)]
pub(super) enum Disconnect {
    Close,
    Reset,
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closing the connection without an answer, as planned")
    }
}

impl StdError for Disconnect {}

enum Body {
    Incomplete(String),
    Rejected(StatusCode, String),
    Complete(Bytes, BodyPermit),
}

async fn read(body: Incoming, client: &ClientConnection) -> Body {
    let limit = client.limits().body;
    match tokio::time::timeout(limit, read_all(body, client)).await {
        Ok(body) => body,
        Err(_elapsed) => {
            Body::Rejected(StatusCode::REQUEST_TIMEOUT, format!("the body did not arrive within {limit:?}"))
        }
    }
}

async fn read_all(body: Incoming, client: &ClientConnection) -> Body {
    let mut body = Limited::new(body, MAX_BODY);
    let (mut bytes, mut permit) = (BytesMut::new(), BodyPermit::default());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                let why = format!("the body is longer than {} MiB", MAX_BODY >> 20);
                return Body::Rejected(StatusCode::PAYLOAD_TOO_LARGE, why);
            }
            Err(error) => return Body::Incomplete(error.to_string()),
        }
        if !client.reserve(&mut permit, bytes.len()) {
            let why = "the bodies of other requests take all memory set aside for bodies: try again later".to_owned();
            return Body::Rejected(StatusCode::SERVICE_UNAVAILABLE, why);
        }
    }
    Body::Complete(bytes.freeze(), permit)
}

/// A request that passed the guard and arrived completely.
pub(super) struct CompleteRequest {
    pub(super) request: ReceivedRequest,
    pub(super) head: Parts,
    pub(super) body: Bytes,
    pub(super) permit: BodyPermit,
    /// Headers that a web page needs to read the answer.
    pub(super) headers: HeaderMap,
}

/// Why a request is not passed to the service.
pub(super) enum Rejected {
    /// The client ended the request early.
    Incomplete,
    /// A browser asks whether a web page may send. The answer to that.
    Preflight(Response<()>),
    /// The status, the reason, and the headers that a web page needs to read the answer. It is already reported to the
    /// service.
    Status(StatusCode, String, HeaderMap),
}

/// Checks a request by its head, and reads it to its end.
pub(super) async fn receive<S: Service>(
    request: Request<Incoming>,
    client: &ClientConnection,
    service: &S,
) -> Result<CompleteRequest, Rejected> {
    run_hook();
    let (head, body) = request.into_parts();
    client.mark_active();
    let (connection, listener) = (client.connection.number, client.connection.listener);
    let rejected = |status: StatusCode, why: String, headers: HeaderMap| {
        service.rejected(ReceivedRequest::new(&head, 0, connection), listener, status, &why);
        Rejected::Status(status, why, headers)
    };
    let headers = match service.guard().map(|guard| guard.admit(&head)) {
        None => HeaderMap::new(),
        Some(Ok(Admission::Allowed(headers))) => headers,
        Some(Ok(Admission::Preflight(answer))) => return Err(Rejected::Preflight(answer)),
        Some(Err(refusal)) => return Err(rejected(refusal.status, refusal.why, HeaderMap::new())),
    };
    match read(body, client).await {
        Body::Complete(body, permit) => {
            let request = ReceivedRequest::new(&head, body.len(), connection);
            Ok(CompleteRequest { request, head, body, permit, headers })
        }
        Body::Incomplete(error) => {
            service.problem(format!("connection {connection}: incomplete request: {error}"));
            Err(Rejected::Incomplete)
        }
        Body::Rejected(status, why) => Err(rejected(status, why, headers)),
    }
}

/// Answers an HTTP request.
pub(super) async fn handle<S: Service>(
    request: Request<Incoming>,
    client: ClientConnection,
    service: Arc<S>,
) -> Result<Response<WholeBody>, Disconnect> {
    let (response, headers) = match receive(request, &client, &*service).await {
        Ok(CompleteRequest { request, head, body, permit, headers }) => {
            let listener = client.connection.listener;
            let exchange = Exchange { request, head, body, grpc: None, listener, _permit: permit };
            (into_http(answer(exchange, client, service).await), headers)
        }
        Err(Rejected::Incomplete) => return Err(Disconnect::Close),
        Err(Rejected::Preflight(answer)) => return Ok(answer.map(|()| Full::default().boxed())),
        Err(Rejected::Status(status, why, headers)) => (into_http(Reply::refusal(status, why).action), headers),
    };
    response.map(|mut response| {
        response.headers_mut().extend(headers);
        response
    })
}

/// Passes a request to the service, and waits for the delay of its reply.
///
/// The service runs in a task of its own: it finishes even if the client disconnects, as a client does that sends its
/// last request and exits.
pub(super) async fn answer<S: Service>(exchange: Exchange, client: ClientConnection, service: Arc<S>) -> ReplyAction {
    let task_service = Arc::clone(&service);
    let (answer_guard, _waiting) = (client.count_answer(), client.count_waiting());
    let reply = tokio::spawn(async move {
        let _answer_guard = answer_guard;
        task_service.answer(exchange).await
    });
    match reply.await {
        Ok(Reply { delay, action, .. }) => {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            action
        }
        Err(error) => {
            service.problem(format!("connection {}: {error}", client.connection.number));
            ReplyAction::Close
        }
    }
}

fn into_http(action: ReplyAction) -> Result<Response<WholeBody>, Disconnect> {
    match action {
        ReplyAction::Close => Err(Disconnect::Close),
        ReplyAction::Reset => Err(Disconnect::Reset),
        ReplyAction::Respond(response) => Ok(response.map(BodyExt::boxed)),
        ReplyAction::Relay(response) => Ok(response),
    }
}

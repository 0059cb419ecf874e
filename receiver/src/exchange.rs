//! A request and its answer: what a service is given, and how HTTP carries it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;

use super::answer::{Ending, Reply, WholeBody};
use super::connections::{Caller, Room};
use super::guard::{Admission, Guard};
use super::limits::MAX_BODY;
use super::own_thread::run_hook;
use super::request::ReceivedRequest;

/// What is done about requests.
pub trait Service: Send + Sync + 'static {
    /// Whether a request counts that a client has sent whole before it went away without waiting for the answer. Else its
    /// connection ends at once, whatever is left to be read of it.
    const OUTLIVES_CLIENTS: bool = false;

    /// Who may send; everybody, where it is `None`.
    fn guard(&self) -> Option<&Guard> {
        None
    }

    /// Answers a request that was read to its end. What is to be waited for nobody has to wait for in here: a client that
    /// goes away meanwhile ends that.
    fn answer(&self, exchange: Exchange) -> impl Future<Output = Reply> + Send;

    /// A request that is not handed over: nobody may send it, it is too long or too slow, or it is one of gRPC that holds
    /// no message.
    fn unreadable(&self, _request: ReceivedRequest, _door: usize, _status: StatusCode, _why: &str) {}

    /// Hears of mishaps: connections that broke, a panic.
    fn problem(&self, what: String);
}

/// A request that was read to its end.
#[derive(Debug)]
pub struct Exchange {
    /// As it came.
    pub request: ReceivedRequest,
    /// Its head, as over HTTP also where it came over gRPC.
    pub head: Parts,
    /// The message, without the frame of gRPC.
    pub body: Bytes,
    /// What a request of gRPC was before it was unpacked.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code))] // There are none.
    pub packed: Option<Packed>,
    /// At which of the addresses it came in.
    pub door: usize,
    /// What its body takes of the room there is.
    pub(super) _room: Room,
}

/// A request of gRPC.
#[derive(Debug)]
pub struct Packed {
    pub path: &'static str,
    pub headers: HeaderMap,
    pub body: Bytes,
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
enum Body {
    CutShort(String),
    Refused(StatusCode, String),
    Whole(Bytes, Room),
}

/// Reads a body to its end, unless it is longer, or takes longer, than is good.
async fn read(body: Incoming, caller: &Caller) -> Body {
    let most = caller.limits().body;
    match tokio::time::timeout(most, read_whole(body, caller)).await {
        Ok(body) => body,
        Err(_elapsed) => Body::Refused(StatusCode::REQUEST_TIMEOUT, format!("its body has not come within {most:?}")),
    }
}

async fn read_whole(body: Incoming, caller: &Caller) -> Body {
    let mut body = Limited::new(body, MAX_BODY);
    let (mut whole, mut room) = (BytesMut::new(), Room::default());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => whole.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                let why = format!("its body is longer than {} MiB", MAX_BODY >> 20);
                return Body::Refused(StatusCode::PAYLOAD_TOO_LARGE, why);
            }
            Err(error) => return Body::CutShort(error.to_string()),
        }
        if !caller.makes_room(&mut room, whole.len()) {
            let why = "there is no room for its body beside those of others: come again".to_owned();
            return Body::Refused(StatusCode::SERVICE_UNAVAILABLE, why);
        }
    }
    Body::Whole(whole.freeze(), room)
}

/// A request that was read to its end.
pub(super) struct Intake {
    pub(super) request: ReceivedRequest,
    pub(super) head: Parts,
    pub(super) body: Bytes,
    pub(super) room: Room,
    /// Headers of the answer that a web page needs.
    pub(super) headers: HeaderMap,
}

/// Why a request is not handed to the service.
pub(super) enum Refused {
    /// The client went away.
    CutShort,
    /// A web page asks whether it may send.
    Preflight(Response<()>),
    /// The service has been told. With the headers that a web page needs to read the answer.
    Status(StatusCode, String, HeaderMap),
}

/// Admits a request and reads it to its end.
pub(super) async fn take_in<S: Service>(
    request: Request<Incoming>,
    caller: &Caller,
    service: &S,
) -> Result<Intake, Refused> {
    run_hook();
    let (head, body) = request.into_parts();
    caller.has_head();
    let (connection, door) = (caller.connection.number, caller.connection.door);
    let refused = |status: StatusCode, why: String, headers: HeaderMap| {
        service.unreadable(ReceivedRequest::new(&head, 0, connection), door, status, &why);
        Refused::Status(status, why, headers)
    };
    let headers = match service.guard().map(|guard| guard.admit(&head)) {
        None => HeaderMap::new(),
        Some(Ok(Admission::Welcome(headers))) => headers,
        Some(Ok(Admission::Asked(answer))) => return Err(Refused::Preflight(answer)),
        Some(Err(refusal)) => return Err(refused(refusal.status, refusal.why, HeaderMap::new())),
    };
    match read(body, caller).await {
        Body::Whole(body, room) => {
            let request = ReceivedRequest::new(&head, body.len(), connection);
            Ok(Intake { request, head, body, room, headers })
        }
        Body::CutShort(error) => {
            service.problem(format!("connection {connection}: request cut short: {error}"));
            Err(Refused::CutShort)
        }
        Body::Refused(status, why) => Err(refused(status, why, headers)),
    }
}

/// Answers an HTTP request.
pub(super) async fn handle<S: Service>(
    request: Request<Incoming>,
    caller: Caller,
    service: Arc<S>,
) -> Result<Response<WholeBody>, Hangup> {
    let (answered, headers) = match take_in(request, &caller, &*service).await {
        Ok(Intake { request, head, body, room, headers }) => {
            let door = caller.connection.door;
            let exchange = Exchange { request, head, body, packed: None, door, _room: room };
            (http(answer(exchange, caller, service).await), headers)
        }
        Err(Refused::CutShort) => return Err(Hangup::Close),
        Err(Refused::Preflight(answer)) => return Ok(answer.map(|()| Full::default().boxed())),
        Err(Refused::Status(status, why, headers)) => (http(Reply::refusal(status, why).ending), headers),
    };
    answered.map(|mut response| {
        response.headers_mut().extend(headers);
        response
    })
}

/// The service's answer. A request that was read is dealt with to its end also when the client goes away meanwhile, as one
/// does that sends and ends: in a task of its own.
pub(super) async fn answer<S: Service>(exchange: Exchange, caller: Caller, service: Arc<S>) -> Ending {
    let answering = Arc::clone(&service);
    let (counted, _busy) = (caller.answering(), caller.busy());
    let answered = tokio::spawn(async move {
        let _answering = counted;
        answering.answer(exchange).await
    });
    match answered.await {
        Ok(Reply { wait, ending, .. }) => {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            ending
        }
        Err(error) => {
            service.problem(format!("connection {}: {error}", caller.connection.number));
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

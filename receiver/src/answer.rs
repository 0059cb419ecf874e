//! What the receiver answers: the orderly answer, and the faults a client has to cope with.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message as _;

use super::message::Message;
use super::wire::{Content, Format, JSON, PROTOBUF};

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

const SIGN_IN_PAGE: &str = "<!doctype html><html><head><title>Sign in</title></head><body>\
     <form method=\"post\"><input name=\"user\"></form></body></html>";

/// How a [`Receiver`](super::Receiver) answers a request that it could read.
///
/// *Stored* means that the records show up in [`Receiver::logs`](super::Receiver::logs), and spans in
/// [`Receiver::spans`](super::Receiver::spans). Every answered or cut-off request shows up in
/// [`Receiver::requests`](super::Receiver::requests), stored or not.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// Stored, then the connection is closed without an answer.
    DropAnswer,
    /// Stored; status 200 without a body and without a content type.
    Empty,
    /// Stored; status 200 with the content type of protobuf and bytes that are no protobuf message.
    Garbage,
    /// Stored at once; the orderly answer follows after this time.
    Hang(Duration),
    /// Not stored; status 200 with an HTML page, as from a proxy that wants somebody to sign in.
    Html,
    /// Stored; status 200 with `{}` and the content type of JSON, also to a protobuf request.
    JsonToProtobuf,
    /// 413, and not stored, where the body is longer than this many bytes; stored, with the orderly answer, where it is
    /// not: an endpoint with a limit.
    MaxBytes(usize),
    /// Stored; the orderly answer, in the format of the request.
    #[default]
    Ok,
    /// Stored; status 200 with the request's content type and a body of this many bytes that mean nothing.
    Oversized(usize),
    /// Stored, all of it; the answer says that some records, or spans, were rejected.
    PartialSuccess {
        /// How many records or spans the answer calls rejected; 0 makes the message a warning.
        rejected: i64,
        /// The message that goes with it.
        message: String,
    },
    /// 400, and not stored, where the body of a record, or the name of a span, contains this text; stored, with the orderly
    /// answer, where none does: an endpoint that cannot read one item, and so turns the whole request down.
    Poison(String),
    /// Not stored; the client is sent elsewhere.
    Redirect {
        /// The status, such as 307.
        code: u16,
        /// The value of the `location` header.
        location: String,
    },
    /// Not stored; the request is read, then the connection is reset (RST, not an orderly close).
    Reset,
    /// Stored if the status is a success (2xx), else not.
    Status {
        /// The status, 200 to 999.
        code: u16,
        /// The `retry-after` header, in whole seconds (rounded up).
        retry_after: Option<Duration>,
        /// The body, sent as plain text.
        body: String,
    },
    /// Stored; status 200 with this plain text.
    Text(String),
}

impl Answer {
    /// [`Answer::Status`] without a `retry-after` and with an empty body.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None, body: String::new() }
    }
}

impl Answer {
    /// The answer to this very request, for those that depend on it.
    pub fn to(self, message: &Message, body_bytes: usize) -> Self {
        match self {
            Self::MaxBytes(most) if body_bytes > most => {
                let body = format!("at most {most} bytes");
                Self::Status { code: 413, retry_after: None, body }
            }
            Self::Poison(text) if message.contains(&text) => {
                Self::Status { code: 400, retry_after: None, body: "it cannot read one of them".to_owned() }
            }
            other => other,
        }
    }
}

/// What to do about one request.
#[derive(Debug)]
pub struct Reply {
    pub store: bool,
    pub wait: Duration,
    pub ending: Ending,
}

impl Reply {
    /// Without a pause.
    pub fn now(ending: Ending) -> Self {
        Self { store: true, wait: Duration::ZERO, ending }
    }

    /// Turns a request down with a status and the reason as text.
    pub fn refusal(status: StatusCode, why: String) -> Self {
        Self { store: false, wait: Duration::ZERO, ending: Ending::Respond(refuse(status, why)) }
    }
}

/// How the receiver's part of the exchange ends.
#[derive(Debug)]
pub enum Ending {
    Close,
    Reset,
    Respond(Response<Full<Bytes>>),
    /// As it is, also to a client of gRPC: somebody else's answer.
    PassOn(Response<WholeBody>),
}

/// A body in memory, with what comes behind it.
pub type WholeBody = BoxBody<Bytes, Infallible>;

impl Ending {
    /// The status that the client gets to see, if any.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Close | Self::Reset => None,
            Self::Respond(response) => Some(response.status().as_u16()),
            Self::PassOn(response) => Some(response.status().as_u16()),
        }
    }
}

impl Answer {
    /// The reply to a request of this signal in this format, or why this answer cannot be sent.
    pub fn reply(self, content: Content, format: Format) -> Result<Reply, String> {
        let wait = match self {
            Self::Hang(time) => time,
            _ => Duration::ZERO,
        };
        let accepts = !matches!(self, Self::Html | Self::Reset);
        let ending = match self {
            Self::DropAnswer => Ending::Close,
            Self::Reset => Ending::Reset,
            responding => Ending::Respond(responding.response(content, format)?),
        };
        let store = accepts && ending.status().is_none_or(|code| code / 100 == 2);
        Ok(Reply { store, wait, ending })
    }

    fn response(self, content: Content, format: Format) -> Result<Response<Full<Bytes>>, String> {
        let kind = format.content_type();
        Ok(match self {
            Self::Empty => Response::new(Full::default()),
            Self::Garbage => respond(StatusCode::OK, PROTOBUF, &b"\xff\xff\xff no protobuf"[..]),
            Self::Html => respond(StatusCode::OK, HTML, SIGN_IN_PAGE),
            Self::JsonToProtobuf => respond(StatusCode::OK, JSON, "{}"),
            Self::Oversized(bytes) => respond(StatusCode::OK, kind, vec![b'x'; bytes]),
            Self::PartialSuccess { rejected, message } => {
                respond(StatusCode::OK, kind, partial_success(content, format, rejected, message))
            }
            Self::Redirect { code, location } => {
                let location =
                    HeaderValue::from_str(&location).map_err(|error| format!("location `{location}`: {error}"))?;
                let mut response = refuse(status(code)?, "");
                response.headers_mut().insert(LOCATION, location);
                response
            }
            Self::Status { code, retry_after, body } => {
                let mut response = refuse(status(code)?, body);
                if let Some(time) = retry_after {
                    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                response
            }
            Self::Text(text) => respond(StatusCode::OK, TEXT, text),
            // Those with a condition have become one of the others, or it does not hold.
            Self::Hang(_) | Self::MaxBytes(_) | Self::Ok | Self::Poison(_) | Self::DropAnswer | Self::Reset => {
                let body: &'static str = match format {
                    Format::Json => "{}",
                    // A response message that says nothing is encoded as no bytes.
                    Format::Protobuf => "",
                };
                respond(StatusCode::OK, kind, body)
            }
        })
    }
}

/// A status with a plain text.
fn refuse(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = respond(status, TEXT, text);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = HeaderValue::from_static("POST");
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn status(code: u16) -> Result<StatusCode, String> {
    // A status below 200 does not end an exchange: the client would wait for the real answer.
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| format!("`{code}` is no status from 200 to 999"))
}

fn partial_success(content: Content, format: Format, rejected: i64, message: String) -> Vec<u8> {
    match (format, content) {
        (Format::Json, _) => {
            let count = match content {
                Content::Logs => "rejectedLogRecords",
                Content::Metrics => "rejectedDataPoints",
                Content::Traces => "rejectedSpans",
            };
            // The protobuf mapping of JSON wants a 64-bit integer as a string.
            let details = serde_json::json!({count: rejected.to_string(), "errorMessage": message});
            serde_json::json!({"partialSuccess": details}).to_string().into_bytes()
        }
        (Format::Protobuf, Content::Logs) => ExportLogsServiceResponse {
            partial_success: Some(ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: message }),
        }
        .encode_to_vec(),
        (Format::Protobuf, Content::Metrics) => ExportMetricsServiceResponse {
            partial_success: Some(ExportMetricsPartialSuccess {
                rejected_data_points: rejected,
                error_message: message,
            }),
        }
        .encode_to_vec(),
        (Format::Protobuf, Content::Traces) => ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess { rejected_spans: rejected, error_message: message }),
        }
        .encode_to_vec(),
    }
}

/// The answers still to be given.
#[derive(Debug, Default)]
pub(super) struct Plan {
    answers: VecDeque<Answer>,
}

impl Plan {
    pub(super) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: answers.into_iter().collect() }
    }

    /// The next answer; the last one stays, and an empty plan is always [`Answer::Ok`].
    pub(super) fn next(&mut self) -> Answer {
        if self.answers.len() > 1 {
            self.answers.pop_front().unwrap_or_default()
        } else {
            self.answers.front().cloned().unwrap_or_default()
        }
    }
}

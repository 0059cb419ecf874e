//! The answers of a receiver: success, and the faults that a client must handle.

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

/// The answer of a [`Receiver`](super::Receiver) to a valid request.
///
/// *Stored* means that [`Receiver::logs`](super::Receiver::logs) or [`Receiver::spans`](super::Receiver::spans)
/// contains the items of the request. [`Receiver::requests`](super::Receiver::requests) contains every request that was
/// read, stored or not.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// Closes the connection without an answer. Stored.
    DropAnswer,
    /// Status 200 without a body and without a content type. Stored.
    Empty,
    /// Status 200 with the content type of protobuf, and bytes that are not a protobuf message. Stored.
    Garbage,
    /// The same as [`Answer::Ok`], sent after this time. Stored at once.
    Hang(Duration),
    /// Status 200 with an HTML page, like the login page of a proxy. Not stored.
    Html,
    /// Status 200 with `{}` and the content type of JSON, even if the request was protobuf. Stored.
    JsonToProtobuf,
    /// Status 413 if the body is longer than this number of bytes, then not stored. Otherwise the same as
    /// [`Answer::Ok`].
    MaxBytes(usize),
    /// The success response of OTLP, in the format of the request. Stored.
    #[default]
    Ok,
    /// Status 200 with the content type of the request and this number of meaningless bytes. Stored.
    Oversized(usize),
    /// A partial success: the response says that some items were rejected. All items are stored.
    PartialSuccess {
        /// The number of rejected items. 0 makes the message a warning.
        rejected: i64,
        /// The error message of the response.
        message: String,
    },
    /// Status 400 if the body of a record or the name of a span contains this text, then not stored. Otherwise the same
    /// as [`Answer::Ok`].
    ///
    /// This is how an endpoint behaves that rejects a whole request because of one item.
    Poison(String),
    /// A redirect. Not stored.
    Redirect {
        /// The status, such as 307.
        code: u16,
        /// The value of the `location` header.
        location: String,
    },
    /// Resets the connection (RST, not an orderly close) after the request was read. Not stored.
    Reset,
    /// A response with this status. Stored if it is a success (2xx).
    Status {
        /// The status, 200 to 999.
        code: u16,
        /// The `retry-after` header, in whole seconds (rounded up).
        retry_after: Option<Duration>,
        /// The body, sent as plain text.
        body: String,
    },
    /// Status 200 with this plain text. Stored.
    Text(String),
}

impl Answer {
    /// Returns [`Answer::Status`] with this status, an empty body and no `retry-after` header.
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after: None, body: String::new() }
    }

    /// Replaces an answer that depends on the request by the answer to this request.
    ///
    /// Not part of the API: it may change in any version.
    #[doc(hidden)]
    pub fn resolve(self, message: &Message, body_bytes: usize) -> Self {
        match self {
            Self::MaxBytes(limit) if body_bytes > limit => {
                let body = format!("at most {limit} bytes");
                Self::Status { code: 413, retry_after: None, body }
            }
            Self::Poison(text) if message.contains(&text) => {
                Self::Status { code: 400, retry_after: None, body: "cannot read one of the items".to_owned() }
            }
            other => other,
        }
    }

    /// Returns the reply to a request of this signal and format.
    ///
    /// Not part of the API: it may change in any version.
    ///
    /// # Errors
    ///
    /// Returns the reason if the answer cannot be sent, for example because its status is not valid.
    #[doc(hidden)]
    pub fn into_reply(self, content: Content, format: Format) -> Result<Reply, String> {
        let delay = match self {
            Self::Hang(time) => time,
            _ => Duration::ZERO,
        };
        let accepts = !matches!(self, Self::Html | Self::Reset);
        let action = match self {
            Self::DropAnswer => ReplyAction::Close,
            Self::Reset => ReplyAction::Reset,
            other => ReplyAction::Respond(other.into_response(content, format)?),
        };
        let store = accepts && action.status().is_none_or(|code| code / 100 == 2);
        Ok(Reply { store, delay, action })
    }

    fn into_response(self, content: Content, format: Format) -> Result<Response<Full<Bytes>>, String> {
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
                let location = HeaderValue::from_str(&location)
                    .map_err(|error| format!("invalid location `{location}`: {error}"))?;
                let mut response = text_response(status(code)?, "");
                response.headers_mut().insert(LOCATION, location);
                response
            }
            Self::Status { code, retry_after, body } => {
                let mut response = text_response(status(code)?, body);
                if let Some(time) = retry_after {
                    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                response
            }
            Self::Text(text) => respond(StatusCode::OK, TEXT, text),
            // `MaxBytes` and `Poison` get here if their condition does not hold.
            Self::Hang(_) | Self::MaxBytes(_) | Self::Ok | Self::Poison(_) | Self::DropAnswer | Self::Reset => {
                let body: &'static str = match format {
                    Format::Json => "{}",
                    // The encoding of a response message without fields.
                    Format::Protobuf => "",
                };
                respond(StatusCode::OK, kind, body)
            }
        })
    }
}

/// The reply of a service to one request.
#[derive(Debug)]
pub struct Reply {
    /// Whether the items of the request are stored.
    pub store: bool,
    /// The time to wait before the action.
    pub delay: Duration,
    pub action: ReplyAction,
}

impl Reply {
    /// Returns a reply that stores the items and has no delay.
    pub fn now(action: ReplyAction) -> Self {
        Self { store: true, delay: Duration::ZERO, action }
    }

    /// Returns a reply with this status and the reason as plain text.
    pub fn refusal(status: StatusCode, why: String) -> Self {
        Self { store: false, delay: Duration::ZERO, action: ReplyAction::Respond(text_response(status, why)) }
    }
}

/// How an exchange ends.
#[derive(Debug)]
pub enum ReplyAction {
    /// Closes the connection.
    Close,
    /// Resets the connection.
    Reset,
    /// Sends this response, converted to gRPC if the request was.
    Respond(Response<Full<Bytes>>),
    /// Sends this response of another endpoint unchanged, even to a gRPC client.
    Relay(Response<WholeBody>),
}

/// A body in memory, with its trailers.
pub type WholeBody = BoxBody<Bytes, Infallible>;

impl ReplyAction {
    /// Returns the HTTP status that the client receives, if any.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Close | Self::Reset => None,
            Self::Respond(response) => Some(response.status().as_u16()),
            Self::Relay(response) => Some(response.status().as_u16()),
        }
    }
}

fn text_response(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
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
    // A status below 200 is not final: the client would wait for another one.
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| format!("`{code}` is not a status from 200 to 999"))
}

fn partial_success(content: Content, format: Format, rejected: i64, message: String) -> Vec<u8> {
    match (format, content) {
        (Format::Json, _) => {
            let count = match content {
                Content::Logs => "rejectedLogRecords",
                Content::Metrics => "rejectedDataPoints",
                Content::Traces => "rejectedSpans",
            };
            // The JSON mapping of protobuf represents 64-bit integers as strings.
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

/// The answers to the next requests.
#[derive(Debug, Default)]
pub(super) struct AnswerPlan {
    answers: VecDeque<Answer>,
}

impl AnswerPlan {
    pub(super) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { answers: answers.into_iter().collect() }
    }

    /// Removes and returns the next answer. The last one repeats, and an empty plan returns [`Answer::Ok`].
    pub(super) fn next(&mut self) -> Answer {
        if self.answers.len() > 1 {
            self.answers.pop_front().unwrap_or_default()
        } else {
            self.answers.front().cloned().unwrap_or_default()
        }
    }
}

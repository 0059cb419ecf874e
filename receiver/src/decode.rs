//! Decodes requests, from their HTTP head and body to a [`Message`].

use std::io;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use prost::Message as ProtoMessage;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::compression::decompress;
use super::json;
use super::limits::{self, MAX_BODY, MAX_DECODED, MemoryCheck};
use super::message::Message;
use super::schema::Schema;
use super::wire::{Content, Format, JSON, PROTOBUF};
use crate::escape::excerpt;

/// The maximum length, in bytes, of an uncompressed body that is decoded on the server's thread.
const SMALL: usize = 64 << 10;

/// Limits how many large requests are decoded at a time. Each is decoded on a thread of its own, so that the server's
/// thread can answer others.
static LARGE: Semaphore = Semaphore::const_new(2);

/// A decoded request.
#[derive(Debug)]
pub struct Decoded {
    pub format: Format,
    pub message: Message,
    /// A remark on an unknown key of a JSON request that is probably a mistake.
    pub remark: Option<String>,
}

/// The status and the reason with which a request is refused.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub why: String,
}

impl Refusal {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    fn too_much(limit: u64) -> Self {
        let why = format!("the items need more than {} MiB of memory: send smaller requests", limit >> 20);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    }
}

/// The type of a body, by the head of its request.
#[derive(Clone, Debug)]
struct BodyType {
    content: Content,
    format: Format,
    encoding: String,
}

/// Decodes a request whose signal is one of `accepted`.
///
/// # Errors
///
/// Returns the status and the reason to answer if the request is not valid or too large.
pub async fn decode(head: &Parts, body: Bytes, accepted: &[Content]) -> Result<Decoded, Refusal> {
    let body_type = body_type(head, accepted)?;
    if body.len() <= SMALL && matches!(body_type.encoding.as_str(), "" | "identity") {
        return body_type.decode(body);
    }
    let _permit = LARGE.acquire().await;
    match tokio::task::spawn_blocking(move || body_type.decode(body)).await {
        Ok(decoded) => decoded,
        Err(error) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn body_type(head: &Parts, accepted: &[Content]) -> Result<BodyType, Refusal> {
    let path = head.uri.path();
    let Some(content) = accepted.iter().copied().find(|content| content.path() == path) else {
        let paths: Vec<String> = accepted
            .iter()
            .enumerate()
            .map(|(at, content)| {
                let verb = if at == 0 { "go to" } else { "to" };
                format!("{} {verb} `{}`", content.plural(), content.path())
            })
            .collect();
        let why = format!("nothing at `{}`; {}", excerpt(path), paths.join(", "));
        return Err(Refusal::new(StatusCode::NOT_FOUND, why));
    };
    if head.method != Method::POST {
        let why = format!("method `{}` is not allowed: use POST", excerpt(head.method.as_str()));
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    let content_type = header(&head.headers, CONTENT_TYPE);
    let Some(format) = Format::from_content_type(content_type) else {
        let why = format!("content type `{}` is not supported: use `{PROTOBUF}` or `{JSON}`", excerpt(content_type));
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    };
    Ok(BodyType { content, format, encoding: header(&head.headers, CONTENT_ENCODING).to_owned() })
}

impl BodyType {
    fn decode(self, body: Bytes) -> Result<Decoded, Refusal> {
        let body = self.decompress(body)?;
        let (message, remark) = match self.content {
            Content::Logs => self.decode_message(body, Message::Logs),
            Content::Metrics => self.decode_message(body, Message::Metrics),
            Content::Traces => self.decode_message(body, Message::Traces),
        }?;
        match limits::inherited_text_fits(&message) {
            true => Ok(Decoded { format: self.format, message, remark }),
            false => Err(Refusal::too_much(MAX_DECODED)),
        }
    }

    fn decompress(&self, body: Bytes) -> Result<Bytes, Refusal> {
        let encoding = self.encoding.as_str();
        match encoding {
            "" | "identity" => Ok(body),
            encoding => match decompress(encoding, &body, MAX_BODY as u64) {
                Ok(body) => Ok(Bytes::from(body)),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    let why = format!(
                        "content encoding `{}` is not supported: send the body uncompressed",
                        excerpt(encoding)
                    );
                    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
                }
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))
                }
                Err(error) => Err(Refusal::new(StatusCode::BAD_REQUEST, format!("invalid {encoding}: {error}"))),
            },
        }
    }

    fn decode_message<M>(&self, body: Bytes, wrap: fn(M) -> Message) -> Result<(Message, Option<String>), Refusal>
    where
        M: ProtoMessage + Default + DeserializeOwned,
    {
        let schema = Schema::of_request(self.content);
        match self.format {
            Format::Json => {
                if limits::check_json(&body) != MemoryCheck::Fits {
                    return Err(Refusal::too_much(limits::MAX_JSON));
                }
                let (message, remark) = json::decode::<M>(&body, self.content).map_err(|error| {
                    Refusal::new(StatusCode::BAD_REQUEST, format!("not OTLP/JSON: {}", excerpt(&error.to_string())))
                })?;
                // The memory of a message is computed from its protobuf form.
                match limits::check_protobuf(schema, &message.encode_to_vec()) {
                    MemoryCheck::TooMuch => Err(Refusal::too_much(MAX_DECODED)),
                    MemoryCheck::Fits | MemoryCheck::Unknown => Ok((wrap(message), remark)),
                }
            }
            Format::Protobuf => {
                let check = limits::check_protobuf(schema, &body);
                if check == MemoryCheck::TooMuch {
                    return Err(Refusal::too_much(MAX_DECODED));
                }
                if check == MemoryCheck::Unknown && body.len() > SMALL {
                    let why = "not OTLP protobuf: the message is truncated, too deep or contains a group";
                    return Err(Refusal::new(StatusCode::BAD_REQUEST, why));
                }
                match M::decode(body.clone()) {
                    Ok(message) => Ok((wrap(message), None)),
                    Err(error) => {
                        let why = format!("not OTLP protobuf: {error}{}", self.other_signal_hint(&body));
                        Err(Refusal::new(StatusCode::BAD_REQUEST, why))
                    }
                }
            }
        }
    }

    /// Returns a hint if the body is a valid request of another signal, otherwise an empty text.
    fn other_signal_hint(&self, body: &Bytes) -> String {
        let is_valid = |content: &Content| {
            let schema = Schema::of_request(*content);
            if *content == self.content || limits::check_protobuf(schema, body) != MemoryCheck::Fits {
                return false;
            }
            let decoded = match content {
                Content::Logs => ProtoMessage::decode(body.clone()).map(Message::Logs),
                Content::Metrics => ProtoMessage::decode(body.clone()).map(Message::Metrics),
                Content::Traces => ProtoMessage::decode(body.clone()).map(Message::Traces),
            };
            decoded.is_ok_and(|message| !message.is_empty())
        };
        let other = Content::ALL.into_iter().find(is_valid);
        other.map_or_else(String::new, |other| {
            format!(" (the body contains {}: send them to `{}`)", other.plural(), other.path())
        })
    }
}

/// Returns the header as text, or an empty text if it is absent or not ASCII.
fn header(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

//! Reads a request, or says why it cannot be read.

use std::io;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode};
use prost::Message as ProtoMessage;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::compression::decompress;
use super::limits::{self, MAX_BODY, MAX_DECODED, Weight};
use super::message::Message;
use super::wire::{Content, Format, JSON, PROTOBUF};
use super::{json, schema};
use crate::escape::words;

/// A plain body of at most so many bytes is decoded at once; others may take a while.
const SMALL: usize = 64 << 10;

/// So many large requests are decoded at a time, each in a thread of its own: others are answered meanwhile.
static LARGE: Semaphore = Semaphore::const_new(2);

/// A request that could be read.
#[derive(Debug)]
pub struct Decoded {
    pub format: Format,
    pub message: Message,
    /// What in it has no meaning, where that is probably not what was meant.
    pub remark: Option<String>,
}

/// Why a request could not be read.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub why: String,
}

impl Refusal {
    fn new(status: StatusCode, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }

    fn too_much(most: u64) -> Self {
        let why = format!("its items would take more than {} MiB of memory: send fewer at once", most >> 20);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    }
}

/// What is known of a body by its head.
#[derive(Clone, Debug)]
struct Kind {
    content: Content,
    format: Format,
    encoding: String,
}

/// Reads a request that carries one of `taken`.
pub async fn decode(head: &Parts, body: Bytes, taken: &[Content]) -> Result<Decoded, Refusal> {
    let kind = kind(head, taken)?;
    if body.len() <= SMALL && matches!(kind.encoding.as_str(), "" | "identity") {
        return kind.read(body);
    }
    let _turn = LARGE.acquire().await;
    match tokio::task::spawn_blocking(move || kind.read(body)).await {
        Ok(read) => read,
        Err(error) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn kind(head: &Parts, taken: &[Content]) -> Result<Kind, Refusal> {
    let path = head.uri.path();
    let Some(content) = taken.iter().copied().find(|content| content.path() == path) else {
        let places: Vec<String> =
            taken.iter().map(|content| format!("{} {{}} `{}`", content.plural(), content.path())).collect();
        // The verb is said once.
        let places = places.join(", ").replacen("{}", "go to", 1).replace("{}", "to");
        return Err(Refusal::new(StatusCode::NOT_FOUND, format!("nothing at `{}`; {places}", words(path))));
    };
    let plural = content.plural();
    if head.method != Method::POST {
        let why = format!("`{}` is no way to send {plural}; POST is", words(head.method.as_str()));
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    let content_type = header(&head.headers, CONTENT_TYPE);
    let Some(format) = Format::from_content_type(content_type) else {
        let why = format!("content-type `{}` is neither `{PROTOBUF}` nor `{JSON}`", words(content_type));
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    };
    Ok(Kind { content, format, encoding: header(&head.headers, CONTENT_ENCODING).to_owned() })
}

impl Kind {
    fn read(self, body: Bytes) -> Result<Decoded, Refusal> {
        let body = self.plain(body)?;
        let (message, remark) = match self.content {
            Content::Logs => self.message(body, Message::Logs),
            Content::Metrics => self.message(body, Message::Metrics),
            Content::Traces => self.message(body, Message::Traces),
        }?;
        match limits::inherits_little(&message) {
            true => Ok(Decoded { format: self.format, message, remark }),
            false => Err(Refusal::too_much(MAX_DECODED)),
        }
    }

    fn plain(&self, body: Bytes) -> Result<Bytes, Refusal> {
        let encoding = self.encoding.as_str();
        match encoding {
            "" | "identity" => Ok(body),
            encoding => match decompress(encoding, &body, MAX_BODY as u64) {
                Ok(body) => Ok(Bytes::from(body)),
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    let why = format!("content-encoding `{}` is not supported here; send it plain", words(encoding));
                    Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, why))
                }
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("its body, inflated: {error}")))
                }
                Err(error) => Err(Refusal::new(StatusCode::BAD_REQUEST, format!("no {encoding}: {error}"))),
            },
        }
    }

    fn message<M>(&self, body: Bytes, wrap: fn(M) -> Message) -> Result<(Message, Option<String>), Refusal>
    where
        M: ProtoMessage + Default + DeserializeOwned,
    {
        let schema = schema::Message::request(self.content);
        match self.format {
            Format::Json => {
                if limits::of_json(&body) != Weight::Fits {
                    return Err(Refusal::too_much(limits::MAX_JSON));
                }
                let (message, remark) = json::decode::<M>(&body, self.content).map_err(|error| {
                    Refusal::new(StatusCode::BAD_REQUEST, format!("not OTLP JSON: {}", words(&error.to_string())))
                })?;
                // A message in memory is weighed by what it would be on the wire.
                match limits::of_protobuf(schema, &message.encode_to_vec()) {
                    Weight::TooMuch => Err(Refusal::too_much(MAX_DECODED)),
                    Weight::Fits | Weight::Unknown => Ok((wrap(message), remark)),
                }
            }
            Format::Protobuf => {
                let weight = limits::of_protobuf(schema, &body);
                if weight == Weight::TooMuch {
                    return Err(Refusal::too_much(MAX_DECODED));
                }
                if weight == Weight::Unknown && body.len() > SMALL {
                    return Err(Refusal::new(StatusCode::BAD_REQUEST, "not OTLP protobuf: it breaks off"));
                }
                match M::decode(body.clone()) {
                    Ok(message) => Ok((wrap(message), None)),
                    Err(error) => {
                        let why = format!("not OTLP protobuf: {error}{}", self.rather(&body));
                        Err(Refusal::new(StatusCode::BAD_REQUEST, why))
                    }
                }
            }
        }
    }

    /// Of which other kind the body is, if it is.
    fn rather(&self, body: &Bytes) -> String {
        let is = |content: &Content| {
            let schema = schema::Message::request(*content);
            if *content == self.content || limits::of_protobuf(schema, body) != Weight::Fits {
                return false;
            }
            let read = match content {
                Content::Logs => ProtoMessage::decode(body.clone()).map(Message::Logs),
                Content::Metrics => ProtoMessage::decode(body.clone()).map(Message::Metrics),
                Content::Traces => ProtoMessage::decode(body.clone()).map(Message::Traces),
            };
            read.is_ok_and(|message| !message.is_empty())
        };
        let other = Content::ALL.into_iter().find(is);
        other.map_or_else(String::new, |other| {
            format!(" (it can be read as {}, which go to `{}`)", other.plural(), other.path())
        })
    }
}

/// The header's text; empty when it is absent or no text.
fn header(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

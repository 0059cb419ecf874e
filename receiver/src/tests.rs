//! Tests of the receiver, with an HTTP client that writes requests by hand.

mod answers;
mod attacks;
mod content;
mod life;
mod spans;
mod tree;

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::Receiver;
use super::wire::{JSON, PROTOBUF};

/// Far longer than any step of a test takes. Only a failing test waits for it.
const LONG: Duration = Duration::from_secs(20);

struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Client {
    fn connect(receiver: &Receiver) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", receiver.port())).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<()> {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{headers}content-length: {length}\r\n\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat())
    }

    fn receive(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mut reply = Reply { status, headers, body: Vec::new() };
        let length: usize = reply.header("content-length").unwrap_or("0").parse().unwrap();
        reply.body = vec![0; length];
        self.stream.read_exact(&mut reply.body)?;
        Ok(reply)
    }

    fn post(&mut self, content_type: &str, body: &[u8]) -> io::Result<Reply> {
        self.post_to("/v1/logs", content_type, body)
    }

    fn post_spans(&mut self, content_type: &str, body: &[u8]) -> io::Result<Reply> {
        self.post_to("/v1/traces", content_type, body)
    }

    fn post_to(&mut self, path: &str, content_type: &str, body: &[u8]) -> io::Result<Reply> {
        let headers = format!("content-type: {content_type}\r\n");
        self.send("POST", path, &headers, body)?;
        self.receive()
    }
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Encodes a request with one record with this body.
fn request(body: &str) -> Vec<u8> {
    message(LogRecord { body: text(body), ..LogRecord::default() }).encode_to_vec()
}

fn message(record: LogRecord) -> ExportLogsServiceRequest {
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes: vec![pair("service.name", text("shop"))], ..Resource::default() }),
            scope_logs: vec![ScopeLogs {
                scope: Some(InstrumentationScope {
                    name: "shop::cart".to_owned(),
                    version: "1.2.3".to_owned(),
                    attributes: vec![pair("team", text("till"))],
                    dropped_attributes_count: 0,
                }),
                log_records: vec![record],
                schema_url: "https://schema.test".to_owned(),
            }],
            schema_url: String::new(),
        }],
    }
}

fn pair(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn text(value: &str) -> Option<AnyValue> {
    any(ProtoValue::StringValue(value.to_owned()))
}

fn any(value: ProtoValue) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

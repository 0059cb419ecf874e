//! The outcome of one request, with the cause if it failed.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::config::Proxy;
use crate::escape::{at_most, words};
use crate::ledger::RejectReason;
use crate::otlp::ExportResponse;

/// The outcome of one request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The endpoint confirmed the request.
    Delivered,
    /// The endpoint accepted the request, but rejected this many of its records.
    Partial { rejected: u64, message: String },
    /// The endpoint rejected the request and would reject it again.
    Rejected { reason: RejectReason, cause: Cause },
    /// The request can be retried, not before `after` if the endpoint named a delay.
    Retry { cause: Cause, after: Option<Duration> },
    /// The endpoint answered with a success that is not an OTLP response.
    Unconfirmed { cause: Cause },
}

impl Outcome {
    /// Returns the outcome that an OTLP response reports.
    pub(super) fn confirmed(response: ExportResponse) -> Self {
        match response {
            ExportResponse { rejected: 0, message } if message.is_empty() => Self::Delivered,
            ExportResponse { rejected, message } => Self::Partial { rejected, message: server_text(&message) },
        }
    }

    pub(super) fn timeout(timeout: Duration) -> Self {
        let text = format!("no answer within {timeout:?}");
        Self::Retry { cause: Cause::new(CauseKind::Timeout, text), after: None }
    }

    /// Returns the outcome for a body that the caller compressed, if this protocol needs it uncompressed.
    pub(super) fn cannot_decompress(error: io::Error) -> Self {
        let text = format!("the request cannot be converted to this protocol: {error}");
        Self::Rejected { reason: RejectReason::Malformed, cause: Cause::new(CauseKind::Rejected, text) }
    }

    /// Turns a rejection that does not depend on the content of the request into one that is retried.
    pub(crate) fn retry_endpoint_faults(self) -> Self {
        match self {
            Self::Rejected { cause, .. } if cause.kind.is_about_the_endpoint() => Self::Retry { cause, after: None },
            other => other,
        }
    }

    /// Returns whether the endpoint accepted the request as a whole.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Delivered | Self::Partial { .. })
    }

    /// Returns the cause of a failure.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Delivered | Self::Partial { .. } => None,
            Self::Rejected { cause, .. } | Self::Retry { cause, .. } | Self::Unconfirmed { cause } => Some(cause),
        }
    }

    /// Adds to the cause that the request went through a proxy.
    pub(super) fn via_proxy(mut self, proxy: &Proxy) -> Self {
        if let Self::Rejected { cause, .. } | Self::Retry { cause, .. } | Self::Unconfirmed { cause } = &mut self {
            cause.add_proxy(proxy);
        }
        self
    }
}

/// Why a request failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cause {
    pub kind: CauseKind,
    /// One lower-case sentence without the URL.
    pub text: String,
    /// The status code of HTTP or of gRPC.
    status: Option<u16>,
}

impl Cause {
    pub fn new(kind: CauseKind, text: impl AsRef<str>) -> Self {
        Self { kind, text: at_most(text.as_ref(), MAX_TEXT), status: None }
    }

    pub(super) fn with_status(self, status: Option<u16>) -> Self {
        Self { status, ..self }
    }

    pub(super) fn add_proxy(&mut self, proxy: &Proxy) {
        self.text.push_str(&format!(" (through the proxy {proxy})"));
    }

    /// Returns a key that is equal for equivalent causes. It contains no text from the server.
    pub(crate) fn key(&self) -> String {
        format!("{:?} {}", self.kind, self.status.unwrap_or_default())
    }
}

/// The maximum length of a cause in characters, including text from the server.
const MAX_TEXT: usize = 600;

/// Returns text from the server on one line, escaped and truncated.
pub(super) fn server_text(text: &str) -> String {
    words(text.trim())
}

/// The kinds of causes, as far as the help differs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CauseKind {
    /// The endpoint refused the credentials.
    Auth,
    /// The endpoint asks the client to wait.
    Busy,
    /// The endpoint is out of resources and gives no retry delay.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code))] // Only gRPC has a status for it.
    ResourceExhausted,
    /// The endpoint cannot read the request, or rejects it for another reason.
    Rejected,
    /// The endpoint has no receiver for this signal at that path.
    NotFound,
    /// The gRPC endpoint has no receiver for this signal.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code))] // Only gRPC has a status for it.
    Unimplemented,
    /// A success that is not an OTLP response.
    NotOtlp,
    /// The response is not HTTP, or not the version of HTTP that was used.
    Protocol,
    /// The program closed a file descriptor of logbridge.
    DescriptorClosed,
    /// The process has no file descriptors left.
    OutOfDescriptors,
    /// The host name could not be resolved.
    Dns,
    /// The port does not speak gRPC.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code))] // Only a gRPC client finds out.
    NotGrpc,
    /// The port does not speak TLS.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))] // Only a TLS client finds out.
    NotTls,
    /// The connection ended before the response.
    Interrupted,
    /// The port is closed.
    ConnectionRefused,
    /// The proxy does not let the request through.
    Proxy,
    /// The endpoint redirects to another URL.
    Redirect,
    /// No response arrived in time.
    Timeout,
    /// The certificate is not accepted, or the handshake failed.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))] // Only a TLS client finds out.
    Tls,
    /// TLS cannot be set up on this side.
    TlsSetup,
    /// The request is larger than the endpoint accepts.
    TooLarge,
    /// The network reports that the host is unreachable.
    Unreachable,
}

impl CauseKind {
    /// Returns whether retrying is useless in the little time that remains at exit.
    pub(crate) fn is_hopeless_at_exit(self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::NotTls
                | Self::Protocol
                | Self::ConnectionRefused
                | Self::Tls
                | Self::TlsSetup
                | Self::Unreachable
        ) || self.is_about_the_endpoint()
    }

    /// Returns whether the same request would be accepted with another key or another URL.
    fn is_about_the_endpoint(self) -> bool {
        matches!(self, Self::Auth | Self::NotFound | Self::Redirect | Self::Unimplemented)
    }

    /// Returns what the user can do.
    pub fn help(self) -> &'static str {
        match self {
            Self::Auth => "check the key in OTEL_EXPORTER_OTLP_HEADERS (authorization=…) or HYPERDX_API_KEY",
            Self::Busy => "wait; if this continues, the endpoint is overloaded or limits your rate",
            Self::ResourceExhausted => "raise the quota or the limit of the receiver: rejected data is lost",
            Self::Rejected => "look for the reason in the endpoint's own log",
            Self::Unimplemented => {
                "the receiver has no pipeline for this signal, or this is not its OTLP port: add a pipeline there, or \
                 turn the signal off here with OTEL_LOGS_EXPORTER=none or OTEL_TRACES_EXPORTER=none"
            }
            Self::NotFound => {
                "check the path: /v1/logs and /v1/traces are appended to OTEL_EXPORTER_OTLP_ENDPOINT, but a URL for \
                 one signal is used unchanged; OTEL_LOGS_EXPORTER=none turns logs off, OTEL_TRACES_EXPORTER=none spans"
            }
            Self::NotOtlp => {
                "something other than an OTLP receiver answers, or a proxy changes the answers: check host, port, path \
                 and proxies"
            }
            Self::TooLarge => {
                "raise the endpoint's limit for requests, or set LOGBRIDGE_MAX_REQUEST_BYTES below it; shorten a \
                 record or span that is too large by itself"
            }
            Self::Protocol => {
                "this port seems to speak another protocol: OTLP/HTTP usually uses port 4318, OTLP/gRPC port 4317"
            }
            Self::NotGrpc => {
                "use the collector's gRPC port, usually 4317, or set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf"
            }
            Self::NotTls => "use http:// if the endpoint has no TLS, or the port that speaks TLS",
            Self::DescriptorClosed => {
                "close only descriptors that the program opened, or call `close_range` and the like before `init`"
            }
            Self::OutOfDescriptors => {
                "this process has too many files and sockets open: look for a leak, or raise ulimit -n"
            }
            Self::Dns => "check the host name of the endpoint (OTEL_EXPORTER_OTLP_ENDPOINT, or `Otlp::to` in code)",
            Self::Interrupted => "look at the collector's own log; it may have restarted",
            Self::ConnectionRefused => {
                "start a collector there, or name another endpoint (OTEL_EXPORTER_OTLP_ENDPOINT, or `Otlp::to` in code)"
            }
            Self::Proxy => "check HTTPS_PROXY and HTTP_PROXY, or add the endpoint's host to NO_PROXY",
            Self::Redirect => {
                "if you trust the target, set it as the endpoint: OTEL_EXPORTER_OTLP_LOGS_ENDPOINT and \
                 …_TRACES_ENDPOINT take a whole URL, OTEL_EXPORTER_OTLP_ENDPOINT one without the path"
            }
            Self::Timeout => {
                "raise OTEL_EXPORTER_OTLP_TIMEOUT (milliseconds) if the endpoint is slow; if it is never reached, \
                 check its address and the firewall"
            }
            Self::Tls => "check the certificate of the endpoint and the root certificates that this machine trusts",
            Self::TlsSetup => {
                "check the feature `tls` of logbridge, and OTEL_EXPORTER_OTLP_CERTIFICATE, …_CLIENT_CERTIFICATE and \
                 …_CLIENT_KEY"
            }
            Self::Unreachable => "check the address and the route to it",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::escape::WORDS;

    #[test]
    fn a_servers_words_are_cut_and_stay_on_one_line() {
        assert_eq!(server_text(" bad\nkey\u{1b}[2J "), r"bad\nkey\u{1b}[2J");
        for long in ["é".repeat(1 << 20), "\u{1b}".repeat(1 << 20), "\u{202e}".repeat(WORDS)] {
            let words = server_text(&long);
            assert!(words.chars().count() <= WORDS && words.ends_with('…'), "{words}");
        }
        let whole = "é".repeat(WORDS);
        assert_eq!(server_text(&whole), whole);
    }

    #[test]
    fn causes_with_the_same_status_have_the_same_key() {
        let cause = |status, text: &str| Cause::new(CauseKind::Rejected, text).with_status(Some(status));
        assert_eq!(cause(500, "request 1").key(), cause(500, "request 2").key());
        assert_ne!(cause(500, "request 1").key(), cause(501, "request 1").key());
    }
}

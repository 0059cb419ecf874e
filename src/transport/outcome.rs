//! What became of one request: a closed set, each with the whole cause in words.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::config::Proxy;
use crate::escape::{at_most, words};
use crate::ledger::RejectReason;
use crate::otlp::ExportResponse;

/// What became of one request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The endpoint confirmed it.
    Delivered,
    /// The endpoint took it, but rejected this many of its records.
    Partial { rejected: u64, message: String },
    /// Final: the same request would be refused again.
    Refused { reason: RejectReason, cause: Cause },
    /// Try again, not before `after` where the endpoint named a time.
    Retry { cause: Cause, after: Option<Duration> },
    /// A success that is no OTLP answer.
    Unconfirmed { cause: Cause },
}

impl Outcome {
    /// What an OTLP answer says.
    pub(super) fn confirmed(response: ExportResponse) -> Self {
        match response {
            ExportResponse { rejected: 0, message } if message.is_empty() => Self::Delivered,
            ExportResponse { rejected, message } => Self::Partial { rejected, message: server_words(&message) },
        }
    }

    pub(super) fn timeout(timeout: Duration) -> Self {
        let text = format!("no answer within {timeout:?}");
        Self::Retry { cause: Cause::new(CauseKind::Timeout, text), after: None }
    }

    /// The body is compressed by somebody else, and this protocol needs it plain.
    pub(super) fn not_plain(error: io::Error) -> Self {
        let text = format!("the request cannot be written in this protocol: {error}");
        Self::Refused { reason: RejectReason::Malformed, cause: Cause::new(CauseKind::Final, text) }
    }

    /// For what can wait as long as it takes: a refusal that says nothing of what was sent is one to try again.
    pub(crate) fn waited_out(self) -> Self {
        match self {
            Self::Refused { cause, .. } if cause.kind.is_about_the_endpoint() => Self::Retry { cause, after: None },
            other => other,
        }
    }

    /// Whether the endpoint could read the request.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Delivered | Self::Partial { .. })
    }

    /// Why it did not end well, where it did not.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Delivered | Self::Partial { .. } => None,
            Self::Refused { cause, .. } | Self::Retry { cause, .. } | Self::Unconfirmed { cause } => Some(cause),
        }
    }

    /// Says that a proxy may be the reason.
    pub(super) fn by_way_of(mut self, proxy: &Proxy) -> Self {
        if let Self::Refused { cause, .. } | Self::Retry { cause, .. } | Self::Unconfirmed { cause } = &mut self {
            cause.text.push_str(&format!(" (by way of the proxy {proxy})"));
        }
        self
    }
}

/// Why a request did not end well.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cause {
    pub kind: CauseKind,
    /// One lower-case sentence without the URL.
    pub text: String,
    /// The status of the answer, of HTTP or of gRPC.
    status: Option<u16>,
}

impl Cause {
    pub fn new(kind: CauseKind, text: impl AsRef<str>) -> Self {
        Self { kind, text: at_most(text.as_ref(), TEXT), status: None }
    }

    pub(super) fn with_status(self, status: Option<u16>) -> Self {
        Self { status, ..self }
    }

    /// What makes two causes the same: nothing that a server may word as it likes.
    pub(crate) fn key(&self) -> String {
        format!("{:?} {}", self.kind, self.status.unwrap_or_default())
    }
}

/// How many characters a cause has, a server's words included.
const TEXT: usize = 600;

/// A server's words on one line, cut where they are long.
pub(super) fn server_words(said: &str) -> String {
    words(said.trim())
}

/// What kind of trouble it is, as far as the help differs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CauseKind {
    /// The credentials were refused.
    Auth,
    /// The endpoint asks to wait.
    Busy,
    /// The endpoint has no room, and does not say that this passes.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code))] // Only gRPC has a word for it.
    Exhausted,
    /// The endpoint cannot read the request, or refuses it for a reason of its own.
    Final,
    /// Nothing takes this signal at that path.
    NotFound,
    /// Nothing takes this signal, and there are no paths.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code))] // Only gRPC has a word for it.
    Unimplemented,
    /// A success that is no OTLP answer.
    NotOtlp,
    /// The bytes that came back are no HTTP, or not the HTTP that was asked for.
    Protocol,
    /// Somebody in this process has closed a descriptor that was in use here.
    Closed,
    /// This process has no descriptors left.
    Descriptors,
    /// The host's name could not be resolved.
    Dns,
    /// gRPC was asked for, and the port has never spoken it.
    #[cfg_attr(not(feature = "grpc"), allow(dead_code))] // Only a gRPC client finds out.
    NotGrpc,
    /// TLS was asked for, and the port does not speak it.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))] // Only a TLS client finds out.
    NotTls,
    /// The connection ended before the answer.
    Interrupted,
    /// Nothing listens there.
    Refused,
    /// The proxy does not let the request through.
    Proxy,
    /// The endpoint is somewhere else.
    Redirect,
    /// No answer in time.
    Timeout,
    /// The certificate or the handshake.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))] // Only a TLS client finds out.
    Tls,
    /// TLS cannot even be tried.
    TlsSetUp,
    /// The request is larger than the endpoint takes.
    TooLarge,
    /// The network says that the host cannot be reached.
    Unreachable,
}

impl CauseKind {
    /// Whether a program that ends should stop trying: no answer will come in the little time it has.
    pub(crate) fn is_hopeless_at_exit(self) -> bool {
        matches!(
            self,
            Self::Dns | Self::NotTls | Self::Protocol | Self::Refused | Self::Tls | Self::TlsSetUp | Self::Unreachable
        ) || self.is_about_the_endpoint()
    }

    /// Whether a refusal says nothing of what was sent: with another key or another address it would be taken.
    fn is_about_the_endpoint(self) -> bool {
        matches!(self, Self::Auth | Self::NotFound | Self::Redirect | Self::Unimplemented)
    }

    /// What to change.
    pub fn help(self) -> &'static str {
        match self {
            Self::Auth => "check the key in OTEL_EXPORTER_OTLP_HEADERS (authorization=…) or HYPERDX_API_KEY",
            Self::Busy => "nothing, if it passes; if it lasts, the endpoint is overloaded or limits your rate",
            Self::Exhausted => "raise the quota or the limit of the receiver: what it refused is lost",
            Self::Final => "look at the endpoint's own log for the reason",
            Self::Unimplemented => {
                "the receiver has no pipeline for this signal, or this is not its OTLP port: add one there, or switch the \
                 signal off here: OTEL_LOGS_EXPORTER=none, OTEL_TRACES_EXPORTER=none"
            }
            Self::NotFound => {
                "check the path: /v1/logs and /v1/traces are appended to OTEL_EXPORTER_OTLP_ENDPOINT, and a URL for one signal \
                 is used as it is; OTEL_TRACES_EXPORTER=none sends no spans, OTEL_LOGS_EXPORTER=none no logs"
            }
            Self::NotOtlp => {
                "something other than an OTLP receiver answers there, or something that changes its answers: check host, port and \
                 path, and proxies in between"
            }
            Self::TooLarge => {
                "raise the endpoint's limit for requests, or set LOGBRIDGE_MAX_REQUEST_BYTES below it; a record or span that is \
                 too large by itself has to become shorter"
            }
            Self::Protocol => "this port seems to speak another protocol: OTLP/HTTP usually is 4318, gRPC 4317",
            Self::NotGrpc => {
                "name the collector's gRPC port, which is usually 4317, or set OTEL_EXPORTER_OTLP_PROTOCOL to http/protobuf"
            }
            Self::NotTls => "write http:// if the endpoint is plain, or name the port that speaks TLS",
            Self::Closed => {
                "close only descriptors that the program has opened itself, or call `close_range` and its like before `init`"
            }
            Self::Descriptors => {
                "this process has too many files and sockets open: look for a leak, or raise ulimit -n"
            }
            Self::Dns => "check the host name of the endpoint (OTEL_EXPORTER_OTLP_ENDPOINT, or `Otlp::to` in code)",
            Self::Interrupted => "look at the collector's own log; it may have restarted",
            Self::Refused => {
                "start a collector there, or name another endpoint (OTEL_EXPORTER_OTLP_ENDPOINT, or `Otlp::to` in code)"
            }
            Self::Proxy => "check HTTPS_PROXY and HTTP_PROXY, or name the endpoint's host in NO_PROXY",
            Self::Redirect => {
                "name the place it redirects to, if you trust that: OTEL_EXPORTER_OTLP_LOGS_ENDPOINT and …_TRACES_ENDPOINT take a \
                 whole URL, OTEL_EXPORTER_OTLP_ENDPOINT one without the path"
            }
            Self::Timeout => {
                "raise OTEL_EXPORTER_OTLP_TIMEOUT (milliseconds) if the endpoint is slow; if it is never reached, check its \
                 address and what a firewall drops"
            }
            Self::Tls => "check the certificate of the endpoint and the roots this machine trusts",
            Self::TlsSetUp => {
                "look at the feature `tls` of logbridge, and at OTEL_EXPORTER_OTLP_CERTIFICATE, …_CLIENT_CERTIFICATE and \
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
        assert_eq!(server_words(" bad\nkey\u{1b}[2J "), r"bad\nkey\u{1b}[2J");
        for long in ["é".repeat(1 << 20), "\u{1b}".repeat(1 << 20), "\u{202e}".repeat(WORDS)] {
            let words = server_words(&long);
            assert!(words.chars().count() <= WORDS && words.ends_with('…'), "{words}");
        }
        let whole = "é".repeat(WORDS);
        assert_eq!(server_words(&whole), whole);
    }

    #[test]
    fn causes_with_the_same_status_have_the_same_key() {
        let cause = |status, text: &str| Cause::new(CauseKind::Final, text).with_status(Some(status));
        assert_eq!(cause(500, "request 1").key(), cause(500, "request 2").key());
        assert_ne!(cause(500, "request 1").key(), cause(501, "request 1").key());
    }
}

//! Forwards requests to another endpoint and returns its responses unchanged.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};

use crate::command::exit_status::CommandError;
use logbridge::internals::config::{BuilderSettings, Environment, Otlp, Protocol, Secrets};
use logbridge::internals::finding::{Kind, kind};
use logbridge::internals::transport::{CauseKind, Outcome, Relay, RelayedResponse};
use logbridge_receiver::internals::{Content, Exchange, Reply, ReplyAction, WholeBody};

/// Headers without secrets.
const PUBLIC_HEADERS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "user-agent",
];

/// The endpoint to which requests are forwarded.
#[derive(Debug)]
pub(in crate::command) struct Upstream {
    relays: Vec<(Content, Relay)>,
    /// The option with the URL, or `None` if the URL is from the environment.
    option: Option<&'static str>,
}

/// The result of forwarding a request.
#[derive(Debug)]
pub(in crate::command) struct UpstreamReply {
    pub(in crate::command) action: ReplyAction,
    /// The endpoint accepted all items.
    pub(in crate::command) is_accepted: bool,
    /// The endpoint accepted the request, perhaps except for some items. A client does not retry it.
    pub(in crate::command) is_final: bool,
    /// The items that the endpoint rejected from an accepted request.
    pub(in crate::command) rejected: u64,
    /// No response was received.
    pub(in crate::command) is_unreachable: bool,
    /// The kind of finding, unless the endpoint accepted all items.
    pub(in crate::command) kind: Option<&'static Kind>,
    /// The response in words, or why there is none.
    pub(in crate::command) text: String,
    /// What to change, or empty.
    pub(in crate::command) help: String,
    pub(in crate::command) took: Duration,
}

/// Appends the path of a signal to a base URL. A path of another signal at its end is replaced.
pub(in crate::command) fn signal_url(base: &str, content: Content) -> String {
    let base = Content::ALL.iter().find_map(|content| base.strip_suffix(content.path())).unwrap_or(base);
    format!("{}{}", base.trim_end_matches('/'), content.path())
}

impl Upstream {
    /// `option` is the option with the URLs, or `None` if they are from the environment.
    ///
    /// # Errors
    ///
    /// Returns an error if a URL is invalid, or if the environment disables sending.
    pub(in crate::command) fn new(
        urls: &[(Content, String)],
        option: Option<&'static str>,
        environment: &Environment,
    ) -> Result<Self, CommandError> {
        // These variables switch off exporters in programs, while forwarding was requested explicitly.
        let environment = &environment.without(&["OTEL_SDK_DISABLED", "OTEL_LOGS_EXPORTER", "OTEL_TRACES_EXPORTER"]);
        let origin = option.unwrap_or("the endpoint in the environment");
        let relay = |(content, url): &(Content, String)| {
            // Forwarded requests keep their own protocol, so only the URL of this setting is used.
            let otlp = Otlp::to_url(url).protocol(Protocol::HttpProtobuf);
            let settings = BuilderSettings { otlp: Some(otlp), ..BuilderSettings::default() };
            let config = settings.resolve(environment).map_err(|error| {
                let text = error.to_string().replacen("the OTLP endpoint set in code", origin, 1);
                CommandError::usage(text, error.help().unwrap_or("write a URL such as http://localhost:4318"))
            })?;
            let reason = config.otlp.off_because.unwrap_or("the destination is off");
            let help = "unset that variable for this command";
            let delivery = config
                .otlp
                .delivery
                .ok_or_else(|| CommandError::usage(format!("forwarding is disabled: {reason}"), help))?;
            Ok((*content, Relay::new(&delivery.route)))
        };
        Ok(Self { relays: urls.iter().map(relay).collect::<Result<_, _>>()?, option })
    }

    /// Forwards a request. Returns `None` if this signal has no upstream URL.
    pub(in crate::command) async fn forward(&self, exchange: &Exchange, content: Content) -> Option<UpstreamReply> {
        let (_, relay) = self.relays.iter().find(|(known, _)| *known == content)?;
        let since = Instant::now();
        let result = match &exchange.grpc {
            Some(grpc) => relay.call(grpc.path, &grpc.headers, grpc.body.clone()).await,
            None => relay.post(&exchange.head.headers, exchange.body.clone()).await,
        };
        let took = since.elapsed();
        let headers = exchange.grpc.as_ref().map_or(&exchange.head.headers, |grpc| &grpc.headers);
        let secrets = secrets(headers);
        let mut reply = match result {
            Ok(relayed) => {
                let text = describe(&relayed);
                let is_accepted = matches!(&relayed.outcome, Outcome::Delivered)
                    || matches!(&relayed.outcome, Outcome::Partial { rejected: 0, .. });
                let is_final = matches!(&relayed.outcome, Outcome::Delivered | Outcome::Partial { .. });
                let kind = match &relayed.outcome {
                    _ if is_accepted => None,
                    Outcome::Delivered | Outcome::Partial { .. } | Outcome::Rejected { .. } => Some(&kind::REFUSED),
                    Outcome::Retry { .. } => Some(&kind::CANNOT_DELIVER),
                    Outcome::Unconfirmed { .. } => Some(&kind::UNCONFIRMED),
                };
                let rejected = match &relayed.outcome {
                    Outcome::Partial { rejected, .. } => *rejected,
                    _ => 0,
                };
                let help = relayed.outcome.cause().map_or_else(String::new, |cause| self.help(cause.kind));
                UpstreamReply {
                    action: whole_response(relayed),
                    is_accepted,
                    is_final,
                    rejected,
                    is_unreachable: false,
                    kind,
                    text,
                    help,
                    took,
                }
            }
            Err(cause) => {
                let text = format!("logbridge could not forward this request: {}", cause.text);
                let action = Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, text).action;
                UpstreamReply {
                    action,
                    is_accepted: false,
                    is_final: false,
                    rejected: 0,
                    is_unreachable: true,
                    kind: Some(&kind::CANNOT_DELIVER),
                    text: cause.text,
                    help: self.help(cause.kind),
                    took,
                }
            }
        };
        secrets.mask(&mut reply.text);
        Some(reply)
    }

    /// Returns what to change. The library's help is for the code of a program, so this names the option instead.
    fn help(&self, kind: CauseKind) -> String {
        let Some(option) = self.option else { return kind.help().replace(", or `Otlp::to` in code", "") };
        match kind {
            CauseKind::ConnectionRefused => {
                format!("start a collector there, or choose another endpoint with {option}")
            }
            CauseKind::Dns => format!("check the host name in {option}"),
            CauseKind::NotFound => {
                format!("check the path: /v1/logs and /v1/traces are appended to the URL of {option}")
            }
            CauseKind::NotGrpc => "set --forward-grpc to the collector's gRPC port, usually 4317".to_owned(),
            CauseKind::Redirect => format!("set {option} to the redirect target if you trust it"),
            kind => kind.help().to_owned(),
        }
    }
}

/// Collects the header values of a request that may be secret, because an endpoint may quote them in its response.
fn secrets(headers: &HeaderMap) -> Secrets {
    let is_public = |name: &str| PUBLIC_HEADERS.contains(&name) || name.starts_with("grpc-");
    let values = headers.iter().filter(|(name, _)| !is_public(name.as_str()));
    Secrets::of(values.filter_map(|(_, value)| value.to_str().ok()))
}

/// Describes the response in words.
fn describe(relayed: &RelayedResponse) -> String {
    match &relayed.outcome {
        Outcome::Delivered => format!("{} accepted", relayed.status().as_u16()),
        Outcome::Partial { rejected: 0, message } => format!("accepted, with a warning: \"{message}\""),
        Outcome::Partial { rejected, message } if message.is_empty() => {
            format!("partial success: {rejected} rejected, no reason given")
        }
        Outcome::Partial { rejected, message } => format!("partial success: {rejected} rejected: \"{message}\""),
        other => other.cause().map(|cause| cause.text.clone()).unwrap_or_default(),
    }
}

/// Builds the response to the client from the upstream response, including trailers.
fn whole_response(relayed: RelayedResponse) -> ReplyAction {
    let RelayedResponse { head, body, trailers, .. } = relayed;
    let body: WholeBody = match trailers {
        None => Full::new(body).boxed(),
        Some(trailers) => Full::<Bytes>::new(body).with_trailers(async { Some(Ok(trailers)) }).boxed(),
    };
    let (mut parts, ()) = head.into_parts();
    // The client may speak another HTTP version than the upstream endpoint.
    parts.version = http::Version::default();
    ReplyAction::Relay(Response::from_parts(parts, body))
}

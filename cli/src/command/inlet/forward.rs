//! Requests are passed on to another endpoint, and its answers are handed back as they are.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};

use super::super::Problem;
use logbridge::internals::config::{BuilderSettings, Environment, Otlp, Protocol, Secrets};
use logbridge::internals::finding::{Kind, kind};
use logbridge::internals::transport::{CauseKind, Outcome, Relay, Relayed};
use logbridge_receiver::internals::{Content, Ending, Exchange, Reply, WholeBody};

/// Headers that hold no secret.
const PUBLIC: [&str; 12] = [
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

/// Where requests are passed on to.
#[derive(Debug)]
pub(in crate::command) struct Upstream {
    relays: Vec<(Content, Relay)>,
    /// The option that names it; `None` for the environment.
    option: Option<&'static str>,
}

/// What became of a request there.
#[derive(Debug)]
pub(in crate::command) struct Passed {
    pub(in crate::command) ending: Ending,
    /// Whether the endpoint took all of it.
    pub(in crate::command) is_taken: bool,
    /// Whether the endpoint took it, be it with some rejected: the same will not come again.
    pub(in crate::command) is_final: bool,
    /// So many items the endpoint says it rejected of a request that it took.
    pub(in crate::command) rejected: u64,
    /// No answer came at all.
    pub(in crate::command) is_dead: bool,
    /// What it is, where not all of it was taken.
    pub(in crate::command) kind: Option<&'static Kind>,
    /// What it answered, or why nothing came.
    pub(in crate::command) said: String,
    /// What to change, where that is known.
    pub(in crate::command) help: String,
    pub(in crate::command) took: Duration,
}

/// Where each kind is sent: the URL that everybody calls an endpoint, with the path behind it.
pub(in crate::command) fn below(base: &str, content: Content) -> String {
    // Some paste the whole URL.
    let base = Content::ALL.iter().find_map(|content| base.strip_suffix(content.path())).unwrap_or(base);
    format!("{}{}", base.trim_end_matches('/'), content.path())
}

impl Upstream {
    /// With the option that names it, where it is not the environment.
    pub(in crate::command) fn new(
        urls: &[(Content, String)],
        option: Option<&'static str>,
        environment: &Environment,
    ) -> Result<Self, Problem> {
        // These are for programs: to pass on was asked for.
        let environment = &environment.without(&["OTEL_SDK_DISABLED", "OTEL_LOGS_EXPORTER", "OTEL_TRACES_EXPORTER"]);
        let whose = option.unwrap_or("the endpoint in the environment");
        let relay = |(content, url): &(Content, String)| {
            // Requests have their protocol already, and the URL is that of HTTP.
            let otlp = Otlp::to_url(url).protocol(Protocol::HttpProtobuf);
            let settings = BuilderSettings { otlp: Some(otlp), ..BuilderSettings::default() };
            let config = settings.resolve(environment).map_err(|error| {
                let text = error.to_string().replacen("the OTLP endpoint set in code", whose, 1);
                Problem::usage(text, error.help().unwrap_or("write a URL such as http://localhost:4318"))
            })?;
            let why = config.otlp.off_because.unwrap_or("the destination is off");
            let help = "unset that variable for this command";
            let delivery =
                config.otlp.delivery.ok_or_else(|| Problem::usage(format!("nothing may be passed on: {why}"), help))?;
            Ok((*content, Relay::new(&delivery.route)))
        };
        Ok(Self { relays: urls.iter().map(relay).collect::<Result<_, _>>()?, option })
    }

    /// Passes a request on. `None` where nothing is to be done with this kind.
    pub(in crate::command) async fn pass(&self, exchange: &Exchange, content: Content) -> Option<Passed> {
        let (_, relay) = self.relays.iter().find(|(known, _)| *known == content)?;
        let since = Instant::now();
        let passed = match &exchange.packed {
            Some(packed) => relay.call(packed.path, &packed.headers, packed.body.clone()).await,
            None => relay.post(&exchange.head.headers, exchange.body.clone()).await,
        };
        let took = since.elapsed();
        let headers = exchange.packed.as_ref().map_or(&exchange.head.headers, |packed| &packed.headers);
        let secrets = secrets(headers);
        let mut passed = match passed {
            Ok(relayed) => {
                let said = words(&relayed);
                let is_taken = matches!(&relayed.outcome, Outcome::Delivered)
                    || matches!(&relayed.outcome, Outcome::Partial { rejected: 0, .. });
                let is_final = matches!(&relayed.outcome, Outcome::Delivered | Outcome::Partial { .. });
                let kind = match &relayed.outcome {
                    _ if is_taken => None,
                    Outcome::Delivered | Outcome::Partial { .. } | Outcome::Refused { .. } => Some(&kind::REFUSED),
                    Outcome::Retry { .. } => Some(&kind::CANNOT_DELIVER),
                    Outcome::Unconfirmed { .. } => Some(&kind::UNCONFIRMED),
                };
                let rejected = match &relayed.outcome {
                    Outcome::Partial { rejected, .. } => *rejected,
                    _ => 0,
                };
                let help = relayed.outcome.cause().map_or_else(String::new, |cause| self.help(cause.kind));
                Passed { ending: whole(relayed), is_taken, is_final, rejected, is_dead: false, kind, said, help, took }
            }
            Err(cause) => {
                let why = format!("logbridge could not pass this on: {}", cause.text);
                let ending = Reply::refusal(StatusCode::SERVICE_UNAVAILABLE, why).ending;
                Passed {
                    ending,
                    is_taken: false,
                    is_final: false,
                    rejected: 0,
                    is_dead: true,
                    kind: Some(&kind::CANNOT_DELIVER),
                    said: cause.text,
                    help: self.help(cause.kind),
                    took,
                }
            }
        };
        secrets.mask(&mut passed.said);
        Some(passed)
    }
}

impl Upstream {
    /// What to change, where it is named here and not in the code of a program.
    fn help(&self, kind: CauseKind) -> String {
        let Some(option) = self.option else { return kind.help().replace(", or `Otlp::to` in code", "") };
        match kind {
            CauseKind::Refused => format!("start a collector there, or name another endpoint with {option}"),
            CauseKind::Dns => format!("check the host name that {option} gives"),
            CauseKind::NotFound => {
                format!("check the path: /v1/logs and /v1/traces are appended to what {option} names")
            }
            CauseKind::NotGrpc => {
                "name the collector's gRPC port, which is usually 4317, with --forward-grpc".to_owned()
            }
            CauseKind::Redirect => format!("name the place it redirects to with {option}, if you trust that"),
            kind => kind.help().to_owned(),
        }
    }
}

/// The values of a request's own headers, but for those that say nothing of who sends it: the endpoint may repeat its key.
fn secrets(headers: &HeaderMap) -> Secrets {
    let is_known = |name: &str| PUBLIC.contains(&name) || name.starts_with("grpc-");
    let values = headers.iter().filter(|(name, _)| !is_known(name.as_str()));
    Secrets::of(values.filter_map(|(_, value)| value.to_str().ok()))
}

/// What the answer says.
fn words(relayed: &Relayed) -> String {
    match &relayed.outcome {
        Outcome::Delivered => format!("{} taken", relayed.status().as_u16()),
        Outcome::Partial { rejected: 0, message } => format!("taken, with a warning: \"{message}\""),
        Outcome::Partial { rejected, message } if message.is_empty() => {
            format!("partial success: {rejected} rejected, and it does not say why")
        }
        Outcome::Partial { rejected, message } => format!("partial success: {rejected} rejected: \"{message}\""),
        other => other.cause().map(|cause| cause.text.clone()).unwrap_or_default(),
    }
}

/// The answer as it came, trailers included.
fn whole(relayed: Relayed) -> Ending {
    let Relayed { head, body, trailers, .. } = relayed;
    let body: WholeBody = match trailers {
        None => Full::new(body).boxed(),
        Some(trailers) => Full::<Bytes>::new(body).with_trailers(async { Some(Ok(trailers)) }).boxed(),
    };
    let (mut parts, ()) = head.into_parts();
    // Whatever came in: it goes out in the version that the client speaks.
    parts.version = http::Version::default();
    Ending::PassOn(Response::from_parts(parts, body))
}

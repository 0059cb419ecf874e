//! From what was found out at an endpoint to what is to be done. Pure.

use std::time::{Duration, SystemTime};

use super::connect::ConnectFailure;
use super::requests::LARGE;
use super::{ProbeResults, ProbeTarget};
use logbridge::internals::config::Protocol;
use logbridge::internals::escape::OneLine;
use logbridge::internals::finding::{Finding, Kind, Severity, kind};
use logbridge::internals::transport::{Cause, CauseKind, Outcome};

/// Searches for the last minutes miss what is older, and `Date` has whole seconds.
const SKEW: Duration = Duration::from_secs(120);

/// What was looked at, in lines.
pub(super) fn observations(target: &ProbeTarget, results: &ProbeResults) -> Vec<String> {
    let default = if target.is_default { " (the default: neither code nor a variable names one)" } else { "" };
    let mut lines = vec![format!("{} by {}{default}", target.shown, target.protocol)];
    if let Some(proxy) = &target.proxy {
        lines.push(format!("by way of the proxy {proxy}"));
    }
    for (address, result) in &results.connections.addresses {
        lines.push(format!("{address}: {}", result.as_ref().map_or_else(describe_failure, |()| "open".to_owned())));
    }
    if let Some(tls) = results.tls.as_ref().filter(|tls| tls.is_tls) {
        lines.push(format!("speaks TLS{}", tls.version.as_ref().map_or_else(String::new, |v| format!(" ({v})"))));
        if let Some(certificate) = &tls.certificate {
            lines.push(format!(
                "certificate of {}, by {}, for {}, from {} until {}",
                certificate.subject,
                certificate.issuer,
                certificate.names.join(", "),
                certificate.shown_from,
                certificate.shown_until
            ));
        }
    }
    if let Some(spoken) = &results.spoken {
        let server = spoken.http1.as_ref().and_then(|head| head.server.clone());
        let server = server.map_or_else(String::new, |server| format!(" ({server})"));
        let spoken = [(spoken.http1.is_some(), "HTTP/1.1"), (spoken.is_http2, "HTTP/2")];
        let spoken: Vec<&str> = spoken.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        if !spoken.is_empty() {
            lines.push(format!("speaks {} in plain text{server}", spoken.join(" and ")));
        }
    }
    let requests = &results.requests;
    let asked = [
        ("a request without records", &requests.empty),
        ("the same without the key", &requests.without_key),
        ("a compressed request", &requests.compressed),
        ("one record (service logbridge-doctor)", &requests.record),
    ];
    lines.extend(
        asked.into_iter().filter_map(|(what, outcome)| Some(format!("{what}: {}", describe(outcome.as_ref()?)))),
    );
    // Names, certificates and answers are the server's.
    lines.iter().map(|line| OneLine(line).to_string()).collect()
}

fn describe_failure(failure: &ConnectFailure) -> String {
    match failure {
        ConnectFailure::Refused => "connection refused".to_owned(),
        ConnectFailure::TimedOut => "no answer to the connection".to_owned(),
        ConnectFailure::Other(why) => why.clone(),
    }
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered => "taken".to_owned(),
        Outcome::Partial { rejected: 0, message } => format!("taken, with the words {message:?}"),
        Outcome::Partial { rejected, message } => format!("taken, and {rejected} rejected: {message:?}"),
        Outcome::Refused { cause, .. } | Outcome::Retry { cause, .. } | Outcome::Unconfirmed { cause } => {
            cause.text.clone()
        }
    }
}

fn is_accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered | Outcome::Partial { .. })
}

fn cause(outcome: &Outcome) -> Option<&Cause> {
    match outcome {
        Outcome::Delivered | Outcome::Partial { .. } => None,
        Outcome::Refused { cause, .. } | Outcome::Retry { cause, .. } | Outcome::Unconfirmed { cause } => Some(cause),
    }
}

/// Everything that is to be done.
pub(super) fn findings(target: &ProbeTarget, results: &ProbeResults) -> Vec<Finding> {
    let diagnosis = Diagnosis { target, results };
    if let Some(finding) = diagnosis.connection() {
        return vec![finding];
    }
    let mut findings: Vec<Finding> = diagnosis.families().into_iter().collect();
    match diagnosis.port().or_else(|| diagnosis.request()) {
        Some(finding) => findings.push(finding),
        None => {
            findings.extend(diagnosis.record());
            findings.extend(diagnosis.compression());
            findings.extend(diagnosis.size());
            findings.extend(diagnosis.certificate_expires_soon());
        }
    }
    findings.extend(diagnosis.clock());
    findings
}

struct Diagnosis<'a> {
    target: &'a ProbeTarget,
    results: &'a ProbeResults,
}

impl Diagnosis<'_> {
    fn found(
        &self,
        kind: &'static Kind,
        severity: Severity,
        text: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        Finding::new(kind, severity, self.target.shown.clone(), text).help(help)
    }

    fn error(&self, kind: &'static Kind, text: impl Into<String>, help: impl Into<String>) -> Finding {
        self.found(kind, Severity::Error, text, help)
    }

    fn is_grpc(&self) -> bool {
        self.target.protocol == Protocol::Grpc
    }

    /// Name and addresses: nothing else was asked where there is no connection.
    fn connection(&self) -> Option<Finding> {
        let connections = &self.results.connections;
        let ProbeTarget { host, port, .. } = self.target;
        if let Some(why) = &connections.unresolved {
            let text = format!("the name `{host}` has no address: {why}");
            let help = "check the host of the endpoint; in a container, use the name of the collector's service";
            return Some(self.error(&kind::UNRESOLVED_NAME, text, help));
        }
        if connections.addresses.is_empty() || connections.first_open_address().is_some() {
            return None;
        }
        let each: Vec<String> = connections
            .addresses
            .iter()
            .map(|(a, r)| format!("{a}: {}", r.as_ref().err().map_or_else(String::new, describe_failure)))
            .collect();
        let is_refused = connections.addresses.iter().any(|(_, result)| *result == Err(ConnectFailure::Refused));
        let text = format!("no connection to port {port}: {}", each.join("; "));
        let mut help = match is_refused {
            true => "start the collector there, and let it listen on 0.0.0.0 where it is in a container of its own"
                .to_owned(),
            false => "check the address; a firewall or a network policy may swallow the packets".to_owned(),
        };
        if let Some(open) = connections.other_open_port {
            let (spoken, protocol) = if open == 4317 { ("gRPC", "grpc") } else { ("HTTP", "http/protobuf") };
            help = format!(
                "port {open} is open there, which is that of {spoken}: use it, and set OTEL_EXPORTER_OTLP_PROTOCOL={protocol}"
            );
        }
        // It opens them with the first user's team.
        if is_refused && (self.target.names_hyperdx || matches!(port, 4317 | 4318)) {
            help.push_str("; ClickStack (HyperDX) opens this port only once an ingestion key exists: create the first user in its UI");
        }
        // A program that is started here may be told otherwise where it runs.
        let severity = if self.target.is_default { Severity::Note } else { Severity::Error };
        Some(self.found(&kind::UNREACHABLE, severity, text, help))
    }

    /// Clients try both, most of them.
    fn families(&self) -> Option<Finding> {
        let closed: Vec<String> = self
            .results
            .connections
            .addresses
            .iter()
            .filter(|(_, result)| result.is_err())
            .map(|(address, _)| address.to_string())
            .collect();
        if closed.is_empty() {
            return None;
        }
        let text = format!("some addresses of `{}` are closed: {}", self.target.host, closed.join(", "));
        let help = "a client that tries only the first address fails: name one that is open, or let the collector listen on both families";
        Some(self.found(&kind::UNREACHABLE, Severity::Note, text, help))
    }

    /// What the port speaks, against what is spoken to it.
    fn port(&self) -> Option<Finding> {
        let empty = self.results.requests.empty.as_ref()?;
        if is_accepted(empty) {
            return None;
        }
        let (tls, spoken) = (self.results.tls.as_ref()?, self.results.spoken.as_ref()?);
        let is_plain = spoken.http1.is_some() || spoken.is_http2;
        if self.target.is_https && !tls.is_tls && is_plain {
            let text = "the endpoint says https, and this port speaks plain text";
            return Some(self.error(
                &kind::WRONG_SCHEME,
                text,
                "write http:// instead of https://, or name the port that speaks TLS",
            ));
        }
        // Web servers answer plain text on a port with TLS, too: by a 400.
        if !self.target.is_https && tls.is_tls && spoken.http1.as_ref().is_none_or(|head| head.status == 400) {
            let text = "the endpoint says http, and this port speaks TLS";
            return Some(self.error(&kind::WRONG_SCHEME, text, "write https:// instead of http://"));
        }
        if self.target.is_https
            && tls.is_tls
            && let Some(finding) = self.certificate(empty)
        {
            return Some(finding);
        }
        let speaks_h2_only = (spoken.is_http2 && spoken.http1.is_none())
            || (tls.is_tls
                && tls.alpn.as_deref() == Some("h2")
                && cause(empty).is_some_and(|cause| cause.kind == CauseKind::Protocol));
        if !self.is_grpc() && speaks_h2_only {
            let text = "this port speaks gRPC (HTTP/2), and HTTP/1.1 is spoken to it";
            return Some(self.error(
                &kind::WRONG_PROTOCOL,
                text,
                "use the collector's HTTP port, usually 4318, or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
            ));
        }
        let speaks_http1_only = spoken.http1.is_some() && !spoken.is_http2;
        let tls_http1_only = tls.is_tls && tls.alpn.as_deref() != Some("h2");
        if self.is_grpc() && (speaks_http1_only || (self.target.is_https && tls_http1_only)) {
            let text = "this port speaks HTTP/1.1, and gRPC (HTTP/2) is spoken to it";
            let help = "use the collector's gRPC port, usually 4317, or set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf; a proxy in between must pass HTTP/2 on";
            return Some(self.error(&kind::WRONG_PROTOCOL, text, help));
        }
        if let Some(banner) = &spoken.banner {
            let text = format!("this port speaks neither HTTP nor TLS; it says `{banner}`");
            return Some(self.error(&kind::NOT_OTLP, text, "compare host and port with those of the collector"));
        }
        None
    }

    fn certificate(&self, outcome: &Outcome) -> Option<Finding> {
        let (tls, cause) = (self.results.tls.as_ref()?, cause(outcome)?);
        let wants = tls.wants_client_certificate && !self.target.has_identity;
        if !wants && !matches!(cause.kind, CauseKind::Tls | CauseKind::TlsSetUp) {
            return None;
        }
        let own = tls.certificate.as_ref();
        let validity = own.and_then(|certificate| certificate.is_valid_at(SystemTime::now()).err());
        let issuer = own.map_or_else(String::new, |certificate| certificate.issuer.clone());
        let names = own.map_or_else(String::new, |certificate| certificate.names.join(", "));
        let text = &cause.text;
        let is_name = text.contains("NotValidForName") || text.contains("not valid for name");
        let (what, help) = if let Some(validity) = validity {
            (
                format!("the certificate cannot be used: {validity}"),
                "renew it; if it was valid just now, the clock of this machine is wrong".to_owned(),
            )
        } else if is_name {
            (
                format!("the certificate is not for `{}`: it is for {names}", self.target.host),
                "use a name of the certificate in the endpoint".to_owned(),
            )
        } else if text.contains("UnknownIssuer")
            || text.contains("unknown issuer")
            || text.contains("CaUsedAsEndEntity")
        {
            (
                format!("the certificate is by `{issuer}`, which this machine does not trust"),
                match self.target.has_stock {
                    true => "name that root in code: the stock exporter reads no variable for it".to_owned(),
                    false => "name that root in OTEL_EXPORTER_OTLP_CERTIFICATE".to_owned(),
                },
            )
        } else if wants {
            (
                "the endpoint asks for a client certificate, and there is none".to_owned(),
                match self.target.has_stock {
                    true => "give the exporter its identity in code: it reads no variable for it".to_owned(),
                    false => "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY".to_owned(),
                },
            )
        } else {
            (format!("TLS fails: {text}"), cause.kind.help().to_owned())
        };
        Some(self.error(&kind::BAD_CERTIFICATE, what, help).at(text.clone(), 0..0))
    }

    /// It ends within days.
    fn certificate_expires_soon(&self) -> Option<Finding> {
        let certificate = self.results.tls.as_ref().filter(|_| self.target.is_https)?.certificate.as_ref()?;
        let soon = SystemTime::now() + Duration::from_secs(7 * 86_400);
        let why = certificate.is_valid_at(soon).err()?.replace("it expired", "it expires");
        Some(self.found(
            &kind::BAD_CERTIFICATE,
            Severity::Warning,
            format!("the certificate ends soon: {why}"),
            "renew it",
        ))
    }

    /// What became of a request without records.
    fn request(&self) -> Option<Finding> {
        let requests = &self.results.requests;
        let empty = requests.empty.as_ref()?;
        let cause = cause(empty)?;
        let text = cause.text.clone();
        Some(match cause.kind {
            CauseKind::Auth => self.credentials(&text),
            CauseKind::NotFound | CauseKind::Unimplemented => self.path(&text),
            CauseKind::Redirect => self.error(
                &kind::WRONG_PATH,
                text,
                "write that address as the endpoint, if it is the collector; a redirect to a page to sign in means another host",
            ),
            CauseKind::NotOtlp => self.error(&kind::NOT_OTLP, text, cause.kind.help()),
            CauseKind::Timeout => self.error(
                &kind::NO_ANSWER,
                format!("it takes the connection, and gives no answer: {text}"),
                "look at the collector's own log; what is behind it may be what hangs",
            ),
            CauseKind::Proxy | CauseKind::Dns | CauseKind::Refused | CauseKind::Unreachable if self.target.proxy.is_some() => {
                self.error(&kind::BAD_PROXY, text, "check the proxy, or name the endpoint's host in NO_PROXY")
            }
            CauseKind::Tls | CauseKind::TlsSetUp | CauseKind::NotTls => self.error(&kind::BAD_CERTIFICATE, text, cause.kind.help()),
            CauseKind::Protocol | CauseKind::NotGrpc => self.error(&kind::WRONG_PROTOCOL, text, cause.kind.help()),
            // Nothing is in it: some receivers do not like that, and take records.
            CauseKind::Final if requests.record.as_ref().is_some_and(is_accepted) => return None,
            CauseKind::Busy => self.found(&kind::NOT_TAKEN, Severity::Warning, text, cause.kind.help()),
            _ => self.error(&kind::NOT_TAKEN, text, cause.kind.help()),
        })
    }

    fn credentials(&self, text: &str) -> Finding {
        let without = self.results.requests.without_key.as_ref();
        let (what, help) = match (self.target.has_key, without.is_some_and(is_accepted)) {
            (false, _) => (
                format!("it wants a key, and none is sent: {text}"),
                "set OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY, or HYPERDX_API_KEY for ClickStack",
            ),
            (true, true) => (
                format!("it refuses this key, and takes requests without one: {text}"),
                "remove the header, or write the key as the endpoint wants it",
            ),
            (true, false) => (
                format!("it refuses this key: {text}"),
                "compare the key, its header's name and a `Bearer ` in front with what the endpoint wants",
            ),
        };
        self.error(&kind::CREDENTIALS_REFUSED, what, help)
    }

    /// Scheme, host and port, without what may not be shown.
    fn origin(&self) -> &str {
        let shown = self.target.shown.as_str();
        let host = shown.find("://").map_or(0, |at| at + 3);
        let end = shown.get(host..).and_then(|rest| rest.find(['/', '?'])).map_or(shown.len(), |at| host + at);
        shown.get(..end).unwrap_or(shown)
    }

    fn path(&self, text: &str) -> Finding {
        let requests = &self.results.requests;
        if let Some((path, _)) = requests.paths.iter().find(|(_, outcome)| is_accepted(outcome)) {
            let what = format!("{text}; logs are taken at `{path}`");
            let origin = self.origin();
            let help = match path.strip_suffix("/v1/logs") {
                Some(base) => format!("write {origin}{base} as the endpoint (/v1/logs is appended)"),
                None => format!("write {origin}{path} in OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, which is used as it is"),
            };
            return self.error(&kind::WRONG_PATH, what, help);
        }
        let takes_spans = requests.spans.as_ref().is_some_and(is_accepted);
        if takes_spans || self.is_grpc() {
            let spans = if takes_spans { ", and takes spans" } else { "" };
            let what = format!("it is reached{spans}, and accepts no logs: {text}");
            return self.error(
                &kind::NO_LOGS_PIPELINE,
                what,
                "add a `logs:` pipeline to the collector, or send logs to a backend that takes them",
            );
        }
        let mut tried: Vec<&str> = requests.paths.iter().map(|(path, _)| path.as_ref()).collect();
        if requests.spans.is_some() {
            tried.push("/v1/traces for spans");
        }
        let what = match tried.is_empty() {
            true => text.to_owned(),
            false => format!("{text}; also tried: {}; none was taken", tried.join(", ")),
        };
        self.error(
            &kind::WRONG_PATH,
            what,
            "ask who runs the collector for its path; behind a proxy there may be a prefix in front of /v1/logs",
        )
    }

    /// One record, where one was sent.
    fn record(&self) -> Option<Finding> {
        match self.results.requests.record.as_ref()? {
            Outcome::Delivered => None,
            Outcome::Partial { rejected: 0, message } => Some(self.found(
                &kind::NOT_TAKEN,
                Severity::Note,
                format!("it takes a record, and says {message:?}"),
                "look at the endpoint's own log",
            )),
            Outcome::Partial { message, .. } => Some(self.found(
                &kind::NOT_TAKEN,
                Severity::Warning,
                format!("it rejects a record: {message:?}"),
                "mend what its words say",
            )),
            other => {
                let text = format!("it takes a request without records, and none with one: {}", describe(other));
                Some(self.found(&kind::NOT_TAKEN, Severity::Warning, text, "look at the endpoint's own log"))
            }
        }
    }

    fn compression(&self) -> Option<Finding> {
        let outcome = self.results.requests.compressed.as_ref().filter(|outcome| !is_accepted(outcome))?;
        let text = format!(
            "it refuses requests in {}, which the environment asks for: {}",
            self.target.compression,
            describe(outcome)
        );
        Some(self.found(&kind::ENDPOINT_LIMITS, Severity::Warning, text, "unset OTEL_EXPORTER_OTLP_COMPRESSION"))
    }

    fn size(&self) -> Option<Finding> {
        let [small, large] = self.results.requests.large.as_ref()?;
        // Only a refusal that speaks of the size.
        let refuses = |outcome: &Outcome| cause(outcome).is_some_and(|cause| matches!(cause.kind, CauseKind::TooLarge));
        let breaks =
            |outcome: &Outcome| cause(outcome).is_some_and(|cause| matches!(cause.kind, CauseKind::Interrupted));
        if refuses(small) || breaks(small) {
            let text = format!("it refuses a request of 1 MiB: {}", describe(small));
            return Some(self.found(&kind::ENDPOINT_LIMITS, Severity::Warning, text, "raise its limit, or set LOGBRIDGE_MAX_REQUEST_BYTES (OTEL_BLRP_MAX_EXPORT_BATCH_SIZE with the stock SDK) lower"));
        }
        (refuses(large) || breaks(large)).then(|| {
            let severity = if self.target.has_stock { Severity::Warning } else { Severity::Note };
            let text = format!("it refuses a request of {} MiB: {}; requests of logbridge have 4 MiB at most, those of the stock SDK have no bound", LARGE >> 20, describe(large));
            self.found(&kind::ENDPOINT_LIMITS, severity, text, "with the stock SDK, set OTEL_BLRP_MAX_EXPORT_BATCH_SIZE lower")
        })
    }

    fn clock(&self) -> Option<Finding> {
        let spoken = self.results.spoken.as_ref()?;
        let (theirs, ours) = (spoken.http1.as_ref()?.date?, spoken.received_at?);
        let (skew, word) = match ours.duration_since(theirs) {
            Ok(ahead) => (ahead, "ahead of"),
            Err(behind) => (behind.duration(), "behind"),
        };
        (skew > SKEW).then(|| {
            let text = format!("the clock here is {} s {word} that of the endpoint", skew.as_secs());
            self.found(
                &kind::CLOCK_OFF,
                Severity::Warning,
                text,
                "set the clocks (NTP): records carry this machine's time",
            )
        })
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;

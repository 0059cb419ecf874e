//! Derives findings from the results of the probes. Performs no I/O.

use std::time::{Duration, SystemTime};

use super::connect::ConnectFailure;
use super::outcome::{cause, describe, is_accepted};
use super::requests::LARGE;
use super::{ProbeResults, ProbeTarget};
use logbridge::internals::config::Protocol;
use logbridge::internals::finding::{Finding, FindingExt as _, Kind, Severity, kind, new_finding};
use logbridge::internals::transport::{CauseKind, Outcome};

/// A larger difference hides records from a search of the last minutes.
const MAX_CLOCK_SKEW: Duration = Duration::from_secs(120);

/// Returns the findings about an endpoint.
pub(super) fn findings(target: &ProbeTarget, results: &ProbeResults) -> Vec<Finding> {
    let diagnosis = Diagnosis { target, results };
    if let Some(finding) = diagnosis.no_connection() {
        return vec![finding];
    }
    let mut findings: Vec<Finding> = diagnosis.closed_addresses().into_iter().collect();
    match diagnosis.protocol_mismatch().or_else(|| diagnosis.failed_request()) {
        Some(finding) => findings.push(finding),
        None => {
            findings.extend(diagnosis.rejected_record());
            findings.extend(diagnosis.rejected_compression());
            findings.extend(diagnosis.rejected_size());
            findings.extend(diagnosis.certificate_expires_soon());
        }
    }
    findings.extend(diagnosis.clock_skew());
    findings
}

struct Diagnosis<'a> {
    target: &'a ProbeTarget,
    results: &'a ProbeResults,
}

impl Diagnosis<'_> {
    fn finding(
        &self,
        kind: &'static Kind,
        severity: Severity,
        text: impl Into<String>,
        help: impl Into<String>,
    ) -> Finding {
        new_finding(kind, severity, self.target.shown.clone(), text).help(help)
    }

    fn error(&self, kind: &'static Kind, text: impl Into<String>, help: impl Into<String>) -> Finding {
        self.finding(kind, Severity::Error, text, help)
    }

    fn is_grpc(&self) -> bool {
        self.target.protocol == Protocol::Grpc
    }

    /// Finds a name without an address and an endpoint without a connection. Nothing else was probed then.
    fn no_connection(&self) -> Option<Finding> {
        let connections = &self.results.connections;
        let ProbeTarget { host, port, .. } = self.target;
        if let Some(why) = &connections.unresolved {
            let text = format!("cannot resolve the name `{host}`: {why}");
            let help = "check the host of the endpoint; in a container, use the name of the collector's service";
            return Some(self.error(&kind::UNRESOLVED_NAME, text, help));
        }
        if connections.addresses.is_empty() || connections.first_open_address().is_some() {
            return None;
        }
        let each: Vec<String> = connections
            .addresses
            .iter()
            .map(|(a, r)| format!("{a}: {}", r.as_ref().err().map_or_else(String::new, ToString::to_string)))
            .collect();
        let is_refused = connections.addresses.iter().any(|(_, result)| *result == Err(ConnectFailure::Refused));
        let text = format!("cannot connect to port {port}: {}", each.join("; "));
        let mut help = match is_refused {
            true => "start the collector on that host; if it runs in a container of its own, let it listen on 0.0.0.0"
                .to_owned(),
            false => "check the address; a firewall or a network policy may drop the packets".to_owned(),
        };
        if let Some(open) = connections.other_open_port {
            let (transport, protocol) = if open == 4317 { ("gRPC", "grpc") } else { ("HTTP", "http/protobuf") };
            help = format!(
                "port {open}, the default for {transport}, is open: use it and set OTEL_EXPORTER_OTLP_PROTOCOL={protocol}"
            );
        }
        // ClickStack opens its ports when the first user creates a team.
        if is_refused && (self.target.names_hyperdx || matches!(port, 4317 | 4318)) {
            help.push_str(
                "; ClickStack (HyperDX) opens this port only after an ingestion key exists: create the first user in \
                 its UI",
            );
        }
        // The program may run with an environment other than this one.
        let severity = if self.target.is_default { Severity::Note } else { Severity::Error };
        Some(self.finding(&kind::UNREACHABLE, severity, text, help))
    }

    /// Finds closed addresses beside an open one. Most clients try all addresses.
    fn closed_addresses(&self) -> Option<Finding> {
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
        let text = format!("cannot connect to some addresses of `{}`: {}", self.target.host, closed.join(", "));
        let help = "a client that tries only the first address fails: set an open address, or let the collector \
                    listen on IPv4 and IPv6";
        Some(self.finding(&kind::UNREACHABLE, Severity::Note, text, help))
    }

    /// Finds a difference between the protocols of the port and the protocol that is sent to it.
    fn protocol_mismatch(&self) -> Option<Finding> {
        let empty = self.results.requests.empty.as_ref()?;
        if is_accepted(empty) {
            return None;
        }
        let (tls, plaintext) = (self.results.tls.as_ref()?, self.results.plaintext.as_ref()?);
        let is_plain = plaintext.http1.is_some() || plaintext.is_http2;
        if self.target.is_https && !tls.is_tls && is_plain {
            let text = "the endpoint is https, but this port speaks plain text";
            return Some(self.error(
                &kind::WRONG_SCHEME,
                text,
                "write http:// instead of https://, or use the port that speaks TLS",
            ));
        }
        // Web servers answer plain text on a TLS port with status 400.
        if !self.target.is_https && tls.is_tls && plaintext.http1.as_ref().is_none_or(|head| head.status == 400) {
            let text = "the endpoint is http, but this port speaks TLS";
            return Some(self.error(&kind::WRONG_SCHEME, text, "write https:// instead of http://"));
        }
        if self.target.is_https
            && tls.is_tls
            && let Some(finding) = self.invalid_certificate(empty)
        {
            return Some(finding);
        }
        let speaks_h2_only = (plaintext.is_http2 && plaintext.http1.is_none())
            || (tls.is_tls
                && tls.alpn.as_deref() == Some("h2")
                && cause(empty).is_some_and(|cause| cause.kind == CauseKind::Protocol));
        if !self.is_grpc() && speaks_h2_only {
            let text = "this port speaks gRPC (HTTP/2), but HTTP/1.1 is sent to it";
            return Some(self.error(
                &kind::WRONG_PROTOCOL,
                text,
                "use the collector's HTTP port, usually 4318, or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
            ));
        }
        let speaks_http1_only = plaintext.http1.is_some() && !plaintext.is_http2;
        let tls_http1_only = tls.is_tls && tls.alpn.as_deref() != Some("h2");
        if self.is_grpc() && (speaks_http1_only || (self.target.is_https && tls_http1_only)) {
            let text = "this port speaks HTTP/1.1, but gRPC (HTTP/2) is sent to it";
            let help = "use the collector's gRPC port, usually 4317, or set \
                        OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf; a proxy in between must forward HTTP/2";
            return Some(self.error(&kind::WRONG_PROTOCOL, text, help));
        }
        if let Some(banner) = &plaintext.banner {
            let text = format!("this port speaks neither HTTP nor TLS; it answers `{banner}`");
            return Some(self.error(&kind::NOT_OTLP, text, "check the host and port of the collector"));
        }
        None
    }

    fn invalid_certificate(&self, outcome: &Outcome) -> Option<Finding> {
        let (tls, cause) = (self.results.tls.as_ref()?, cause(outcome)?);
        let wants = tls.wants_client_certificate && !self.target.has_identity;
        if !wants && !matches!(cause.kind, CauseKind::Tls | CauseKind::TlsSetup) {
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
                format!("the certificate is invalid: {validity}"),
                "renew it, or correct the clock of this machine".to_owned(),
            )
        } else if is_name {
            (
                format!("the certificate is not valid for `{}`, only for {names}", self.target.host),
                "use a name from the certificate in the endpoint".to_owned(),
            )
        } else if text.contains("UnknownIssuer")
            || text.contains("unknown issuer")
            || text.contains("CaUsedAsEndEntity")
        {
            (
                format!("the certificate is issued by `{issuer}`, which this machine does not trust"),
                match self.target.has_stock {
                    true => "add that root in code: the stock exporter reads no environment variable for it".to_owned(),
                    false => "set OTEL_EXPORTER_OTLP_CERTIFICATE to a file with that root".to_owned(),
                },
            )
        } else if wants {
            (
                "the endpoint requires a client certificate, but none is set".to_owned(),
                match self.target.has_stock {
                    true => {
                        "set the client certificate in code: the stock exporter reads no environment variable for it"
                            .to_owned()
                    }
                    false => "set OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY".to_owned(),
                },
            )
        } else {
            (format!("TLS fails: {text}"), cause.kind.help().to_owned())
        };
        Some(self.error(&kind::BAD_CERTIFICATE, what, help).at(text.clone(), 0..0))
    }

    /// Finds a certificate that expires within a week.
    fn certificate_expires_soon(&self) -> Option<Finding> {
        let certificate = self.results.tls.as_ref().filter(|_| self.target.is_https)?.certificate.as_ref()?;
        let soon = SystemTime::now() + Duration::from_secs(7 * 86_400);
        let why = certificate.is_valid_at(soon).err()?.replace("it expired", "it expires");
        Some(self.finding(
            &kind::BAD_CERTIFICATE,
            Severity::Warning,
            format!("the certificate expires soon: {why}"),
            "renew it",
        ))
    }

    /// Finds why an empty request failed.
    fn failed_request(&self) -> Option<Finding> {
        let requests = &self.results.requests;
        let empty = requests.empty.as_ref()?;
        let cause = cause(empty)?;
        let text = cause.text.clone();
        Some(match cause.kind {
            CauseKind::Auth => self.rejected_credentials(&text),
            CauseKind::NotFound | CauseKind::Unimplemented => self.wrong_path(&text),
            CauseKind::Redirect => self.error(
                &kind::WRONG_PATH,
                text,
                "set that address as the endpoint if it is the collector; a redirect to a login page means that the \
                 host is wrong",
            ),
            CauseKind::NotOtlp => self.error(&kind::NOT_OTLP, text, cause.kind.help()),
            CauseKind::Timeout => self.error(
                &kind::NO_ANSWER,
                format!("the endpoint accepts the connection but does not answer: {text}"),
                "read the collector's own log; the backend behind it may hang",
            ),
            CauseKind::Proxy | CauseKind::Dns | CauseKind::ConnectionRefused | CauseKind::Unreachable
                if self.target.proxy.is_some() =>
            {
                self.error(&kind::BAD_PROXY, text, "check the proxy, or add the endpoint's host to NO_PROXY")
            }
            CauseKind::Tls | CauseKind::TlsSetup | CauseKind::NotTls => {
                self.error(&kind::BAD_CERTIFICATE, text, cause.kind.help())
            }
            CauseKind::Protocol | CauseKind::NotGrpc => self.error(&kind::WRONG_PROTOCOL, text, cause.kind.help()),
            // Some receivers reject a request without records but accept records.
            CauseKind::Rejected if requests.record.as_ref().is_some_and(is_accepted) => return None,
            CauseKind::Busy => self.finding(&kind::NOT_TAKEN, Severity::Warning, text, cause.kind.help()),
            _ => self.error(&kind::NOT_TAKEN, text, cause.kind.help()),
        })
    }

    fn rejected_credentials(&self, text: &str) -> Finding {
        let without = self.results.requests.without_key.as_ref();
        let (what, help) = match (self.target.has_key, without.is_some_and(is_accepted)) {
            (false, _) => (
                format!("the endpoint requires a key, but none is sent: {text}"),
                "set OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY, or HYPERDX_API_KEY for ClickStack",
            ),
            (true, true) => (
                format!("the endpoint rejects this key but accepts requests without one: {text}"),
                "remove the header, or write the key in the form that the endpoint requires",
            ),
            (true, false) => (
                format!("the endpoint rejects this key: {text}"),
                "check the key, the name of its header, and whether the endpoint requires the prefix `Bearer `",
            ),
        };
        self.error(&kind::CREDENTIALS_REFUSED, what, help)
    }

    /// Returns the scheme, host and port of the endpoint, without secrets.
    fn origin(&self) -> &str {
        let shown = self.target.shown.as_str();
        let host = shown.find("://").map_or(0, |at| at + 3);
        let end = shown.get(host..).and_then(|rest| rest.find(['/', '?'])).map_or(shown.len(), |at| host + at);
        shown.get(..end).unwrap_or(shown)
    }

    fn wrong_path(&self, text: &str) -> Finding {
        let requests = &self.results.requests;
        if let Some((path, _)) = requests.paths.iter().find(|(_, outcome)| is_accepted(outcome)) {
            let what = format!("{text}; the endpoint accepts logs at `{path}`");
            let origin = self.origin();
            let help = match path.strip_suffix("/v1/logs") {
                Some(base) => format!("set the endpoint to {origin}{base} (/v1/logs is appended)"),
                None => format!("set OTEL_EXPORTER_OTLP_LOGS_ENDPOINT to {origin}{path} (no path is appended)"),
            };
            return self.error(&kind::WRONG_PATH, what, help);
        }
        let takes_spans = requests.spans.as_ref().is_some_and(is_accepted);
        if takes_spans || self.is_grpc() {
            let spans = if takes_spans { " accepts spans but" } else { "" };
            let what = format!("the endpoint{spans} does not accept logs: {text}");
            return self.error(
                &kind::NO_LOGS_PIPELINE,
                what,
                "add a `logs:` pipeline to the collector, or send logs to a backend that accepts them",
            );
        }
        let mut tried: Vec<&str> = requests.paths.iter().map(|(path, _)| path.as_ref()).collect();
        if requests.spans.is_some() {
            tried.push("/v1/traces for spans");
        }
        let what = match tried.is_empty() {
            true => text.to_owned(),
            false => format!("{text}; these paths fail too: {}", tried.join(", ")),
        };
        self.error(
            &kind::WRONG_PATH,
            what,
            "look up the path of the collector; a proxy may require a prefix before /v1/logs",
        )
    }

    /// Finds why a record was not accepted, if one was sent.
    fn rejected_record(&self) -> Option<Finding> {
        match self.results.requests.record.as_ref()? {
            Outcome::Delivered => None,
            Outcome::Partial { rejected: 0, message } => Some(self.finding(
                &kind::NOT_TAKEN,
                Severity::Note,
                format!("the endpoint accepts a record with the message {message:?}"),
                "read the endpoint's own log",
            )),
            Outcome::Partial { message, .. } => Some(self.finding(
                &kind::NOT_TAKEN,
                Severity::Warning,
                format!("the endpoint rejects a record: {message:?}"),
                "correct what the message names",
            )),
            other => {
                let text = format!("the endpoint accepts an empty request but no record: {}", describe(other));
                Some(self.finding(&kind::NOT_TAKEN, Severity::Warning, text, "read the endpoint's own log"))
            }
        }
    }

    fn rejected_compression(&self) -> Option<Finding> {
        let outcome = self.results.requests.compressed.as_ref().filter(|outcome| !is_accepted(outcome))?;
        let text = format!(
            "the endpoint rejects requests with {} compression, which the environment sets: {}",
            self.target.compression,
            describe(outcome)
        );
        Some(self.finding(&kind::ENDPOINT_LIMITS, Severity::Warning, text, "unset OTEL_EXPORTER_OTLP_COMPRESSION"))
    }

    fn rejected_size(&self) -> Option<Finding> {
        let [small, large] = self.results.requests.large.as_ref()?;
        // Other causes of a failure are not about the size.
        let refuses = |outcome: &Outcome| cause(outcome).is_some_and(|cause| matches!(cause.kind, CauseKind::TooLarge));
        let breaks =
            |outcome: &Outcome| cause(outcome).is_some_and(|cause| matches!(cause.kind, CauseKind::Interrupted));
        if refuses(small) || breaks(small) {
            let text = format!("the endpoint rejects a request of 1 MiB: {}", describe(small));
            return Some(self.finding(
                &kind::ENDPOINT_LIMITS,
                Severity::Warning,
                text,
                "raise its limit, or lower LOGBRIDGE_MAX_REQUEST_BYTES (with the stock SDK: \
                 OTEL_BLRP_MAX_EXPORT_BATCH_SIZE)",
            ));
        }
        (refuses(large) || breaks(large)).then(|| {
            let severity = if self.target.has_stock { Severity::Warning } else { Severity::Note };
            let text = format!(
                "the endpoint rejects a request of {} MiB: {}; requests of logbridge have at most 4 MiB, those of the \
                 stock SDK are unbounded",
                LARGE >> 20,
                describe(large)
            );
            self.finding(
                &kind::ENDPOINT_LIMITS,
                severity,
                text,
                "with the stock SDK, lower OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
            )
        })
    }

    fn clock_skew(&self) -> Option<Finding> {
        let plaintext = self.results.plaintext.as_ref()?;
        let (theirs, ours) = (plaintext.http1.as_ref()?.date?, plaintext.received_at?);
        let (skew, word) = match ours.duration_since(theirs) {
            Ok(ahead) => (ahead, "ahead of"),
            Err(behind) => (behind.duration(), "behind"),
        };
        (skew > MAX_CLOCK_SKEW).then(|| {
            let text = format!("the clock of this machine is {} s {word} the endpoint's", skew.as_secs());
            self.finding(
                &kind::CLOCK_OFF,
                Severity::Warning,
                text,
                "synchronize the clocks with NTP: records carry the time of this machine",
            )
        })
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;

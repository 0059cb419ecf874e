//! The environment of the program: where its telemetry would be sent, and the variables that redirect it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use crate::command::intake::signal_url;
use logbridge::internals::config::{Environment, redact_url};
use logbridge_receiver::internals::Content;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

/// Returns the endpoint variable of one signal, which takes precedence over [`ENDPOINT`].
fn signal_endpoint_variable(content: Content) -> &'static str {
    match content {
        Content::Logs => "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        Content::Traces => "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        Content::Metrics => "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    }
}

/// Variables and values that disable the log exporter.
const DISABLING: [(&str, &str); 3] =
    [("OTEL_SDK_DISABLED", "true"), ("OTEL_LOGS_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "console")];

/// The endpoints that the environment names.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    /// The URL of each signal that has one.
    pub(super) urls: Vec<(Content, String)>,
    /// Variables with an invalid URL, with their values.
    pub(super) invalid: BTreeMap<&'static str, String>,
}

impl Endpoints {
    pub(super) fn from_environment(environment: &Environment) -> Self {
        let base = environment.first(&[ENDPOINT, "HYPERDX_API_ENDPOINT"]);
        let mut endpoints = Self::default();
        for content in Content::ALL {
            let variable = signal_endpoint_variable(content);
            let of_signal = environment.get(variable).map(|url| (variable, url, url.to_owned()));
            let general = || base.map(|(name, base)| (name, base, signal_url(base, content)));
            let Some((name, given, url)) = of_signal.or_else(general) else { continue };
            match is_endpoint(given, is_grpc(environment)) {
                true => endpoints.urls.push((content, with_scheme(url))),
                false => {
                    endpoints.invalid.insert(name, redact_url(given));
                }
            }
        }
        endpoints
    }

    /// Returns the base URL if all signals share one, otherwise the first URL.
    pub(super) fn display_url(&self) -> Option<String> {
        let (content, first) = self.urls.first()?;
        let base = first.strip_suffix(content.path()).unwrap_or(first);
        let is_shared = self.urls.iter().all(|(content, url)| signal_url(base, *content) == *url);
        Some(if is_shared { base.to_owned() } else { first.clone() })
    }
}

/// Returns whether a value is a URL or a host with a port. For gRPC, a host alone is enough.
fn is_endpoint(given: &str, is_grpc: bool) -> bool {
    let port = given.split('/').next().and_then(|place| place.rsplit_once(':')).map(|(_, port)| port);
    given.contains("://") || is_grpc || port.is_some_and(|port| port.parse::<u16>().is_ok())
}

fn is_grpc(environment: &Environment) -> bool {
    environment.get(PROTOCOL).is_some_and(|protocol| protocol.eq_ignore_ascii_case("grpc"))
}

/// Adds a scheme, which gRPC endpoints may omit.
fn with_scheme(url: String) -> String {
    if url.contains("://") { url } else { format!("http://{url}") }
}

/// Changes to the environment of the program.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) set: Vec<(&'static str, OsString)>,
    pub(super) removed: Vec<&'static str>,
}

impl Changes {
    /// Points the endpoint of the program at this command and its report at the directory `reports`.
    pub(super) fn new(environment: &Environment, [grpc, http]: [SocketAddr; 2], reports: &Path) -> Self {
        let endpoint = format!("http://{}", if is_grpc(environment) { grpc } else { http });
        let mut set = vec![(ENDPOINT, OsString::from(endpoint)), ("LOGBRIDGE_REPORT", reports.as_os_str().to_owned())];
        // A proxy could not reach the loopback address of this machine.
        for name in ["NO_PROXY", "no_proxy"] {
            let given = environment.get(name).map(|list| format!("{list},")).unwrap_or_default();
            set.push((name, format!("{given}127.0.0.1,localhost").into()));
        }
        Self { set, removed: Content::ALL.map(signal_endpoint_variable).to_vec() }
    }
}

/// Returns the variable that disables the log exporter, with its value.
pub(super) fn disabling_variable(environment: &Environment) -> Option<String> {
    let is_set =
        |(name, value): &(&str, &str)| environment.get(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    DISABLING.iter().find(|variable| is_set(variable)).map(|(name, value)| format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_keeps_its_own_endpoint() {
        let environment = Environment::from([
            (ENDPOINT, "http://all:4318/otlp"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/custom"),
        ]);
        let urls: Vec<String> =
            Endpoints::from_environment(&environment).urls.into_iter().map(|(_, url)| url).collect();
        assert_eq!(urls, ["http://all:4318/otlp/v1/logs", "http://traces/custom", "http://all:4318/otlp/v1/metrics"]);
        assert!(Endpoints::from_environment(&Environment::default()).urls.is_empty());
        let grpc = Environment::from([(ENDPOINT, "all:4317")]);
        assert_eq!(
            Endpoints::from_environment(&grpc).urls.first().map(|(_, url)| url.as_str()),
            Some("http://all:4317/v1/logs")
        );
    }

    #[test]
    fn an_invalid_url_is_not_completed() {
        let found = |value: &str, protocol: &str| {
            let environment = Environment::from([(ENDPOINT, value), (PROTOCOL, protocol)]);
            let Endpoints { urls, invalid } = Endpoints::from_environment(&environment);
            (urls.len(), invalid.get(ENDPOINT).cloned())
        };
        for word in ["nonsense", "in.example.com/otlp", "host:port", "/v1/logs"] {
            assert_eq!(found(word, ""), (0, Some(word.to_owned())));
        }
        assert_eq!(found("user:s3cret@host", ""), (0, Some("…@host".to_owned())));
        assert_eq!((found("collector:4318", ""), found("collector", "grpc")), ((3, None), (3, None)));
    }

    #[test]
    fn the_program_sees_the_port_of_its_protocol() {
        let addresses = [SocketAddr::from(([127, 0, 0, 1], 17)), SocketAddr::from(([127, 0, 0, 1], 18))];
        let seen = |environment: &Environment| Changes::new(environment, addresses, Path::new("reports")).set;
        let plain = seen(&Environment::from([("NO_PROXY", "intern")]));
        assert!(plain.contains(&(ENDPOINT, "http://127.0.0.1:18".into())), "{plain:?}");
        assert!(plain.contains(&("NO_PROXY", "intern,127.0.0.1,localhost".into())), "{plain:?}");
        assert!(plain.contains(&("LOGBRIDGE_REPORT", "reports".into())), "{plain:?}");
        let grpc = seen(&Environment::from([(PROTOCOL, "grpc")]));
        assert!(grpc.contains(&(ENDPOINT, "http://127.0.0.1:17".into())), "{grpc:?}");
    }

    #[test]
    fn the_variable_that_disables_sending_is_named() {
        let off = disabling_variable(&Environment::from([("OTEL_LOGS_EXPORTER", "none")]));
        assert_eq!(off.as_deref(), Some("OTEL_LOGS_EXPORTER=none"));
        assert_eq!(disabling_variable(&Environment::from([("OTEL_SDK_DISABLED", "false")])), None);
    }
}

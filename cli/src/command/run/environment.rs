//! What the program gets to see, and where its telemetry would have gone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use crate::command::inlet::below;
use logbridge::internals::config::{Environment, redact_url};
use logbridge_receiver::internals::Content;

/// What all signals are sent to.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

/// The variable of one signal, which wins over that of all.
fn of_signal(content: Content) -> &'static str {
    match content {
        Content::Logs => "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        Content::Traces => "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        Content::Metrics => "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    }
}

/// What switches an exporter off, with how it reads.
const SWITCHES: [(&str, &str); 3] =
    [("OTEL_SDK_DISABLED", "true"), ("OTEL_LOGS_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "console")];

/// Where the variables send each kind.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    /// Nothing where they name none.
    pub(super) urls: Vec<(Content, String)>,
    /// Variables whose value is no URL, with that value.
    pub(super) unusable: BTreeMap<&'static str, String>,
}

pub(super) fn endpoints(environment: &Environment) -> Endpoints {
    let base = environment.first(&[ENDPOINT, "HYPERDX_API_ENDPOINT"]);
    let mut endpoints = Endpoints::default();
    for content in Content::ALL {
        let exactly = environment.get(of_signal(content)).map(|url| (of_signal(content), url, url.to_owned()));
        let general = || base.map(|(name, base)| (name, base, below(base, content)));
        let Some((name, given, url)) = exactly.or_else(general) else { continue };
        match is_endpoint(given, is_grpc(environment)) {
            true => endpoints.urls.push((content, with_scheme(url))),
            false => {
                endpoints.unusable.insert(name, redact_url(given));
            }
        }
    }
    endpoints
}

/// With a scheme, or a host with its port; gRPC takes a host alone.
fn is_endpoint(given: &str, is_grpc: bool) -> bool {
    let port = given.split('/').next().and_then(|place| place.rsplit_once(':')).map(|(_, port)| port);
    given.contains("://") || is_grpc || port.is_some_and(|port| port.parse::<u16>().is_ok())
}

fn is_grpc(environment: &Environment) -> bool {
    environment.get(PROTOCOL).is_some_and(|protocol| protocol.eq_ignore_ascii_case("grpc"))
}

/// How they are called together: by what they have in common, else by the first one.
pub(super) fn shown(urls: &[(Content, String)]) -> Option<String> {
    let (content, first) = urls.first()?;
    let base = first.strip_suffix(content.path()).unwrap_or(first);
    let is_common = urls.iter().all(|(content, url)| below(base, *content) == *url);
    Some(if is_common { base.to_owned() } else { first.clone() })
}

/// gRPC's endpoints may be written without one.
fn with_scheme(url: String) -> String {
    if url.contains("://") { url } else { format!("http://{url}") }
}

/// Variables to be set, and those to be taken away.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) set: Vec<(&'static str, OsString)>,
    pub(super) removed: Vec<&'static str>,
}

/// What the program gets to see otherwise than this process: its endpoint is here, and its report goes to that directory.
pub(super) fn changes(environment: &Environment, [grpc, http]: [SocketAddr; 2], reports: &Path) -> Changes {
    let endpoint = format!("http://{}", if is_grpc(environment) { grpc } else { http });
    let mut set = vec![(ENDPOINT, OsString::from(endpoint)), ("LOGBRIDGE_REPORT", reports.as_os_str().to_owned())];
    // A proxy could not reach this machine by that name.
    for name in ["NO_PROXY", "no_proxy"] {
        let given = environment.get(name).map(|list| format!("{list},")).unwrap_or_default();
        set.push((name, format!("{given}127.0.0.1,localhost").into()));
    }
    Changes { set, removed: Content::ALL.map(of_signal).to_vec() }
}

/// The variable that keeps records in the program, if one does.
pub(super) fn switched_off(environment: &Environment) -> Option<String> {
    let said =
        |(name, value): &(&str, &str)| environment.get(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    SWITCHES.iter().find(|switch| said(switch)).map(|(name, value)| format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_goes_where_it_would_have_gone() {
        let environment = Environment::from([
            (ENDPOINT, "http://all:4318/otlp"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces/custom"),
        ]);
        let urls: Vec<String> = endpoints(&environment).urls.into_iter().map(|(_, url)| url).collect();
        assert_eq!(urls, ["http://all:4318/otlp/v1/logs", "http://traces/custom", "http://all:4318/otlp/v1/metrics"]);
        assert!(endpoints(&Environment::default()).urls.is_empty());
        let grpc = Environment::from([(ENDPOINT, "all:4317")]);
        assert_eq!(endpoints(&grpc).urls.first().map(|(_, url)| url.as_str()), Some("http://all:4317/v1/logs"));
    }

    #[test]
    fn what_is_no_url_is_not_made_one() {
        let found = |value: &str, protocol: &str| {
            let Endpoints { urls, unusable } = endpoints(&Environment::from([(ENDPOINT, value), (PROTOCOL, protocol)]));
            (urls.len(), unusable.get(ENDPOINT).cloned())
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
        let seen = |environment: &Environment| changes(environment, addresses, Path::new("reports")).set;
        let plain = seen(&Environment::from([("NO_PROXY", "intern")]));
        assert!(plain.contains(&(ENDPOINT, "http://127.0.0.1:18".into())), "{plain:?}");
        assert!(plain.contains(&("NO_PROXY", "intern,127.0.0.1,localhost".into())), "{plain:?}");
        assert!(plain.contains(&("LOGBRIDGE_REPORT", "reports".into())), "{plain:?}");
        let grpc = seen(&Environment::from([(PROTOCOL, "grpc")]));
        assert!(grpc.contains(&(ENDPOINT, "http://127.0.0.1:17".into())), "{grpc:?}");
    }

    #[test]
    fn what_switches_it_off_is_named() {
        let off = switched_off(&Environment::from([("OTEL_LOGS_EXPORTER", "none")]));
        assert_eq!(off.as_deref(), Some("OTEL_LOGS_EXPORTER=none"));
        assert_eq!(switched_off(&Environment::from([("OTEL_SDK_DISABLED", "false")])), None);
    }
}

//! What the program gets to see, and where its telemetry would have gone.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use crate::command::inlet::below;
use crate::config::Environment;
use crate::receiver::Content;

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

/// Where the variables send each kind; nothing where they name no endpoint.
pub(super) fn endpoints(environment: &Environment) -> Vec<(Content, String)> {
    let base = environment.first(&[ENDPOINT, "HYPERDX_API_ENDPOINT"]).map(|(_, base)| base);
    let url = |content: Content| {
        let exactly = environment.get(of_signal(content)).map(str::to_owned);
        exactly.or_else(|| base.map(|base| below(base, content))).map(|url| (content, with_scheme(url)))
    };
    Content::ALL.into_iter().filter_map(url).collect()
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
    let is_grpc = environment.get(PROTOCOL).is_some_and(|protocol| protocol.eq_ignore_ascii_case("grpc"));
    let endpoint = format!("http://{}", if is_grpc { grpc } else { http });
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
        let urls: Vec<String> = endpoints(&environment).into_iter().map(|(_, url)| url).collect();
        assert_eq!(urls, ["http://all:4318/otlp/v1/logs", "http://traces/custom", "http://all:4318/otlp/v1/metrics"]);
        assert!(endpoints(&Environment::default()).is_empty());
        let grpc = Environment::from([(ENDPOINT, "all:4317")]);
        assert_eq!(endpoints(&grpc).first().map(|(_, url)| url.as_str()), Some("http://all:4317/v1/logs"));
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

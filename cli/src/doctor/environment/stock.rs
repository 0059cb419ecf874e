//! Checks the variables as the stock OpenTelemetry SDK reads them, which differs from the specification and from
//! logbridge.

use super::{environment_finding, milliseconds};
use crate::doctor::project::{Facts, endpoint_in_code};
use logbridge::internals::config::{Environment, Otlp, Protocol, SettingSource, redact_url};
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind};

/// Variables whose value must be a whole number.
const NUMBERS: [&str; 5] = [
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
];

/// Returns whether the stock SDK reads a variable. Variables unrelated to logs count as read.
pub(super) fn reads(name: &str) -> bool {
    let is_foreign = ["HYPERDX_", "LOGBRIDGE_"].iter().any(|prefix| name.starts_with(prefix));
    !is_foreign && alternative(name).is_none()
}

/// Returns the alternative to a variable of the specification that the stock SDK does not read.
fn alternative(name: &str) -> Option<&'static str> {
    let is_file = ["_CERTIFICATE", "_CLIENT_KEY"].iter().any(|end| name.ends_with(end));
    match name {
        "OTEL_SDK_DISABLED" => Some("unset it, or read it in code"),
        "OTEL_LOGS_EXPORTER" => Some("build the intended exporter in code"),
        "OTEL_BLRP_EXPORT_TIMEOUT" => Some("set OTEL_EXPORTER_OTLP_TIMEOUT"),
        "OTEL_CONFIG_FILE" | "OTEL_EXPERIMENTAL_CONFIG_FILE" => Some("unset it, and set individual variables"),
        _ if name.starts_with("OTEL_EXPORTER_OTLP") && is_file => Some(
            "set roots and client certificates in code: `.with_tls_config(…)` for gRPC, or `.with_http_client(…)` \
             with your own client for HTTP",
        ),
        _ => None,
    }
}

/// Returns the OTLP settings from the environment, with the protocol that code selects.
pub(super) fn otlp(facts: &Facts<'_>) -> Otlp {
    match facts.uses.grpc && !facts.uses.http {
        true => Otlp::from_env().protocol(Protocol::Grpc),
        false => Otlp::from_env(),
    }
}

/// Returns whether a finding about how logbridge reads a variable also applies to the stock SDK.
pub(super) fn applies_to_stock(finding: &Finding) -> bool {
    let is_number = finding.code == kind::BAD_VALUE.code && NUMBERS.contains(&finding.place.as_str());
    // The stock SDK reads empty values and values in code differently.
    let is_different = [&kind::EMPTY_MASKS, &kind::SET_IN_CODE].iter().any(|kind| kind.code == finding.code);
    !is_number && !is_different
}

/// Adapts the consequence and the fix of a finding to the stock SDK.
pub(super) fn adapt(mut finding: Finding) -> Finding {
    if finding.code == kind::BAD_URL.code {
        finding.text = finding.text.replace("; it is ignored", ": the stock exporter cannot be built with it");
    }
    if finding.code == kind::SUSPICIOUS_UNIT.code {
        finding.help = Some("write milliseconds, such as 10000 for ten seconds".to_owned());
    }
    finding
}

/// Returns a line with the endpoint of logs and where it is set.
pub(super) fn describe_endpoint(facts: &Facts<'_>, by_variables: Option<(&str, SettingSource)>) -> String {
    match (endpoint_in_code(facts), by_variables) {
        (Some(url), _) => format!("logs endpoint: {} (code)", redact_url(&url)),
        (None, Some((url, source))) if source != SettingSource::BuiltIn => format!("logs endpoint: {url} ({source})"),
        (None, found) => {
            let url = found.map_or("http://localhost:4318/v1/logs", |(url, _)| url);
            format!("logs endpoint: {url} (the SDK's default; no variable sets one)")
        }
    }
}

/// Returns the name and version of the crate that reads the variables.
pub(super) fn reader(facts: &Facts<'_>) -> String {
    let otlp = facts.graph.named(&facts.build, "opentelemetry-otlp").next();
    otlp.map_or_else(|| "the stock SDK".to_owned(), |(at, _)| facts.graph.name_and_version(at))
}

/// Finds variables that the stock SDK does not read.
fn unread(environment: &Environment, facts: &Facts<'_>) -> Vec<Finding> {
    let is_read_by_code = |name: &str| facts.sources.files.iter().any(|file| file.text.contains(name));
    let unread = environment.names().filter(|name| !facts.uses.logbridge && !reads(name) && !is_read_by_code(name));
    unread
        .filter_map(|name| {
            let value = environment.get(name)?;
            let (severity, text, help) = match alternative(name) {
                // With this value, the SDK would behave the same.
                Some(_) if name == "OTEL_SDK_DISABLED" && !value.eq_ignore_ascii_case("true") => return None,
                Some(_) if name == "OTEL_LOGS_EXPORTER" && value.eq_ignore_ascii_case("otlp") => return None,
                Some(help) if matches!(name, "OTEL_SDK_DISABLED" | "OTEL_LOGS_EXPORTER") => (
                    if value.eq_ignore_ascii_case("console") { Severity::Note } else { Severity::Warning },
                    format!("{name}={value} has no effect: {} does not read it and sends anyway", reader(facts)),
                    help,
                ),
                Some(help) => {
                    let severity = if name.contains("TIMEOUT") { Severity::Note } else { Severity::Warning };
                    (severity, format!("{} does not read it", reader(facts)), help)
                }
                None if name.starts_with("HYPERDX_") => (
                    Severity::Warning,
                    "only logbridge and the SDKs of ClickStack read it, not the stock SDK".to_owned(),
                    "set OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY, and OTEL_EXPORTER_OTLP_ENDPOINT",
                ),
                None => (
                    Severity::Note,
                    "only logbridge reads it, but this project does not use logbridge".to_owned(),
                    "unset it, or use logbridge",
                ),
            };
            Some(environment_finding(&kind::NO_EFFECT, severity, name, text, help))
        })
        .collect()
}

/// Finds values that are not whole numbers, such as a number with a unit.
fn invalid_numbers(environment: &Environment, facts: &Facts<'_>) -> Vec<Finding> {
    let unread = NUMBERS.into_iter().filter_map(|name| {
        let value = environment.get(name).filter(|value| value.parse::<u64>().is_err())?;
        let text = format!("`{value}` is not a whole number, as {} requires: the default is used", reader(facts));
        let help = match name.ends_with("SIZE") {
            true => "write a whole number, such as 2048",
            false => "write milliseconds as a whole number, such as 10000",
        };
        Some(environment_finding(&kind::BAD_VALUE, Severity::Warning, name, text, help).at(value, 0..value.len()))
    });
    unread.collect()
}

/// Returns the findings that apply only to the stock SDK.
pub(super) fn check(environment: &Environment, facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if milliseconds(environment, "OTEL_BLRP_MAX_QUEUE_SIZE") == Some(0) {
        findings.push(environment_finding(
            &kind::TOO_SMALL,
            Severity::Error,
            "OTEL_BLRP_MAX_QUEUE_SIZE",
            "the stock SDK accepts a size of 0: every record is dropped, but a flush succeeds",
            "unset it: the default is 2048",
        ));
    }
    for what in ["ENDPOINT", "HEADERS"] {
        let variable = format!("OTEL_EXPORTER_OTLP_LOGS_{what}");
        let general = format!("OTEL_EXPORTER_OTLP_{what}");
        if environment.is_set_but_empty(&variable) && environment.get(&general).is_some() {
            let text = format!("it is empty, which the stock SDK reads as a value: {general} has no effect");
            findings.push(environment_finding(&kind::EMPTY_MASKS, Severity::Warning, &variable, text, "unset it"));
        }
    }
    findings.extend(unread(environment, facts));
    findings.extend(invalid_numbers(environment, facts));
    findings.extend(ignored_protocol(environment, facts));
    findings.extend(http_port(environment, facts));
    findings.extend(set_in_code(environment, facts));
    findings.extend(proxy_for_local_endpoint(environment, facts));
    findings
}

fn ignored_protocol(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    let (variable, value) = environment.first(&["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"])?;
    let (call, protocol) = match (facts.uses.http, facts.uses.grpc, value.starts_with("grpc")) {
        (true, false, true) if facts.sources.has(".with_http()") => (".with_http()", "HTTP"),
        (false, true, false) => (".with_tonic()", "gRPC"),
        _ => return None,
    };
    let place = facts.sources.place(call)?;
    let text = format!("{value} has no effect because code calls `{call}` ({place}): the protocol is {protocol}");
    Some(environment_finding(
        &kind::NO_EFFECT,
        Severity::Warning,
        variable,
        text,
        "use the same protocol in the variable and in code",
    ))
}

/// Finds the HTTP port in the environment while code selects gRPC.
fn http_port(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    let (variable, value) = environment.first(&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])?;
    if facts.uses.http || !value.trim_end_matches('/').ends_with(":4318") {
        return None;
    }
    let place = facts.sources.place(".with_tonic()")?;
    let text = format!("port 4318 is usually for HTTP, but code selects gRPC ({place})");
    Some(environment_finding(
        &kind::GRPC_PORT,
        Severity::Warning,
        variable,
        text,
        "use port 4317, or `.with_http()` in code",
    ))
}

fn set_in_code(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    let (variable, _) = environment.first(&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])?;
    let (file, at) = facts.sources.files.iter().find_map(|file| {
        let mut all = file.find("LogExporter::builder(");
        Some((file, all.find(|at| file.code(file.statement(*at)).contains(".with_endpoint("))?))
    })?;
    // Code may read the endpoint from the environment.
    if file.code(file.function(at)).contains("var(") {
        return None;
    }
    let text = format!("it has no effect because code sets the endpoint ({})", file.place(at));
    Some(environment_finding(
        &kind::SET_IN_CODE,
        Severity::Warning,
        variable,
        text,
        "remove `.with_endpoint(…)` to use the variable",
    ))
}

fn proxy_for_local_endpoint(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    if !facts.uses.http || environment.first(&["NO_PROXY", "no_proxy"]).is_some() {
        return None;
    }
    let (variable, _) = environment.first(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])?;
    let endpoint = environment.first(&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    let is_local =
        endpoint.is_none_or(|(_, url)| ["//localhost", "//127.", "//[::1]"].iter().any(|host| url.contains(host)));
    is_local.then(|| {
        let text = "the stock exporter sends requests to this machine through the proxy, which cannot reach it";
        environment_finding(&kind::BAD_PROXY, Severity::Warning, variable, text, "set NO_PROXY=localhost,127.0.0.1,::1")
    })
}

//! How the stock SDK of OpenTelemetry reads the variables, which is not always how the specification or logbridge does.

use super::{milliseconds, new_finding};
use crate::doctor::project::{Facts, endpoint_in_code};
use logbridge::internals::config::{Environment, Otlp, Protocol, Source, redact_url};
use logbridge::internals::finding::{Finding, Severity, kind};

/// Those that are whole numbers and nothing else.
const NUMBERS: [&str; 5] = [
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
];

/// Whether a variable means anything to it, or is no business of logs.
pub(super) fn reads(name: &str) -> bool {
    let is_foreign = ["HYPERDX_", "LOGBRIDGE_"].iter().any(|prefix| name.starts_with(prefix));
    !is_foreign && alternative(name).is_none()
}

/// What to do instead of setting a variable of the specification that it does not read.
fn alternative(name: &str) -> Option<&'static str> {
    let is_file = ["_CERTIFICATE", "_CLIENT_KEY"].iter().any(|end| name.ends_with(end));
    match name {
        "OTEL_SDK_DISABLED" => Some("unset it, or heed it in code"),
        "OTEL_LOGS_EXPORTER" => Some("build the exporter that is meant in code"),
        "OTEL_BLRP_EXPORT_TIMEOUT" => Some("set OTEL_EXPORTER_OTLP_TIMEOUT"),
        "OTEL_CONFIG_FILE" | "OTEL_EXPERIMENTAL_CONFIG_FILE" => Some("unset it, and set the variables one by one"),
        _ if name.starts_with("OTEL_EXPORTER_OTLP") && is_file => Some(
            "give the exporter its roots and its identity in code: `.with_tls_config(…)` for gRPC, a client of its own by \
             `.with_http_client(…)` for HTTP",
        ),
        _ => None,
    }
}

/// What is asked of code and variables together: whether gRPC is spoken, and where to.
pub(super) fn otlp(facts: &Facts<'_>) -> Otlp {
    match facts.uses.grpc && !facts.uses.http {
        true => Otlp::from_env().protocol(Protocol::Grpc),
        false => Otlp::from_env(),
    }
}

/// Whether logbridge's finding about a variable is true of it, too.
pub(super) fn applies_to_stock(finding: &Finding) -> bool {
    let is_number = finding.code == kind::BAD_VALUE.code && NUMBERS.contains(&finding.place.as_str());
    // Of what is empty it has a reading of its own.
    let is_otherwise = [&kind::EMPTY_MASKS, &kind::SET_IN_CODE].iter().any(|kind| kind.code == finding.code);
    !is_number && !is_otherwise
}

/// The same finding, with what follows here.
pub(super) fn adapted(mut finding: Finding) -> Finding {
    if finding.code == kind::BAD_URL.code {
        finding.text = finding.text.replace("; it is ignored", ": the stock exporter cannot be built with it");
    }
    if finding.code == kind::SUSPICIOUS_UNIT.code {
        finding.help = Some("write milliseconds, such as 10000 for ten seconds".to_owned());
    }
    finding
}

/// Where logs go, in so many words.
pub(super) fn describe_endpoint(facts: &Facts<'_>, by_variables: Option<(&str, Source)>) -> String {
    match (endpoint_in_code(facts), by_variables) {
        (Some(url), _) => format!("logs endpoint: {} (code)", redact_url(&url)),
        (None, Some((url, source))) if source != Source::BuiltIn => format!("logs endpoint: {url} ({source})"),
        (None, found) => {
            let url = found.map_or("http://localhost:4318/v1/logs", |(url, _)| url);
            format!("logs endpoint: {url} (the SDK's default; no variable names one)")
        }
    }
}

/// The crate whose reading this is, with its version.
pub(super) fn reader(facts: &Facts<'_>) -> String {
    let otlp = facts.graph.named(&facts.build, "opentelemetry-otlp").next();
    otlp.map_or_else(|| "the stock SDK".to_owned(), |(at, _)| facts.graph.name_and_version(at))
}

/// Variables that mean something to others, and nothing to it.
fn unread(environment: &Environment, facts: &Facts<'_>) -> Vec<Finding> {
    let is_read_by_code = |name: &str| facts.sources.files.iter().any(|file| file.text.contains(name));
    let unread = environment.names().filter(|name| !facts.uses.logbridge && !reads(name) && !is_read_by_code(name));
    unread
        .filter_map(|name| {
            let value = environment.get(name)?;
            let (severity, text, help) = match alternative(name) {
                // It goes on as it would without.
                Some(_) if name == "OTEL_SDK_DISABLED" && !value.eq_ignore_ascii_case("true") => return None,
                Some(_) if name == "OTEL_LOGS_EXPORTER" && value.eq_ignore_ascii_case("otlp") => return None,
                Some(help) if matches!(name, "OTEL_SDK_DISABLED" | "OTEL_LOGS_EXPORTER") => (
                    if value.eq_ignore_ascii_case("console") { Severity::Note } else { Severity::Warning },
                    format!("{name}={value} has no effect: {} does not read it, and sends all the same", reader(facts)),
                    help,
                ),
                Some(help) => {
                    let severity = if name.contains("TIMEOUT") { Severity::Note } else { Severity::Warning };
                    (severity, format!("{} does not read it", reader(facts)), help)
                }
                None if name.starts_with("HYPERDX_") => (
                    Severity::Warning,
                    "only logbridge and ClickStack's own SDKs read it, not the stock SDK".to_owned(),
                    "set OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY, and OTEL_EXPORTER_OTLP_ENDPOINT",
                ),
                None => (
                    Severity::Note,
                    "only logbridge reads it, which this project does not use".to_owned(),
                    "unset it, or use logbridge",
                ),
            };
            Some(new_finding(&kind::NO_EFFECT, severity, name, text, help))
        })
        .collect()
}

/// A number with a unit is none.
fn invalid_numbers(environment: &Environment, facts: &Facts<'_>) -> Vec<Finding> {
    let unread = NUMBERS.into_iter().filter_map(|name| {
        let value = environment.get(name).filter(|value| value.parse::<u64>().is_err())?;
        let text =
            format!("`{value}` is no whole number, and {} takes nothing else: its default is used", reader(facts));
        let help = match name.ends_with("SIZE") {
            true => "write a whole number, such as 2048",
            false => "write milliseconds as a whole number, such as 10000",
        };
        Some(new_finding(&kind::BAD_VALUE, Severity::Warning, name, text, help).at(value, 0..value.len()))
    });
    unread.collect()
}

/// What it makes of the variables.
pub(super) fn check(environment: &Environment, facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if milliseconds(environment, "OTEL_BLRP_MAX_QUEUE_SIZE") == Some(0) {
        findings.push(new_finding(
            &kind::TOO_SMALL,
            Severity::Error,
            "OTEL_BLRP_MAX_QUEUE_SIZE",
            "the stock SDK takes 0 at its word: every record is dropped, and a flush says that all is well",
            "unset it: the default is 2048",
        ));
    }
    for what in ["ENDPOINT", "HEADERS"] {
        let variable = format!("OTEL_EXPORTER_OTLP_LOGS_{what}");
        let general = format!("OTEL_EXPORTER_OTLP_{what}");
        if environment.is_empty_there(&variable) && environment.get(&general).is_some() {
            let text = format!("it is empty, and the stock SDK takes that for a value: {general} is not asked");
            findings.push(new_finding(&kind::EMPTY_MASKS, Severity::Warning, &variable, text, "unset it"));
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
    let (call, spoken) = match (facts.uses.http, facts.uses.grpc, value.starts_with("grpc")) {
        (true, false, true) if facts.sources.has(".with_http()") => (".with_http()", "HTTP"),
        (false, true, false) => (".with_tonic()", "gRPC"),
        _ => return None,
    };
    let place = facts.sources.place(call)?;
    let text =
        format!("it says {value}, and code says `{call}` ({place}): {spoken} is spoken, whatever the variable says");
    Some(new_finding(&kind::NO_EFFECT, Severity::Warning, variable, text, "let the variable and the code say the same"))
}

/// gRPC is spoken, since code says so, and the port is that of HTTP.
fn http_port(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    let (variable, value) = environment.first(&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])?;
    if facts.uses.http || !value.trim_end_matches('/').ends_with(":4318") {
        return None;
    }
    let place = facts.sources.place(".with_tonic()")?;
    let text = format!("port 4318 is that of HTTP, and code speaks gRPC ({place})");
    Some(new_finding(&kind::GRPC_PORT, Severity::Warning, variable, text, "use port 4317, or `.with_http()` in code"))
}

fn set_in_code(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    let (variable, _) = environment.first(&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])?;
    let (file, at) = facts.sources.files.iter().find_map(|file| {
        let mut all = file.find("LogExporter::builder(");
        Some((file, all.find(|at| file.code(file.statement(*at)).contains(".with_endpoint("))?))
    })?;
    // An endpoint that code reads from the environment is none of its own.
    if file.code(file.function(at)).contains("var(") {
        return None;
    }
    let text = format!("it has no effect: code says where logs go ({})", file.place(at));
    Some(new_finding(
        &kind::SET_IN_CODE,
        Severity::Warning,
        variable,
        text,
        "remove `.with_endpoint(…)` to have the variable decide",
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
        let text = "the stock exporter sends what is for this machine through the proxy too, which cannot reach it";
        new_finding(&kind::BAD_PROXY, Severity::Warning, variable, text, "set NO_PROXY=localhost,127.0.0.1,::1")
    })
}

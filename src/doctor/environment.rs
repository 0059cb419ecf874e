//! The stage `environment`: what the variables say, to logbridge and to the stock SDK, which reads some of them otherwise.

use super::Checkup;
use super::project::{Facts, against_crates, unset};
use crate::config::{Config, Environment, Otlp, Settings, Source};
use crate::finding::{Finding, Kind, Severity, kind};
use crate::levels::Origin;

/// What the variables, and the one who asks, say.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) checkup: Checkup,
    /// The endpoint that was asked about by hand cannot be used.
    pub(crate) problem: Option<String>,
}

/// Reads the variables as a program with logbridge does, and against the project where there is one.
pub(crate) fn examine(environment: &Environment, endpoint: Option<&str>, project: Option<&Facts<'_>>) -> Decided {
    let mut settings = Settings::default();
    if let Some(spec) = environment.get("RUST_LOG") {
        settings.read_filter("RUST_LOG", spec, Origin::Environment);
    }
    settings.otlp = endpoint.map(|url| match url.trim_end_matches('/').ends_with("/v1/logs") {
        true => Otlp::to_url(url),
        false => Otlp::to(url),
    });
    let mut checkup = Checkup { stage: "environment", ..Checkup::default() };
    let config = match settings.resolve(environment) {
        Ok(config) => config,
        Err(error) => {
            let problem = error.to_string().replacen("the OTLP endpoint given in code", "--endpoint", 1);
            return Decided { checkup, problem: Some(problem) };
        }
    };
    let applies = |finding: &&Finding| {
        // That it is asked about by hand says nothing of the program; nor does what the doctor is built without.
        let is_of_code = endpoint.is_some() && finding.code == kind::SET_IN_CODE.code;
        let is_of_doctor = finding.text.contains("is not compiled into this program");
        !is_of_code && !is_of_doctor && !project.is_some_and(|facts| is_of_http(facts, finding))
    };
    checkup.findings.extend(config.findings.iter().filter(applies).cloned());
    checkup.findings.extend(project.and_then(unset));
    checkup.findings.extend(project.and_then(|facts| nameless(environment, facts)));
    if let (Some(facts), Some(spec)) = (project, environment.get("RUST_LOG")) {
        checkup.findings.extend(against_crates(facts, "RUST_LOG", spec));
    }
    checkup.findings.extend(switched_off(environment, project));
    checkup.findings.extend(late(environment));
    if let Some(facts) = project.filter(|facts| facts.uses.stock_logs) {
        checkup.findings.extend(stock(environment, facts));
    }
    let is_stock = project.is_some_and(|facts| facts.uses.stock_logs && !facts.uses.logbridge);
    checkup.seen = seen(&config, environment, is_stock);
    Decided { checkup, problem: None }
}

/// Whether the stock SDK is told by code to speak gRPC, and the finding is about HTTP: its paths and its port.
fn is_of_http(facts: &Facts<'_>, finding: &Finding) -> bool {
    let is_grpc = facts.uses.stock_logs && !facts.uses.logbridge && facts.uses.grpc && !facts.uses.http;
    is_grpc && [&kind::DOUBLED_PATH, &kind::GRPC_PORT, &kind::MISSING_PATH].iter().any(|kind| kind.code == finding.code)
}

fn found(
    kind: &'static Kind,
    severity: Severity,
    variable: &str,
    text: impl Into<String>,
    help: impl Into<String>,
) -> Finding {
    Finding::new(kind, severity, variable, text).help(help)
}

/// A variable that says that nothing is sent: what somebody who misses logs should hear first.
fn switched_off(environment: &Environment, project: Option<&Facts<'_>>) -> Vec<Finding> {
    let uses = project.map(|facts| facts.uses).unwrap_or_default();
    let mut findings = Vec::new();
    for (variable, value) in
        ["OTEL_SDK_DISABLED", "OTEL_LOGS_EXPORTER"].into_iter().filter_map(|name| Some((name, environment.get(name)?)))
    {
        let is_off = match variable {
            "OTEL_SDK_DISABLED" => value.eq_ignore_ascii_case("true"),
            _ => value.eq_ignore_ascii_case("none"),
        };
        if !is_off {
            continue;
        }
        findings.push(match uses.stock_logs && !uses.logbridge {
            true => found(
                &kind::NO_EFFECT,
                Severity::Warning,
                variable,
                format!("{variable}={value} has no effect in a program with the stock SDK for Rust, which sends all the same"),
                "unset it, or heed it in code",
            ),
            false => found(
                &kind::SWITCHED_OFF,
                Severity::Warning,
                variable,
                format!("{variable}={value} switches the sending of logs off"),
                "unset it where logs are to be sent",
            ),
        });
    }
    findings
}

fn milliseconds(environment: &Environment, variable: &str) -> Option<u64> {
    environment.get(variable)?.parse().ok()
}

/// A record that waits for a minute is missed by those who look for it.
fn late(environment: &Environment) -> Option<Finding> {
    let variable = "OTEL_BLRP_SCHEDULE_DELAY";
    let delay = milliseconds(environment, variable).filter(|delay| *delay >= 30_000)?;
    let text = format!(
        "records wait up to {} s before they are sent: what a process that is killed had logged since is lost",
        delay / 1000
    );
    Some(found(&kind::LOST_AT_EXIT, Severity::Warning, variable, text, "unset it: the default is 1000, a second"))
}

/// What the stock SDK reads otherwise.
fn stock(environment: &Environment, facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if milliseconds(environment, "OTEL_BLRP_MAX_QUEUE_SIZE") == Some(0) {
        findings.push(found(
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
            findings.push(found(&kind::EMPTY_MASKS, Severity::Warning, &variable, text, "unset it"));
        }
    }
    if environment.get("OTEL_BLRP_EXPORT_TIMEOUT").is_some() {
        let text = "the stock SDK does not read it";
        findings.push(found(
            &kind::NO_EFFECT,
            Severity::Note,
            "OTEL_BLRP_EXPORT_TIMEOUT",
            text,
            "set OTEL_EXPORTER_OTLP_TIMEOUT",
        ));
    }
    findings.extend(ignored_protocol(environment, facts));
    findings.extend(http_port(environment, facts));
    findings.extend(hyperdx(environment, facts));
    findings.extend(set_in_code(environment, facts));
    findings.extend(proxied(environment, facts));
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
    Some(found(&kind::NO_EFFECT, Severity::Warning, variable, text, "let the variable and the code say the same"))
}

/// Neither the environment nor code says what the service is called.
fn nameless(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    let sends = facts.uses.stock_logs || facts.uses.logbridge;
    let attributes = environment.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let is_in_code = facts.sources.has_any(&["service_name(", "with_service_name(", "SERVICE_NAME"])
        || facts.sources.files.iter().any(|file| file.text.contains("\"service.name\""));
    if !sends || is_in_code || environment.get("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name=") {
        return None;
    }
    let text = "neither the environment nor code names the service: its records are those of `unknown_service:…`";
    let help = "OTEL_SERVICE_NAME=NAME, where the program is started";
    Some(found(&kind::SERVICE_UNKNOWN, Severity::Note, "OTEL_SERVICE_NAME", text, help))
}

/// gRPC is spoken, since code says so, and the port is that of HTTP.
fn http_port(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    let (variable, value) = environment.first(&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])?;
    if facts.uses.http || !value.trim_end_matches('/').ends_with(":4318") {
        return None;
    }
    let place = facts.sources.place(".with_tonic()")?;
    let text = format!("port 4318 is that of HTTP, and code speaks gRPC ({place})");
    Some(found(&kind::GRPC_PORT, Severity::Warning, variable, text, "use port 4317, or `.with_http()` in code"))
}

/// Variables of ClickStack's own SDKs, and of logbridge.
fn hyperdx(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    let (variable, _) = environment.first(&["HYPERDX_API_KEY", "HYPERDX_LOGS_APIKEY", "HYPERDX_API_ENDPOINT"])?;
    let is_read = facts.uses.logbridge || facts.sources.files.iter().any(|file| file.text.contains("HYPERDX_"));
    (!is_read).then(|| {
        let text = "the stock SDK does not read it";
        let help = "set OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY, and OTEL_EXPORTER_OTLP_ENDPOINT";
        found(&kind::NO_EFFECT, Severity::Warning, variable, text, help)
    })
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
    Some(found(
        &kind::SET_IN_CODE,
        Severity::Warning,
        variable,
        text,
        "remove `.with_endpoint(…)` to have the variable decide",
    ))
}

fn proxied(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    if !facts.uses.http || environment.first(&["NO_PROXY", "no_proxy"]).is_some() {
        return None;
    }
    let (variable, _) = environment.first(&["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])?;
    let endpoint = environment.first(&["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    let is_local =
        endpoint.is_none_or(|(_, url)| ["//localhost", "//127.", "//[::1]"].iter().any(|host| url.contains(host)));
    is_local.then(|| {
        let text = "the stock exporter sends what is for this machine through the proxy too, which cannot reach it";
        found(&kind::BAD_PROXY, Severity::Warning, variable, text, "set NO_PROXY=localhost,127.0.0.1,::1")
    })
}

/// What is decided, without a secret in it.
fn seen(config: &Config, environment: &Environment, is_stock: bool) -> Vec<String> {
    let shown = ["logs endpoint", "logs protocol", "logs timeout", "logs header", "logs proxy", "service name"];
    let mut lines: Vec<String> = config
        .settings
        .iter()
        .filter(|setting| shown.contains(&setting.name))
        // What nobody has set is in the documentation; the name of the program is here that of the doctor.
        .filter(|setting| setting.name == "logs endpoint" || setting.source != Source::BuiltIn)
        .map(|setting| format!("{}: {} ({})", setting.name, setting.value, setting.source))
        .collect();
    lines.push(match environment.get("RUST_LOG") {
        Some(spec) => format!("RUST_LOG: {spec}"),
        None => "RUST_LOG: not set".to_owned(),
    });
    if let Some(why) = config.otlp.off_because.filter(|_| !is_stock) {
        lines.push(format!("by logbridge, no logs are sent: {why}"));
    }
    lines
}

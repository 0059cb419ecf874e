//! The stage `environment`: what the variables say to the project, by the reading of what is in it: logbridge's or the stock
//! SDK's, which reads some of them otherwise.

mod filter;
mod stock;

use self::filter::Grammar;
use super::project::{Facts, rust_log_unset};
use super::{StageReport, otlp_to};
use logbridge::internals::config::{Config, Environment, Settings, Source};
use logbridge::internals::finding::{Finding, Kind, Severity, kind};
use logbridge::internals::levels::Origin;

/// What the variables, and the one who asks, say.
#[derive(Debug)]
pub(crate) struct EnvironmentReport {
    pub(crate) report: StageReport,
    /// The endpoint that was asked about by hand cannot be used.
    pub(crate) endpoint_error: Option<String>,
}

/// Whose reading of the variables counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reader {
    Logbridge,
    Stock,
    /// Nothing here sends by OTLP: only filters are read.
    FiltersOnly,
}

impl Reader {
    fn of(project: Option<&Facts<'_>>) -> Self {
        match project {
            None => Self::Logbridge,
            Some(facts) if facts.uses.logbridge => Self::Logbridge,
            Some(facts) if facts.uses.stock_logs || facts.graph.has(&facts.build, "opentelemetry-otlp") => Self::Stock,
            Some(_) => Self::FiltersOnly,
        }
    }
}

/// The variables that mean something to the project.
pub(crate) fn effective_environment(environment: &Environment, project: Option<&Facts<'_>>) -> Environment {
    match Reader::of(project) {
        Reader::Logbridge => environment.clone(),
        Reader::Stock => environment.only(stock::reads),
        Reader::FiltersOnly => environment.only(|name| name.starts_with("RUST_LOG")),
    }
}

/// Reads the variables as the project does, and as a program with logbridge where there is none.
pub(crate) fn check(
    environment: &Environment,
    endpoint: Option<&str>,
    project: Option<&Facts<'_>>,
) -> EnvironmentReport {
    let reader = Reader::of(project);
    let mut settings = Settings::default();
    let spec = environment.get("RUST_LOG");
    let grammar = Grammar::of(project);
    let mut filters = Vec::new();
    if let Some(spec) = spec {
        settings.read_filter("RUST_LOG", spec, Origin::Environment);
        // Looked at once more, by who reads it.
        settings.findings.clear();
        filters = grammar.check(spec, project);
    }
    settings.otlp = match (endpoint, project) {
        (Some(url), _) => Some(otlp_to(url)),
        (None, Some(facts)) if reader == Reader::Stock => Some(stock::otlp(facts)),
        (None, _) => None,
    };
    let read = effective_environment(environment, project);
    let mut report = StageReport { stage: "environment", ..StageReport::default() };
    let config = match settings.resolve(&read) {
        Ok(config) => config,
        Err(error) => {
            let error = error.to_string().replacen("the OTLP endpoint given in code", "--endpoint", 1);
            return EnvironmentReport { report, endpoint_error: Some(error) };
        }
    };
    let applies = |finding: &&Finding| {
        // That it is asked about by hand says nothing of the program; nor does what the doctor is built without.
        let is_of_code = endpoint.is_some() && finding.code == kind::SET_IN_CODE.code;
        let is_of_doctor = finding.text.contains("is not compiled into this program");
        let applies_to_stock = reader != Reader::Stock || stock::applies_to_stock(finding);
        applies_to_stock && !is_of_code && !is_of_doctor && !project.is_some_and(|facts| is_http_only(facts, finding))
    };
    let said = config.findings.iter().filter(applies).cloned();
    report.findings.extend(said.map(|finding| if reader == Reader::Stock { stock::adapted(finding) } else { finding }));
    report.findings.extend(project.and_then(rust_log_unset));
    report.findings.extend(project.and_then(|facts| no_service_name(environment, facts)));
    report.findings.extend(filters);
    if reader == Reader::Logbridge {
        report.findings.extend(switched_off(environment));
        report.findings.extend(no_endpoint(environment, endpoint, project));
    }
    if reader != Reader::FiltersOnly {
        report.findings.extend(long_delay(environment));
    }
    if let Some(facts) = project.filter(|facts| facts.uses.stock_logs) {
        report.findings.extend(stock::check(environment, facts));
    }
    remove_duplicates(&mut report.findings);
    report.observations = observations(&config, environment, reader, project);
    EnvironmentReport { report, endpoint_error: None }
}

/// Of two findings that have one cause, the one that names it; of one that was made for each signal, one.
fn remove_duplicates(findings: &mut Vec<Finding>) {
    let named: Vec<(&str, String)> = findings.iter().map(|finding| (finding.code, finding.place.clone())).collect();
    let has = |code: &str, place: &str| named.iter().any(|(other, at)| *other == code && at == place);
    // A URL in quotes, or with a placeholder in it, is no URL for that reason.
    findings.retain(|finding| {
        let place = finding.place.as_str();
        finding.code != kind::BAD_URL.code
            || !(has(kind::QUOTED_VALUE.code, place) || has(kind::UNEXPANDED.code, place))
    });
    let mut seen: Vec<String> = Vec::new();
    findings.retain(|finding| {
        if finding.code != kind::URL_CREDENTIALS.code {
            return true;
        }
        let is_new = !seen.contains(&finding.place);
        seen.push(finding.place.clone());
        is_new
    });
}

/// Whether the stock SDK is told by code to speak gRPC, and the finding is about HTTP: its paths and its port.
fn is_http_only(facts: &Facts<'_>, finding: &Finding) -> bool {
    let is_grpc = facts.uses.stock_logs && !facts.uses.logbridge && facts.uses.grpc && !facts.uses.http;
    is_grpc && [&kind::DOUBLED_PATH, &kind::GRPC_PORT, &kind::MISSING_PATH].iter().any(|kind| kind.code == finding.code)
}

fn new_finding(
    kind: &'static Kind,
    severity: Severity,
    variable: &str,
    text: impl Into<String>,
    help: impl Into<String>,
) -> Finding {
    Finding::new(kind, severity, variable, text).help(help)
}

/// A variable that says that nothing is sent: what somebody who misses logs should hear first.
fn switched_off(environment: &Environment) -> Vec<Finding> {
    let off =
        [("OTEL_SDK_DISABLED", "true"), ("OTEL_LOGS_EXPORTER", "none")].into_iter().filter_map(|(variable, off)| {
            let value = environment.get(variable).filter(|value| value.eq_ignore_ascii_case(off))?;
            let text = format!("{variable}={value} switches the sending of logs off");
            Some(new_finding(
                &kind::SWITCHED_OFF,
                Severity::Warning,
                variable,
                text,
                "unset it where logs are to be sent",
            ))
        });
    off.collect()
}

/// Without a variable, and without a word in code, logbridge is for the console alone.
fn no_endpoint(environment: &Environment, endpoint: Option<&str>, project: Option<&Facts<'_>>) -> Option<Finding> {
    let is_in_code = project.is_some_and(|facts| facts.sources.has_any(&["Otlp", ".otlp("]));
    if environment.mentions_opentelemetry() || endpoint.is_some() || is_in_code {
        return None;
    }
    let text = "no variable begins with OTEL_ or HYPERDX_, so logbridge sends nothing";
    let help = "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318, where the program is started";
    Some(new_finding(&kind::SWITCHED_OFF, Severity::Note, "environment", text, help))
}

fn milliseconds(environment: &Environment, variable: &str) -> Option<u64> {
    environment.get(variable)?.parse().ok()
}

/// A record that waits for a minute is missed by those who look for it.
fn long_delay(environment: &Environment) -> Option<Finding> {
    let variable = "OTEL_BLRP_SCHEDULE_DELAY";
    let delay = milliseconds(environment, variable).filter(|delay| *delay >= 30_000)?;
    let text = format!(
        "records wait up to {} s before they are sent: what a process that is killed had logged since is lost",
        delay / 1000
    );
    Some(new_finding(&kind::LOST_AT_EXIT, Severity::Warning, variable, text, "unset it: the default is 1000, a second"))
}

/// Neither the environment nor code says what the service is called.
fn no_service_name(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    let sends = facts.uses.stock_logs || facts.uses.logbridge;
    let attributes = environment.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let is_in_code = facts.sources.has_any(&["service_name(", "with_service_name(", "SERVICE_NAME"])
        || facts.sources.files.iter().any(|file| file.text.contains("\"service.name\""));
    if !sends || is_in_code || environment.get("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name=") {
        return None;
    }
    let text = "neither the environment nor code names the service: its records are those of `unknown_service:…`";
    let help = "OTEL_SERVICE_NAME=NAME, where the program is started";
    Some(new_finding(&kind::SERVICE_UNKNOWN, Severity::Note, "OTEL_SERVICE_NAME", text, help))
}

/// What is decided and by whose reading, without a secret in it.
fn observations(
    config: &Config,
    environment: &Environment,
    reader: Reader,
    project: Option<&Facts<'_>>,
) -> Vec<String> {
    let mut lines = Vec::new();
    match (reader, project) {
        (Reader::FiltersOnly, _) => lines.push("nothing here sends by OTLP: only filters are read".to_owned()),
        (Reader::Stock, Some(facts)) => lines.push(format!("as read by {}", stock::reader(facts))),
        _ => lines.push("as read by logbridge".to_owned()),
    }
    let shown = ["logs endpoint", "logs protocol", "logs timeout", "logs header", "logs proxy", "service name"];
    let endpoint = config.settings.iter().find(|setting| setting.name == "logs endpoint");
    if let (Reader::Stock, Some(facts)) = (reader, project) {
        let by_variables = endpoint.map(|setting| (setting.value.as_str(), setting.source));
        lines.push(stock::describe_endpoint(facts, by_variables));
    }
    let settings = config
        .settings
        .iter()
        .filter(|setting| shown.contains(&setting.name) && reader != Reader::FiltersOnly)
        .filter(|setting| !(setting.name == "logs endpoint" && reader == Reader::Stock))
        // What nobody has set is in the documentation; the name of the program is here that of the doctor.
        .filter(|setting| setting.name == "logs endpoint" || setting.source != Source::BuiltIn)
        .map(|setting| format!("{}: {} ({})", setting.name, setting.value, setting.source));
    lines.extend(settings);
    lines.push(match environment.get("RUST_LOG") {
        Some(spec) => format!("RUST_LOG: {spec} (as read by {})", Grammar::of(project).name()),
        None => "RUST_LOG: not set".to_owned(),
    });
    // That no variable is there is a finding.
    let is_said = !environment.mentions_opentelemetry();
    if let Some(why) = config.otlp.off_because.filter(|_| reader == Reader::Logbridge && !is_said) {
        lines.push(format!("by logbridge, no logs are sent: {why}"));
    }
    lines
}

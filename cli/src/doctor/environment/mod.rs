//! The stage `environment`: checks the environment variables as the project reads them.
//!
//! logbridge and the stock SDK interpret some variables differently.

mod filter;
mod stock;

use self::filter::Grammar;
use super::project::{Facts, rust_log_unset};
use super::{StageReport, otlp_to};
use logbridge::internals::config::{BuilderSettings, Config, Environment, SettingSource};
use logbridge::internals::finding::{Finding, FindingExt as _, Kind, Severity, kind, new_finding};

/// The result of the stage `environment`.
#[derive(Debug)]
pub(crate) struct EnvironmentReport {
    pub(crate) report: StageReport,
    /// Why the URL of `--endpoint` is invalid, if it is.
    pub(crate) endpoint_error: Option<String>,
}

/// The library that reads the environment variables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reader {
    Logbridge,
    Stock,
    /// The project exports nothing, so only filters are read.
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

/// Returns the variables that the project reads.
pub(crate) fn effective_environment(environment: &Environment, project: Option<&Facts<'_>>) -> Environment {
    match Reader::of(project) {
        Reader::Logbridge => environment.clone(),
        Reader::Stock => environment.only(stock::reads),
        Reader::FiltersOnly => environment.only(|name| name.starts_with("RUST_LOG")),
    }
}

/// Checks the variables as the project reads them. Without a project, checks them as logbridge reads them.
pub(crate) fn check(
    environment: &Environment,
    endpoint: Option<&str>,
    project: Option<&Facts<'_>>,
) -> EnvironmentReport {
    let reader = Reader::of(project);
    let mut settings = BuilderSettings::default();
    let spec = environment.get("RUST_LOG");
    let grammar = Grammar::of(project);
    let mut filters = Vec::new();
    if let Some(spec) = spec {
        // The grammar of the project checks the filter instead.
        settings.read_filter_without_lint("RUST_LOG", spec);
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
            let error = error.to_string().replacen("the OTLP endpoint set in code", "--endpoint", 1);
            return EnvironmentReport { report, endpoint_error: Some(error) };
        }
    };
    let applies = |finding: &&Finding| {
        // Findings about `--endpoint` and about the features of the doctor itself do not apply to the program.
        let is_of_code = endpoint.is_some() && finding.code == kind::SET_IN_CODE.code;
        let is_of_doctor = finding.text.contains("is not compiled into this program");
        let applies_to_stock = reader != Reader::Stock || stock::applies_to_stock(finding);
        applies_to_stock && !is_of_code && !is_of_doctor && !project.is_some_and(|facts| is_http_only(facts, finding))
    };
    let found = config.findings.iter().filter(applies).cloned();
    report.findings.extend(found.map(|finding| if reader == Reader::Stock { stock::adapt(finding) } else { finding }));
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

/// Removes a finding whose cause another finding names, and repetitions for several signals.
fn remove_duplicates(findings: &mut Vec<Finding>) {
    let named: Vec<(&str, String)> = findings.iter().map(|finding| (finding.code, finding.place.clone())).collect();
    let has = |code: &str, place: &str| named.iter().any(|(other, at)| *other == code && at == place);
    // A URL in quotes or with a placeholder is invalid only because of them.
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

/// Returns whether a finding is about the path or port of HTTP, but code selects gRPC with the stock SDK.
fn is_http_only(facts: &Facts<'_>, finding: &Finding) -> bool {
    let is_grpc = facts.uses.stock_logs && !facts.uses.logbridge && facts.uses.grpc && !facts.uses.http;
    is_grpc && [&kind::DOUBLED_PATH, &kind::GRPC_PORT, &kind::MISSING_PATH].iter().any(|kind| kind.code == finding.code)
}

fn environment_finding(
    kind: &'static Kind,
    severity: Severity,
    variable: &str,
    text: impl Into<String>,
    help: impl Into<String>,
) -> Finding {
    new_finding(kind, severity, variable, text).help(help)
}

/// Finds variables that disable the export of logs.
fn switched_off(environment: &Environment) -> Vec<Finding> {
    let off =
        [("OTEL_SDK_DISABLED", "true"), ("OTEL_LOGS_EXPORTER", "none")].into_iter().filter_map(|(variable, off)| {
            let value = environment.get(variable).filter(|value| value.eq_ignore_ascii_case(off))?;
            let text = format!("{variable}={value} disables the export of logs");
            Some(environment_finding(&kind::SWITCHED_OFF, Severity::Warning, variable, text, "unset it to export logs"))
        });
    off.collect()
}

/// Finds that neither the environment nor code sets an endpoint, so that logbridge only writes to the console.
fn no_endpoint(environment: &Environment, endpoint: Option<&str>, project: Option<&Facts<'_>>) -> Option<Finding> {
    let is_in_code = project.is_some_and(|facts| facts.sources.has_any(&["Otlp", ".otlp("]));
    if environment.mentions_opentelemetry() || endpoint.is_some() || is_in_code {
        return None;
    }
    let text = "no variable begins with OTEL_ or HYPERDX_, so logbridge sends nothing";
    let help = "set OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 for the program";
    Some(environment_finding(&kind::SWITCHED_OFF, Severity::Note, "environment", text, help))
}

fn milliseconds(environment: &Environment, variable: &str) -> Option<u64> {
    environment.get(variable)?.parse().ok()
}

/// Finds a schedule delay of at least 30 s.
fn long_delay(environment: &Environment) -> Option<Finding> {
    let variable = "OTEL_BLRP_SCHEDULE_DELAY";
    let delay = milliseconds(environment, variable).filter(|delay| *delay >= 30_000)?;
    let text = format!(
        "records wait up to {} s before they are sent, and are lost if the process is killed meanwhile",
        delay / 1000
    );
    Some(environment_finding(
        &kind::LOST_AT_EXIT,
        Severity::Warning,
        variable,
        text,
        "unset it: the default is 1000 (one second)",
    ))
}

/// Finds that neither the environment nor code sets the service name.
fn no_service_name(environment: &Environment, facts: &Facts<'_>) -> Option<Finding> {
    let sends = facts.uses.stock_logs || facts.uses.logbridge;
    let attributes = environment.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let is_in_code = facts.sources.has_any(&["service_name(", "with_service_name(", "SERVICE_NAME"])
        || facts.sources.files.iter().any(|file| file.text.contains("\"service.name\""));
    if !sends || is_in_code || environment.get("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name=") {
        return None;
    }
    let text = "neither the environment nor code sets the service name: records belong to `unknown_service:…`";
    let help = "set OTEL_SERVICE_NAME=NAME for the program";
    Some(environment_finding(&kind::SERVICE_UNKNOWN, Severity::Note, "OTEL_SERVICE_NAME", text, help))
}

/// Returns the effective settings and the library that reads them, without secrets.
fn observations(
    config: &Config,
    environment: &Environment,
    reader: Reader,
    project: Option<&Facts<'_>>,
) -> Vec<String> {
    let mut lines = Vec::new();
    match (reader, project) {
        (Reader::FiltersOnly, _) => {
            lines.push("the project exports nothing with OTLP: only filters are checked".to_owned())
        }
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
        // Defaults are documented, and the default service name would be that of the doctor.
        .filter(|setting| setting.name == "logs endpoint" || setting.source != SettingSource::BuiltIn)
        .map(|setting| format!("{}: {} ({})", setting.name, setting.value, setting.source));
    lines.extend(settings);
    lines.push(match environment.get("RUST_LOG") {
        Some(spec) => format!("RUST_LOG: {spec} (as read by {})", Grammar::of(project).name()),
        None => "RUST_LOG: unset".to_owned(),
    });
    // Without any variable, a finding says so.
    let is_found = !environment.mentions_opentelemetry();
    if let Some(why) = config.otlp.off_because.filter(|_| reader == Reader::Logbridge && !is_found) {
        lines.push(format!("logbridge exports no logs: {why}"));
    }
    lines
}

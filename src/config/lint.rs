//! Lints the environment variables, regardless of settings in code.
//!
//! Invalid values and headers are reported by the code that parses them.

use std::ops::Range;

use super::endpoint::{Endpoint, redact_url};
use super::environment::Environment;
use super::headers::is_quoted;
use super::known_variables::{VariableSupport, nearest, nearest_logbridge_variable, support_of};
use crate::finding::{Finding, Kind, Severity, kind};

const KEYS: [&str; 3] = ["HYPERDX_API_KEY", "HYPERDX_LOGS_APIKEY", "HYPERDX_TRACES_APIKEY"];
const BASES: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "HYPERDX_API_ENDPOINT"];
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

/// Variables with a URL that is used unchanged, its usual path and the variable of its protocol.
const FULL: [(&str, &str, &str); 2] = [
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "/v1/logs", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
];

/// Timeouts in milliseconds. Schedule delays are not included, because a short delay is plausible.
const TIMEOUTS: [&str; 6] = [
    "LOGBRIDGE_EXIT_TIMEOUT",
    "OTEL_BLRP_EXPORT_TIMEOUT",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
];

/// Returns the findings about the variables.
pub(crate) fn lint(environment: &Environment) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, value) in environment.all() {
        if value.is_empty() {
            findings.extend(empty_masks(environment, name));
            continue;
        }
        match support_of(name) {
            None => findings.extend(misspelt(name)),
            Some(VariableSupport::Supported) => findings.extend(
                [quoted(name, value), unexpanded(name, value), unit(name, value), key(name, value), style(name, value)]
                    .into_iter()
                    .flatten(),
            ),
            Some(used) => findings.extend(no_effect(name, value, used)),
        }
    }
    for variable in BASES {
        if let Some((value, endpoint)) = endpoint(environment, variable) {
            // With gRPC, the path is ignored.
            if !is_grpc(environment, &[PROTOCOL]) {
                findings.extend(doubled_path(variable, value, &endpoint));
            }
            findings.extend(grpc_port(environment, variable, &[PROTOCOL], value, &endpoint));
        }
    }
    for (variable, path, protocol) in FULL {
        if let Some((value, endpoint)) = endpoint(environment, variable) {
            if !is_grpc(environment, &[protocol, PROTOCOL]) {
                findings.extend(missing_path(variable, value, path, &endpoint));
            }
            findings.extend(grpc_port(environment, variable, &[protocol, PROTOCOL], value, &endpoint));
        }
    }
    findings
}

fn warning(kind: &'static Kind, variable: &str, text: impl Into<String>) -> Finding {
    Finding::new(kind, Severity::Warning, variable, text)
}

fn note(kind: &'static Kind, variable: &str, text: impl Into<String>) -> Finding {
    Finding::new(kind, Severity::Note, variable, text)
}

/// Returns whether the value of a variable may be a secret.
fn is_secret(name: &str, value: &str) -> bool {
    ["HEADERS", "KEY", "REDACT", "RESOURCE_ATTRIBUTES"].iter().any(|word| name.contains(word))
        || (name.contains("ENDPOINT") && redact_url(value) != value)
}

/// Quotes a part of the value in the finding unless it may be a secret.
fn show(finding: Finding, name: &str, value: &str, piece: Range<usize>) -> Finding {
    if is_secret(name, value) { finding } else { finding.at(value, piece) }
}

/// Proposes a corrected value unless it may be a secret.
fn propose(finding: Finding, name: &str, value: &str, corrected: String) -> Finding {
    if is_secret(name, value) { finding } else { Finding { corrected: Some(corrected), ..finding } }
}

/// Returns whether the variable holds directives, which are linted elsewhere.
fn is_filter(name: &str) -> bool {
    name.starts_with("RUST_LOG") || name.ends_with("_LEVEL")
}

fn misspelt(name: &str) -> Option<Finding> {
    let Some((meant, used)) = nearest(name) else {
        let near = nearest_logbridge_variable(name)?;
        let help = format!("the most similar variable is {near}; the README lists them all");
        return Some(warning(&kind::MISSPELT_VARIABLE, name, "logbridge has no variable of this name").help(help));
    };
    let severity = if used == VariableSupport::Supported { Severity::Warning } else { Severity::Note };
    let text = format!("it is not read; did you mean {meant}?");
    let help = format!("rename it to {meant}; names are case-sensitive");
    Some(Finding::new(&kind::MISSPELT_VARIABLE, severity, name, text).help(help))
}

fn no_effect(name: &str, value: &str, used: VariableSupport) -> Option<Finding> {
    if value.eq_ignore_ascii_case("none") {
        return None;
    }
    if used == VariableSupport::Unsupported {
        return Some(warning(&kind::NO_EFFECT, name, "it has no effect in this version of logbridge").help("unset it"));
    }
    Some(note(&kind::NO_EFFECT, name, "logbridge does not read it, but another library may"))
}

fn quoted(name: &str, value: &str) -> Option<Finding> {
    // The header parser reports quotes itself.
    if is_filter(name) || name.ends_with("HEADERS") || !is_quoted(value) {
        return None;
    }
    let finding = warning(&kind::QUOTED_VALUE, name, "its value is in quotes, which are part of the value")
        .help("remove the quotes: docker and systemd keep them");
    let inner = value.get(1..value.len() - 1).unwrap_or_default().to_owned();
    Some(propose(show(finding, name, value, 0..value.len()), name, value, inner))
}

fn unexpanded(name: &str, value: &str) -> Option<Finding> {
    // In a regular expression, `$` matches the end of the text.
    let may_have = is_filter(name) || name == "LOGBRIDGE_REDACT_VALUES";
    let piece = if may_have { None } else { placeholder(value) }?;
    let finding = warning(&kind::UNEXPANDED, name, "its value contains a placeholder that was not replaced").help(
        "write the value itself: placeholders are replaced by a shell, which does not read this file or variable",
    );
    Some(show(finding, name, value, piece))
}

/// Finds a placeholder such as `${NAME}`, `$(NAME)`, `%NAME%`, `<your-key>` or `changeme`.
fn placeholder(value: &str) -> Option<Range<usize>> {
    let between = |open: &str, close: char| {
        let start = value.find(open)?;
        let inside = value.get(start + open.len()..)?;
        let end = inside.find(close).filter(|end| *end > 0)?;
        Some(start..start + open.len() + end + close.len_utf8())
    };
    let lower = value.to_ascii_lowercase();
    let words = ["changeme", "change-me", "your-api-key", "your_api_key", "your-key", "your-ingestion-key"];
    let word = || words.iter().find_map(|word| Some((lower.find(word)?, word.len())));
    between("${", '}')
        .or_else(|| between("$(", ')'))
        .or_else(|| between("<", '>'))
        .or_else(|| percent_name(value))
        .or_else(|| word().map(|(start, length)| start..start + length))
}

/// Finds `%NAME%`. Percent-encoded text does not match, because there two hexadecimal digits follow each `%`.
fn percent_name(value: &str) -> Option<Range<usize>> {
    let is_hex = |text: &str| text.get(..2).is_some_and(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
    value.match_indices('%').find_map(|(start, _)| {
        let inside = value.get(start + 1..)?;
        let (name, rest) = inside.split_once('%')?;
        let is_name = name.len() > 2
            && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        (is_name && !is_hex(rest)).then(|| start..start + name.len() + 2)
    })
}

fn unit(name: &str, value: &str) -> Option<Finding> {
    let number: u64 = if TIMEOUTS.contains(&name) { value.parse().ok() } else { None }?;
    (1..200).contains(&number).then(|| {
        let help = format!("write {number}000 for {number} s, or {number}ms if this is intended");
        warning(&kind::SUSPICIOUS_UNIT, name, format!("{number} means {number} ms, which is very short"))
            .at(value, 0..value.len())
            .help(help)
    })
}

/// Checks RUST_LOG_STYLE. env_logger treats any unknown value as `auto`, without a warning.
fn style(name: &str, value: &str) -> Option<Finding> {
    (name == "RUST_LOG_STYLE" && !matches!(value, "auto" | "always" | "never")).then(|| {
        let text = format!("`{value}` is not a valid style; auto is used");
        warning(&kind::UNKNOWN_VALUE, name, text).at(value, 0..value.len()).help("write auto, always or never")
    })
}

fn key(name: &str, value: &str) -> Option<Finding> {
    // The code that reads the key reports line breaks.
    if !KEYS.contains(&name) || value.contains(['\r', '\n']) {
        return None;
    }
    if value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        let text = "it begins with `Bearer`, which is sent as part of the key";
        return Some(
            warning(&kind::KEY_WHITESPACE, name, text).help("write only the key, as ClickStack and HyperDX expect"),
        );
    }
    let has_space = value.contains(char::is_whitespace);
    has_space.then(|| {
        warning(&kind::KEY_WHITESPACE, name, "it contains white space, which is not valid in a key")
            .help("copy the ingestion key again")
    })
}

/// Reports an empty variable for one signal, which hides the general one in other SDKs.
fn empty_masks(environment: &Environment, name: &str) -> Option<Finding> {
    let general = if name == "HYPERDX_LOGS_APIKEY" || name == "HYPERDX_TRACES_APIKEY" {
        "HYPERDX_API_KEY".to_owned()
    } else {
        let what =
            ["LOGS_", "TRACES_"].iter().find_map(|s| name.strip_prefix("OTEL_EXPORTER_OTLP_")?.strip_prefix(s))?;
        format!("OTEL_EXPORTER_OTLP_{what}")
    };
    environment.get(&general)?;
    support_of(&general)?;
    let text = format!("it is empty, which counts as unset, so {general} applies");
    Some(note(&kind::EMPTY_MASKS, name, text).help("unset it: in some other SDKs, it hides the general variable"))
}

fn endpoint<'a>(environment: &'a Environment, variable: &str) -> Option<(&'a str, Endpoint)> {
    let value = environment.get(variable)?;
    Some((value, Endpoint::from_full(value).ok()?))
}

fn doubled_path(variable: &str, value: &str, endpoint: &Endpoint) -> Option<Finding> {
    let path = endpoint.uri().path().trim_end_matches('/');
    let signal = ["/v1/logs", "/v1/traces", "/v1/metrics"].into_iter().find(|signal| path.ends_with(signal))?;
    let text =
        format!("it ends in {signal}, but the path of each signal is appended, so requests go to {signal}/v1/logs");
    let finding = warning(&kind::DOUBLED_PATH, variable, text).help("write the base URL");
    let start = value.rfind(signal)?;
    let base = value.get(..start).unwrap_or_default().to_owned();
    Some(propose(show(finding, variable, value, start..start + signal.len()), variable, value, base))
}

fn missing_path(variable: &str, value: &str, path: &str, endpoint: &Endpoint) -> Option<Finding> {
    if !matches!(endpoint.uri().path(), "" | "/") {
        return None;
    }
    let text = format!("it has no path and is used unchanged, so nothing is sent to {path}");
    let finding = warning(&kind::MISSING_PATH, variable, text).help("write the complete URL");
    let whole = format!("{}{path}", value.trim_end_matches('/'));
    Some(propose(show(finding, variable, value, 0..value.len()), variable, value, whole))
}

/// Returns whether the first variable that is set selects gRPC.
fn is_grpc(environment: &Environment, protocols: &[&'static str]) -> bool {
    environment.first(protocols).is_some_and(|(_, protocol)| protocol.eq_ignore_ascii_case("grpc"))
}

fn grpc_port(
    environment: &Environment,
    variable: &str,
    protocols: &[&'static str],
    value: &str,
    endpoint: &Endpoint,
) -> Option<Finding> {
    let protocol = environment.first(protocols);
    let (port, finding) = match (endpoint.uri().port_u16()?, is_grpc(environment, protocols)) {
        (4317, false) => {
            let is_json = protocol.is_some_and(|(_, protocol)| protocol.eq_ignore_ascii_case("http/json"));
            let protocol_name = if is_json { "http/json" } else { "http/protobuf" };
            let text = format!("port 4317 is usually for gRPC, but {protocol_name} is sent to it");
            let help =
                "use the collector's HTTP port, which is usually 4318, or set OTEL_EXPORTER_OTLP_PROTOCOL to grpc";
            (":4317", warning(&kind::GRPC_PORT, variable, text).help(help))
        }
        (4318, true) => {
            let named = protocol.map_or(PROTOCOL, |(name, _)| name);
            let text = format!("port 4318 is usually for HTTP, but {named} is grpc");
            (":4318", warning(&kind::GRPC_PORT, variable, text).help(format!("set {named} to http/protobuf")))
        }
        _ => return None,
    };
    let start = value.find(port)?;
    Some(show(finding, variable, value, start..start + port.len()))
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;

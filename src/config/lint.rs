//! What looks wrong in the environment: pure over the variables, whatever code says.
//!
//! What cannot be used at all is found where it is read, and headers too, since they are read piece by piece.

use std::ops::Range;

use super::endpoint::{Endpoint, redact_url};
use super::environment::Environment;
use super::headers::is_quoted;
use super::known_variables::{VariableSupport, nearest, nearest_of_ours, support_of};
use crate::finding::{Finding, Kind, Severity, kind};

const KEYS: [&str; 3] = ["HYPERDX_API_KEY", "HYPERDX_LOGS_APIKEY", "HYPERDX_TRACES_APIKEY"];
const BASES: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "HYPERDX_API_ENDPOINT"];
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

/// URLs that are used as they are, the path that is usual there, and the variable of the protocol.
const FULL: [(&str, &str, &str); 2] = [
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "/v1/logs", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
];

/// Times for one thing, in milliseconds. A delay between two batches may well be short.
const TIMEOUTS: [&str; 6] = [
    "LOGBRIDGE_EXIT_TIMEOUT",
    "OTEL_BLRP_EXPORT_TIMEOUT",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
];

/// Everything that deserves a look in the variables themselves.
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
            // gRPC has no path, and leaves out what stands there.
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

/// Whether the value may be shown nowhere.
fn is_secret(name: &str, value: &str) -> bool {
    ["HEADERS", "KEY", "REDACT", "RESOURCE_ATTRIBUTES"].iter().any(|word| name.contains(word))
        || (name.contains("ENDPOINT") && redact_url(value) != value)
}

/// Shows the value, or a piece of it, where that is no secret.
fn show(finding: Finding, name: &str, value: &str, piece: Range<usize>) -> Finding {
    if is_secret(name, value) { finding } else { finding.at(value, piece) }
}

/// Proposes a value, where that is no secret.
fn propose(finding: Finding, name: &str, value: &str, corrected: String) -> Finding {
    if is_secret(name, value) { finding } else { Finding { corrected: Some(corrected), ..finding } }
}

/// Filters have a linter of their own.
fn is_filter(name: &str) -> bool {
    name.starts_with("RUST_LOG") || name.ends_with("_LEVEL")
}

fn misspelt(name: &str) -> Option<Finding> {
    let Some((meant, used)) = nearest(name) else {
        let near = nearest_of_ours(name)?;
        let help = format!("{near} is the nearest that there is; the README lists them all");
        return Some(warning(&kind::MISSPELT_VARIABLE, name, "logbridge has no variable of that name").help(help));
    };
    let severity = if used == VariableSupport::Supported { Severity::Warning } else { Severity::Note };
    let text = format!("it is not read; did you mean {meant}?");
    let help = format!("rename it to {meant}: names are compared letter by letter, and case counts");
    Some(Finding::new(&kind::MISSPELT_VARIABLE, severity, name, text).help(help))
}

fn no_effect(name: &str, value: &str, used: VariableSupport) -> Option<Finding> {
    if value.eq_ignore_ascii_case("none") {
        return None;
    }
    if used == VariableSupport::Unsupported {
        return Some(warning(&kind::NO_EFFECT, name, "it has no effect in this version of logbridge").help("unset it"));
    }
    Some(note(&kind::NO_EFFECT, name, "logbridge does not read it; another library may"))
}

fn quoted(name: &str, value: &str) -> Option<Finding> {
    // A quote in a list of headers is found where that is read.
    if is_filter(name) || name.ends_with("HEADERS") || !is_quoted(value) {
        return None;
    }
    let finding = warning(&kind::QUOTED_VALUE, name, "its value is in quotes, and they are read as a part of it")
        .help("remove the quotes: docker and systemd keep them");
    let inner = value.get(1..value.len() - 1).unwrap_or_default().to_owned();
    Some(propose(show(finding, name, value, 0..value.len()), name, value, inner))
}

fn unexpanded(name: &str, value: &str) -> Option<Finding> {
    // In a regular expression, `$` is the end of the text.
    let may_have = is_filter(name) || name == "LOGBRIDGE_REDACT_VALUES";
    let piece = if may_have { None } else { placeholder(value) }?;
    let finding = warning(&kind::UNEXPANDED, name, "its value has a placeholder in it that nothing has filled in")
        .help("write the value itself: only a shell fills in variables, and only some files are read by one");
    Some(show(finding, name, value, piece))
}

/// Where a placeholder stands: `${NAME}`, `$(NAME)`, `%NAME%`, `<your-key>`, `changeme`.
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

/// `%NAME%`, which is no text with percent-encoding in it: there, two digits follow each `%`.
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
        let help = format!("write {number}000 for {number} s, or {number}ms to say that it is meant");
        warning(&kind::SUSPICIOUS_UNIT, name, format!("{number} means {number} ms, which is very short"))
            .at(value, 0..value.len())
            .help(help)
    })
}

/// env_logger takes any other word for `auto`, without a word.
fn style(name: &str, value: &str) -> Option<Finding> {
    (name == "RUST_LOG_STYLE" && !matches!(value, "auto" | "always" | "never")).then(|| {
        let text = format!("`{value}` is none of its words, and counts as auto");
        warning(&kind::UNKNOWN_VALUE, name, text).at(value, 0..value.len()).help("write auto, always or never")
    })
}

fn key(name: &str, value: &str) -> Option<Finding> {
    // A line break cannot be sent: that is found where the key is read.
    if !KEYS.contains(&name) || value.contains(['\r', '\n']) {
        return None;
    }
    if value.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("bearer ")) {
        let text = "it begins with `Bearer`, which is sent as part of the key";
        return Some(
            warning(&kind::KEY_WHITESPACE, name, text).help("write the key alone, as ClickStack and HyperDX want it"),
        );
    }
    let has_space = value.contains(char::is_whitespace);
    has_space.then(|| {
        warning(&kind::KEY_WHITESPACE, name, "it has white space inside, which no key has")
            .help("copy the ingestion key again")
    })
}

/// A variable without a value masks the general one in other implementations.
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
    let text = format!("it is empty, which counts as unset: {general} applies");
    Some(note(&kind::EMPTY_MASKS, name, text).help("unset it: in some other SDKs it hides the general one"))
}

fn endpoint<'a>(environment: &'a Environment, variable: &str) -> Option<(&'a str, Endpoint)> {
    let value = environment.get(variable)?;
    Some((value, Endpoint::from_full(value).ok()?))
}

fn doubled_path(variable: &str, value: &str, endpoint: &Endpoint) -> Option<Finding> {
    let path = endpoint.uri().path().trim_end_matches('/');
    let signal = ["/v1/logs", "/v1/traces", "/v1/metrics"].into_iter().find(|signal| path.ends_with(signal))?;
    let text = format!("it ends in {signal}, and the path of each signal is appended: posts go to {signal}/v1/logs");
    let finding = warning(&kind::DOUBLED_PATH, variable, text).help("write the base URL");
    let start = value.rfind(signal)?;
    let base = value.get(..start).unwrap_or_default().to_owned();
    Some(propose(show(finding, variable, value, start..start + signal.len()), variable, value, base))
}

fn missing_path(variable: &str, value: &str, path: &str, endpoint: &Endpoint) -> Option<Finding> {
    if !matches!(endpoint.uri().path(), "" | "/") {
        return None;
    }
    let text = format!("it has no path, and is used as it is: nothing is posted to {path}");
    let finding = warning(&kind::MISSING_PATH, variable, text).help("write the whole URL");
    let whole = format!("{}{path}", value.trim_end_matches('/'));
    Some(propose(show(finding, variable, value, 0..value.len()), variable, value, whole))
}

/// Whether the first of these variables that has a value says gRPC.
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
            let spoken = if is_json { "http/json" } else { "http/protobuf" };
            let text = format!("port 4317 is that of gRPC, and {spoken} is sent to it");
            let help =
                "use the collector's HTTP port, which is usually 4318, or set OTEL_EXPORTER_OTLP_PROTOCOL to grpc";
            (":4317", warning(&kind::GRPC_PORT, variable, text).help(help))
        }
        (4318, true) => {
            let named = protocol.map_or(PROTOCOL, |(name, _)| name);
            let text = format!("port 4318 is that of HTTP, and {named} says grpc");
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

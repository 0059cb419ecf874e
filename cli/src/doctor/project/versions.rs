//! Rules about duplicate, incompatible and faulty versions of crates.

use semver::{Version, VersionReq};

use super::Facts;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind, new_finding};

/// Crates with global state, which two copies do not share, and the consequence.
const GLOBAL_STATE: [(&str, &str); 5] = [
    ("log", "records of one copy never reach the logger of the other"),
    ("opentelemetry", "logs of one copy do not see the spans of the other, so they have no trace id"),
    ("opentelemetry_sdk", "a provider of one copy does not serve the other"),
    ("tracing", "events of one copy never reach the subscriber of the other"),
    ("tracing-core", "events of one copy never reach the subscriber of the other"),
];

pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let duplicate_of = |names: &[&str]| {
        GLOBAL_STATE.iter().filter(|(name, _)| names.contains(name)).find_map(|(name, why)| duplicate(facts, name, why))
    };
    // Related crates are duplicated together, so only the first one is reported.
    let mut findings: Vec<Finding> = [
        duplicate_of(&["log"]),
        duplicate_of(&["opentelemetry", "opentelemetry_sdk"]).or_else(|| mismatched_layer(facts)),
        duplicate_of(&["tracing", "tracing-core"]),
    ]
    .into_iter()
    .flatten()
    .collect();
    findings.extend(known_bad(facts));
    findings
}

fn duplicate(facts: &Facts<'_>, name: &str, why: &str) -> Option<Finding> {
    let mut found: Vec<(usize, Version, Option<String>)> = facts
        .graph
        .named(&facts.build, name)
        // `log` 0.3 forwards to 0.4.
        .filter(|(_, package)| !(name == "log" && package.version.minor < 4))
        .map(|(at, package)| (at, package.version.clone(), package.source.clone()))
        .collect();
    found.sort_by(|a, b| a.1.cmp(&b.1));
    let (oldest, version, source) = found.first().filter(|_| found.len() > 1)?.clone();
    let (_, newest, other) = found.last()?.clone();
    let ways: Vec<String> = found.iter().map(|(at, ..)| facts.graph.dependency_path(&facts.build, *at)).collect();
    let by: Vec<String> = facts.build.dependents(oldest).map(|at| facts.graph.name_and_version(at)).collect();
    let by = if by.is_empty() { "the project".to_owned() } else { by.join(", ") };
    let what = match version == newest {
        true => format!(
            "`{name}` {version} is in the build twice, from {} and from {}",
            describe_source(source.as_deref()),
            describe_source(other.as_deref())
        ),
        false => format!("`{name}` is in the build in {} versions, {version} by {by}", found.len()),
    };
    let text = format!("{what}: {why}");
    let help = match version == newest {
        true => format!("use one source for `{name}` everywhere, for example with [patch.crates-io]"),
        false => format!(
            "upgrade {by} to a version that uses `{name}` {newest}, or downgrade the others: `cargo tree -i \
             {name}@{version}`"
        ),
    };
    Some(
        new_finding(&kind::TWO_VERSIONS, Severity::Warning, format!("crate {name}"), text)
            .at(ways.join("; "), 0..0)
            .help(help),
    )
}

/// Returns whether a source is crates.io.
fn is_crates_io(source: &str) -> bool {
    let source: Result<cargo_metadata::Source, _> = serde_json::from_value(source.into());
    source.is_ok_and(|source| source.is_crates_io())
}

fn describe_source(source: Option<&str>) -> String {
    match source {
        None => "a path".to_owned(),
        Some(source) if is_crates_io(source) => "crates.io".to_owned(),
        Some(source) => {
            let url = source.split_once('+').map_or(source, |(_, url)| url);
            logbridge::internals::config::redact_url(url.split(['?', '#']).next().unwrap_or_default()).to_string()
        }
    }
}

/// Finds a tracing-opentelemetry for another opentelemetry. Its minor version is greater by one.
fn mismatched_layer(facts: &Facts<'_>) -> Option<Finding> {
    let sdk = facts.graph.named(&facts.build, "opentelemetry_sdk").map(|(_, package)| package.version.clone()).max()?;
    let (at, layer) = facts
        .graph
        .named(&facts.build, "tracing-opentelemetry")
        .find(|(_, package)| package.version.major == 0 && sdk.major == 0 && package.version.minor != sdk.minor + 1)?;
    let text = format!(
        "tracing-opentelemetry {} is for opentelemetry 0.{}, but the SDK is {sdk}: logs do not see its spans, so they \
         have no trace id",
        layer.version,
        layer.version.minor.saturating_sub(1)
    );
    let help = format!("use tracing-opentelemetry 0.{} with opentelemetry 0.{}", sdk.minor + 1, sdk.minor);
    Some(
        new_finding(&kind::TWO_VERSIONS, Severity::Warning, "crate tracing-opentelemetry", text)
            .at(facts.graph.dependency_path(&facts.build, at), 0..0)
            .help(help),
    )
}

/// Versions of a package with a known fault.
struct KnownBad {
    package: &'static str,
    versions: &'static str,
    /// Whether it matters only if the stock SDK exports logs.
    stock_only: bool,
    severity: Severity,
    problem: &'static str,
    help: &'static str,
}

const KNOWN_BAD: [KnownBad; 8] = [
    KnownBad {
        package: "opentelemetry_sdk",
        versions: ">=0.27, <0.30",
        stock_only: true,
        severity: Severity::Warning,
        problem: "the stack may overflow when the queue is full, or at the end of the process",
        help: "upgrade to 0.33",
    },
    KnownBad {
        package: "opentelemetry_sdk",
        versions: "<0.33",
        stock_only: true,
        severity: Severity::Warning,
        problem: "a flush or shutdown may lose the records that were queued just before it",
        help: "upgrade to 0.33",
    },
    KnownBad {
        package: "opentelemetry-otlp",
        versions: ">=0.30, <0.32",
        stock_only: true,
        severity: Severity::Warning,
        problem: "with both of its reqwest features enabled, it has no HTTP client",
        help: "upgrade to 0.33",
    },
    KnownBad {
        package: "opentelemetry-otlp",
        versions: "<0.29",
        stock_only: true,
        severity: Severity::Warning,
        problem: "it reads OTEL_EXPORTER_OTLP_TIMEOUT in seconds instead of milliseconds, and sends each request only \
                  once",
        help: "upgrade to 0.33",
    },
    KnownBad {
        package: "opentelemetry-otlp",
        versions: "<0.32",
        stock_only: true,
        severity: Severity::Warning,
        problem: "without its TLS features, gRPC to https:// is sent in plain text; each request is sent only once",
        help: "upgrade to 0.33",
    },
    KnownBad {
        package: "opentelemetry-otlp",
        versions: "<0.33",
        stock_only: true,
        severity: Severity::Warning,
        problem: "it sends each request only once: every batch is lost while a collector restarts",
        help: "upgrade to 0.33",
    },
    KnownBad {
        package: "tracing-core",
        versions: "=0.1.24",
        stock_only: false,
        severity: Severity::Warning,
        problem: "events are lost if a subscriber was set early",
        help: "run `cargo update -p tracing-core`",
    },
    KnownBad {
        package: "tracing-subscriber",
        versions: "<0.3.0",
        stock_only: false,
        severity: Severity::Note,
        problem: "layers of tracing-opentelemetry and of the appenders need 0.3",
        help: "upgrade to 0.3",
    },
];

fn known_bad(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut reported: Vec<usize> = Vec::new();
    for bad in KNOWN_BAD.iter().filter(|bad| facts.uses.stock_logs || !bad.stock_only) {
        let Ok(requirement) = VersionReq::parse(bad.versions) else { continue };
        for (at, package) in facts.graph.named(&facts.build, bad.package) {
            // The list is ordered: only the worst problem of a package is reported.
            if !requirement.matches(&package.version) || reported.contains(&at) {
                continue;
            }
            reported.push(at);
            let text = format!("{} {}: {}", package.name, package.version, bad.problem);
            findings.push(
                new_finding(&kind::KNOWN_BAD_VERSION, bad.severity, format!("crate {}", package.name), text)
                    .at(facts.graph.dependency_path(&facts.build, at), 0..0)
                    .help(bad.help),
            );
        }
    }
    findings
}

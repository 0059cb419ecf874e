//! Rules about filters in code, and about RUST_LOG compared with the crates of the build.

use std::collections::BTreeSet;

use strsim::levenshtein;

use super::Facts;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind, new_finding};
use logbridge::internals::levels::parse;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(filter_in_code(facts));
    findings.extend(filter_as_layer(facts));
    findings
}

/// Finds a filter in code in a program that does not read RUST_LOG.
fn filter_in_code(facts: &Facts<'_>) -> Option<Finding> {
    let reads = [
        "from_default_env",
        "try_from_default_env",
        "from_env",
        "try_from_env",
        "from_env_lossy",
        "env_logger",
        "logbridge",
    ];
    let set = facts.environment.get("RUST_LOG");
    if facts.sources.has_any(&reads) || facts.sources.files.iter().any(|file| file.text.contains("RUST_LOG")) {
        return None;
    }
    let words = ["EnvFilter::new(", "EnvFilter::builder()", "Targets::new()", "with_max_level("];
    let (file, at) = facts
        .sources
        .files
        .iter()
        .find_map(|file| Some((file, words.iter().find_map(|word| file.find(word).next())?)))?;
    // A filter in a variable may come from the environment.
    let statement = file.statement(at);
    file.text_after(statement, "EnvFilter::new(")
        .or_else(|| file.code(at..at + 40).contains("LevelFilter::").then_some(""))?;
    let (severity, text) = match set {
        Some(_) => (Severity::Warning, "the filter is set in code, so RUST_LOG, which is set, has no effect"),
        None => (Severity::Note, "the filter is set in code, and RUST_LOG is not read"),
    };
    Some(new_finding(&kind::FILTER_IN_CODE, severity, file.place(at), text).at(file.line(at), 0..0).help(
        "to read RUST_LOG: `EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy()`",
    ))
}

/// Finds that RUST_LOG is unset, and names the levels that pass by default.
pub(crate) fn rust_log_unset(facts: &Facts<'_>) -> Option<Finding> {
    if facts.environment.get("RUST_LOG").is_some() {
        return None;
    }
    let words = [
        ("EnvFilter::from_default_env()", "lets only errors pass"),
        ("EnvFilter::builder().from_env_lossy()", "lets nothing pass"),
        ("env_logger::init()", "lets only errors pass"),
        ("logbridge::init()", "lets only warnings and errors pass"),
    ];
    let (file, at, what) = facts
        .sources
        .files
        .iter()
        .find_map(|file| words.iter().find_map(|(word, what)| Some((file, file.find(word).next()?, *what))))?;
    let text = format!("it is unset: without it, the filter at {} {what}", file.place(at));
    Some(new_finding(&kind::ROOT_NOT_SET, Severity::Note, "RUST_LOG", text).help("set RUST_LOG=info for the program"))
}

/// Finds a filter that is added as a layer and thus applies to all layers.
fn filter_as_layer(facts: &Facts<'_>) -> Option<Finding> {
    if !facts.uses.tracing_bridge || !facts.sources.has(".with_filter(") {
        return None;
    }
    let (file, at) = facts.sources.files.iter().find_map(|file| {
        let at = [".with(EnvFilter::", ".with(LevelFilter::", ".with(env_filter)"]
            .iter()
            .find_map(|word| file.find(word).next())?;
        Some((file, at))
    })?;
    let text = "a filter that is added as a layer applies to all layers, whatever their own filters: the records it \
                filters are not sent";
    Some(
        file.finding(at, &kind::FILTER_IN_CODE, Severity::Note, text)
            .help("add it to the layer that it is meant for: `layer.with_filter(…)`"),
    )
}

/// Compares the targets of directives with the crates of the build.
pub(crate) fn check_targets(facts: &Facts<'_>, variable: &str, spec: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut names: BTreeSet<String> = facts.active().map(|(_, package)| package.name.replace('-', "_")).collect();
    let mut own: BTreeSet<String> = BTreeSet::new();
    for package in facts.graph.members.iter().filter_map(|at| facts.graph.packages.get(*at)) {
        own.insert(package.name.replace('-', "_"));
        own.extend(package.targets.iter().map(|target| target.name.replace('-', "_")));
    }
    names.extend(own.iter().cloned());
    let parsed = parse(spec);
    let exact: BTreeSet<String> = parsed.directives().map(|directive| directive.target.clone()).collect();
    for (directive, bytes) in &parsed.located {
        let target = directive.target.as_str();
        let first = target.split(':').next().unwrap_or_default();
        // The linter of the filter finds a `-`.
        if first.is_empty() || first.contains('-') {
            continue;
        }
        let level = directive.threshold.to_string();
        let is_strict = ["off", "error", "warn"].contains(&level.to_ascii_lowercase().as_str());
        let hidden: Vec<&String> = own
            .iter()
            .filter(|name| {
                name.len() > target.len()
                    && name.starts_with(target)
                    && !exact.contains(*name)
                    && !name[target.len()..].starts_with("::")
            })
            .collect();
        if let (true, [name, ..]) = (is_strict && !own.contains(first), hidden.as_slice()) {
            let text = format!(
                "`{target}` matches every target with this prefix, so it hides `{name}`, a crate of this project"
            );
            findings.push(
                new_finding(&kind::PREFIX, Severity::Warning, variable, text)
                    .at(spec, bytes.clone())
                    .help(format!("add a directive for that crate: `{spec},{name}=info`")),
            );
            continue;
        }
        let begins_some = names.iter().any(|name| name.starts_with(first) || first == name);
        // LogTracer forwards all records with the target `log`. `panic` and `audit` are common custom targets.
        if begins_some
            || ["log", "panic", "audit"].contains(&first)
            || facts.sources.files.iter().any(|file| file.text.contains(&format!("\"{first}")))
        {
            continue;
        }
        // One character is wrong, missing or extra. Shorter names would match by chance.
        let nearest = names.iter().find(|name| name.len() >= 3 && levenshtein(name, first) == 1);
        let text =
            format!("`{first}` is not a crate of this project or of its dependencies, so the directive has no effect");
        // Several programs may share a filter with targets that only some of them have.
        let severity = if nearest.is_some() { Severity::Warning } else { Severity::Note };
        let help = match nearest {
            Some(name) => format!("write `{name}`"),
            None => "write the name of a crate as in code (`my_crate`), or a `target:` that code sets".to_owned(),
        };
        findings.push(new_finding(&kind::MATCHES_NOTHING, severity, variable, text).at(spec, bytes.clone()).help(help));
    }
    findings
}

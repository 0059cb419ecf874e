//! Rules about the bridges between `log`, `tracing` and the OpenTelemetry SDK.

use super::Facts;
use super::source::File;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind, new_finding};

/// Crates that check whether a level is enabled before they log. A per-layer filter keeps the result of that check and
/// applies it to the next event.
const PROBING_CRATES: [&str; 5] = ["sqlx-core", "sqlx-postgres", "tokio-postgres", "ureq", "ureq-proto"];

const LOG_TRACER_CALLS: [&str; 3] = ["LogTracer::init", "LogTracer::builder", "LogTracer::new"];

pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(tracing_into_log(facts));
    if facts.uses.stock_logs {
        findings.extend(no_bridge(facts));
        findings.extend(no_processor(facts));
        findings.extend(partial_processor(facts));
        findings.extend(no_event_time(facts));
    }
    if !facts.uses.tracing_bridge && facts.uses.logbridge {
        findings.extend(filter_with_probing(facts));
    }
    if facts.uses.tracing_bridge {
        findings.extend(no_log_tracer(facts));
        findings.extend(log_tracer_drops_key_values(facts));
        findings.extend(unread_valuable_fields(facts));
        findings.extend(filter_with_probing(facts));
    }
    findings
}

/// Finds the features `log` and `log-always` of `tracing` that duplicate or lose events.
fn tracing_into_log(facts: &Facts<'_>) -> Option<Finding> {
    let on = |feature: &str| facts.graph.named(&facts.build, "tracing").find(|(at, _)| facts.build.has(*at, feature));
    let has_log_tracer = facts.has_log_tracer();
    let has_both_bridges = facts.uses.log_bridge && facts.uses.tracing_bridge;
    if let Some((at, _)) = on("log-always") {
        // Events are duplicated only if both ways are captured, as logbridge does by default.
        let is_ours = facts.uses.logbridge && facts.sources.has("logbridge");
        if !(is_ours || facts.uses.tracing_bridge && (has_log_tracer || has_both_bridges)) {
            return None;
        }
        let chain = facts.graph.activation_chain(&facts.build, at, "log-always");
        let text = format!(
            "its feature `log-always` is enabled by {}: each tracing event is also a `log` record, and {} captures \
             both, so each arrives twice",
            chain.first().map_or("some package", String::as_str),
            if is_ours { "logbridge" } else { "the bridge for `log`" }
        );
        return Some(
            new_finding(&kind::TRACING_INTO_LOG, Severity::Warning, "crate tracing", text)
                .at(format!("tracing/log-always <- {}", chain.join(" <- ")), 0..0)
                .help("disable that feature; the feature `log` forwards events only while no subscriber is set"),
        );
    }
    let (at, _) = on("log")?;
    // Only a bridge for `log` without one for `tracing` loses events, and only once a subscriber is set.
    if !facts.uses.log_bridge || facts.uses.tracing_bridge || !facts.sets_subscriber() {
        return None;
    }
    let chain = facts.graph.activation_chain(&facts.build, at, "log");
    let text = "its feature `log` forwards events to `log` only while no subscriber is set, but this program sets \
                one: from then on, the bridge from `log` receives no events";
    Some(
        new_finding(&kind::TRACING_INTO_LOG, Severity::Warning, "crate tracing", text)
            .at(format!("tracing/log <- {}", chain.join(" <- ")), 0..0)
            .help("add the layer of opentelemetry-appender-tracing to the subscriber"),
    )
}

/// Finds a log provider without a bridge that passes records to it.
fn no_bridge(facts: &Facts<'_>) -> Option<Finding> {
    let is_appender = |name: &str| name.starts_with("opentelemetry-appender-");
    let appenders: Vec<_> = facts.active().filter(|(_, package)| is_appender(&package.name)).collect();
    // Another crate may use the appender.
    let is_wrapped = |at: usize| facts.build.dependents(at).any(|by| !facts.graph.members.contains(&by));
    let words = ["OpenTelemetryTracingBridge", "OpenTelemetryLogBridge", "create_log_record(", ".emit("];
    if appenders.iter().any(|(at, _)| is_wrapped(*at)) || facts.sources.has_any(&words) || !facts.graph.is_complete {
        return None;
    }
    let place = facts.sources.place("SdkLoggerProvider").or_else(|| facts.sources.place("LoggerProvider::builder"))?;
    let (what, help) = match appenders.first() {
        Some((_, package)) => (
            format!("{} is a dependency, but no code uses it", package.name),
            "add `OpenTelemetryTracingBridge::new(&provider)` to the subscriber as a layer, or install an \
             `OpenTelemetryLogBridge`",
        ),
        None => (
            "neither opentelemetry-appender-log nor opentelemetry-appender-tracing is a dependency".to_owned(),
            "add opentelemetry-appender-tracing, and add its layer to the subscriber",
        ),
    };
    let text = format!(
        "a log provider is built, but nothing passes records to it: {what}, and OpenTelemetry has no global log \
         provider"
    );
    Some(new_finding(&kind::NO_BRIDGE, Severity::Warning, place, text).help(help))
}

/// Finds a log provider without a processor.
fn no_processor(facts: &Facts<'_>) -> Option<Finding> {
    const PASSES: [&str; 4] = ["with_batch_exporter", "with_log_processor", "with_processor", "with_simple_exporter"];
    for file in &facts.sources.files {
        let all = ["LoggerProvider::builder()", "SdkLoggerProvider::builder()"].map(|word| file.find(word));
        for at in all.into_iter().flatten() {
            let statement = file.code(file.statement(at));
            if !statement.contains(".build()") || PASSES.iter().any(|word| statement.contains(word)) {
                continue;
            }
            let text = "this provider has no processor, so it drops every record";
            let help = "add `.with_batch_exporter(exporter)` before `.build()`";
            return Some(file.finding(at, &kind::NO_BRIDGE, Severity::Warning, text).help(help));
        }
    }
    None
}

/// Finds appenders, which set the observed time of a record but not its event time.
fn no_event_time(facts: &Facts<'_>) -> Option<Finding> {
    let word =
        ["OpenTelemetryTracingBridge", "OpenTelemetryLogBridge"].into_iter().find(|word| facts.sources.has(word))?;
    if facts.sources.has("set_timestamp(") {
        return None;
    }
    let text = "the appenders set no event time, only the observed time: backends that read only the event time show \
                such records at 1970, or delete them as too old";
    let help = "set the timestamp in a log processor before the exporter";
    Some(new_finding(&kind::TIME_ZERO, Severity::Note, facts.sources.place(word)?, text).help(help))
}

/// Finds a log processor that wraps another one but does not forward every method.
fn partial_processor(facts: &Facts<'_>) -> Option<Finding> {
    for file in &facts.sources.files {
        for at in file.find("LogProcessor for ") {
            let Some(open) = file.code.get(at..).and_then(|rest| rest.find('{')) else { continue };
            let body = file.code(at + open..super::strip::closing(&file.code, at + open));
            // Only a wrapper calls `emit`.
            if !body.contains(".emit(") {
                continue;
            }
            let missing: Vec<&str> = ["set_resource", "force_flush", "shutdown"]
                .into_iter()
                .filter(|name| !body.contains(&format!("fn {name}")))
                .collect();
            if missing.is_empty() || (missing == ["shutdown"] && body.contains("fn shutdown_with_timeout")) {
                continue;
            }
            let text = format!(
                "this processor forwards records but not {}: the wrapped processor has no service name or is never \
                 flushed",
                missing.join(", ")
            );
            return Some(
                file.finding(at, &kind::APPLICATION, Severity::Warning, text)
                    .help("forward every method of the trait: the default implementations do nothing"),
            );
        }
    }
    None
}

/// Finds crates that use `log` while nothing forwards its records to tracing.
fn no_log_tracer(facts: &Facts<'_>) -> Option<Finding> {
    let (at, _) = facts.graph.named(&facts.build, "tracing-subscriber").next()?;
    let is_forwarded =
        facts.build.has(at, "tracing-log") || facts.uses.log_bridge || facts.sources.has_any(&LOG_TRACER_CALLS);
    // `set_global_default` installs no LogTracer, whatever features are enabled.
    let by_hand = facts.sources.has("set_global_default(") && !facts.installs_by_init();
    if (is_forwarded && !by_hand)
        || facts.sources.has_any(&LOG_TRACER_CALLS)
        || facts.uses.log_bridge
        || !facts.graph.is_complete
    {
        return None;
    }
    let (log, _) = facts.graph.named(&facts.build, "log").next()?;
    let is_facade =
        |name: &str| matches!(name, "log" | "tracing" | "tracing-log" | "tracing-subscriber" | "tracing-core");
    let users: Vec<String> = facts
        .build
        .dependents(log)
        .filter(|at| !facts.is_named_by(*at, is_facade))
        .map(|at| facts.graph.name_and_version(at))
        .collect();
    let first = users.first()?;
    let more = if users.len() > 1 { format!(" and {} more", users.len() - 1) } else { String::new() };
    let (why, help) = match by_hand {
        true => (
            "`set_global_default` does not install one",
            "call `tracing_log::LogTracer::init()` before it, or use `.init()`",
        ),
        false => (
            "the feature `tracing-log` of tracing-subscriber is disabled",
            "add the feature `tracing-log` to tracing-subscriber, or call `tracing_log::LogTracer::init()`",
        ),
    };
    let text =
        format!("records of `log` ({first}{more}) reach no subscriber: no LogTracer is installed, because {why}");
    Some(new_finding(&kind::LOG_RECORDS, Severity::Warning, "crate tracing-subscriber", text).help(help))
}

/// Finds key-values of `log` that LogTracer drops.
fn log_tracer_drops_key_values(facts: &Facts<'_>) -> Option<Finding> {
    if !facts.has_log_tracer() || facts.uses.log_bridge {
        return None;
    }
    let is_kv = |feature: &String| feature.starts_with("kv");
    let member = facts.graph.members.iter().find(|member| {
        let package = facts.graph.packages.get(**member);
        let dependencies = package.map_or(&[][..], |package| package.dependencies.as_slice());
        dependencies.iter().any(|dependency| dependency.package == "log" && dependency.features.iter().any(is_kv))
    })?;
    let text = format!(
        "{} logs key-values (the feature `kv` of `log`), but LogTracer, which forwards its records to tracing, drops \
         them",
        facts.graph.name_and_version(*member)
    );
    let help =
        "use tracing's macros for records with fields, or add opentelemetry-appender-log beside the tracing appender";
    Some(new_finding(&kind::LOG_RECORDS, Severity::Warning, "crate tracing-log", text).help(help))
}

fn unread_valuable_fields(facts: &Facts<'_>) -> Option<Finding> {
    if !facts.graph.has_feature(&facts.build, "tracing", "valuable") || !facts.sources.has("as_value(") {
        return None;
    }
    let place = facts.sources.place("as_value(")?;
    let text = "fields recorded as `valuable` values are dropped: opentelemetry-appender-tracing does not read them";
    Some(new_finding(&kind::LOG_RECORDS, Severity::Warning, place, text).help("record them with `?field` or `%field`"))
}

/// Returns the place of a per-layer filter on the layer that exports events.
fn per_layer_filter(file: &File) -> Option<usize> {
    // The layer of logbridge.
    if let Some(at) =
        file.find("bridge.layer().with_filter(").chain(file.find("logbridge::layer().with_filter(")).next()
    {
        return Some(at);
    }
    for at in file.find("OpenTelemetryTracingBridge") {
        // In an import or a signature, the type is not called.
        let Some(open) = file.code.get(at..).and_then(|rest| rest.find(['(', ';', ',', '{'])) else { continue };
        if file.code.as_bytes().get(at + open) != Some(&b'(') {
            continue;
        }
        let after = super::strip::closing(&file.code, at + open);
        if file.code.get(after..).is_some_and(|rest| rest.trim_start().starts_with(".with_filter(")) {
            return Some(at);
        }
        let statement = file.statement(at);
        let name = file.code(statement).trim_start().strip_prefix("let ").and_then(|rest| {
            let name = rest.trim_start_matches("mut ").split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
            (!name.is_empty()).then(|| name.to_owned())
        });
        if let Some(name) = name {
            let call = format!("{name}.with_filter(");
            if let Some(found) = file.find(&call).next() {
                return Some(found);
            }
        }
    }
    None
}

/// Finds a per-layer filter beside code that checks levels without logging. See docs/missing-logs.md#c19.
fn filter_with_probing(facts: &Facts<'_>) -> Option<Finding> {
    let (file, at) = facts.sources.files.iter().find_map(|file| Some((file, per_layer_filter(file)?)))?;
    let crates: Vec<String> = facts
        .active()
        .filter(|(_, package)| PROBING_CRATES.contains(&package.name.as_str()))
        .map(|(at, _)| facts.graph.name_and_version(at))
        .collect();
    let own = ["log_enabled!", "tracing::enabled!", "event_enabled!"]
        .into_iter()
        .find_map(|word| Some(format!("{word} at {}", facts.sources.place(word)?)));
    let who = own.or_else(|| (!crates.is_empty()).then(|| crates.join(", ")))?;
    let text = format!(
        "the OpenTelemetry layer has a per-layer filter, and {who} checks whether levels are enabled: the result of a \
         check without an event is applied to the next event, which may be lost"
    );
    let help =
        "filter the whole subscriber (`registry().with(filter).with(layer)`), or remove the filter of that layer";
    Some(file.finding(at, &kind::PROBED_FILTER, Severity::Warning, text).help(help))
}

impl Facts<'_> {
    /// Returns whether `log` records are forwarded to tracing.
    pub(super) fn has_log_tracer(&self) -> bool {
        let by_feature =
            self.graph.has_feature(&self.build, "tracing-subscriber", "tracing-log") && self.installs_by_init();
        by_feature || self.sources.has_any(&LOG_TRACER_CALLS)
    }

    /// Returns whether tracing-subscriber installs the subscriber, which also installs LogTracer if it can.
    pub(super) fn installs_by_init(&self) -> bool {
        self.sources.has_any(&[".init()", ".try_init()", "fmt::init(", "fmt::try_init("])
    }

    /// Returns whether the program sets a global subscriber.
    pub(super) fn sets_subscriber(&self) -> bool {
        let uses = self.sources.has("tracing_subscriber") && self.installs_by_init();
        uses || self.sources.has("set_global_default(")
    }
}

//! The ways between `log`, `tracing` and the SDK, and what gets lost on them.

use super::Facts;
use super::source::File;
use logbridge::internals::finding::{Finding, Severity, kind};

/// Crates that ask whether a level is on before they log: a filter of one layer keeps the answer, and takes it for that of the
/// next event.
const PROBING: [&str; 5] = ["sqlx-core", "sqlx-postgres", "tokio-postgres", "ureq", "ureq-proto"];

/// What has a method or a function that installs something for `log` or `tracing`.
const LOG_TRACER: [&str; 3] = ["LogTracer::init", "LogTracer::builder", "LogTracer::new"];

/// Findings about bridges.
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

/// `tracing/log` and `tracing/log-always`.
fn tracing_into_log(facts: &Facts<'_>) -> Option<Finding> {
    let on = |feature: &str| facts.graph.named(&facts.build, "tracing").find(|(at, _)| facts.build.has(*at, feature));
    let has_log_tracer = facts.has_log_tracer();
    let has_both_bridges = facts.uses.log_bridge && facts.uses.tracing_bridge;
    if let Some((at, _)) = on("log-always") {
        // Where nothing takes both ways, nothing comes twice. logbridge does by itself.
        let is_ours = facts.uses.logbridge && facts.sources.has("logbridge");
        if !(is_ours || facts.uses.tracing_bridge && (has_log_tracer || has_both_bridges)) {
            return None;
        }
        let who = facts.graph.activation_chain(&facts.build, at, "log-always");
        let text = format!(
            "its feature `log-always` is on, by {}: each tracing event is a record of `log` too, and {} takes both, so each \
             arrives twice",
            who.first().map_or("some package", String::as_str),
            if is_ours { "logbridge" } else { "the bridge for `log`" }
        );
        return Some(
            Finding::new(&kind::TRACING_INTO_LOG, Severity::Warning, "crate tracing", text)
                .at(format!("tracing/log-always <- {}", who.join(" <- ")), 0..0)
                .help("switch that feature off; `log` instead of it forwards only while there is no subscriber"),
        );
    }
    let (at, _) = on("log")?;
    // The member itself asked for it, and what takes the events is a logger: they come while no subscriber is set.
    if !facts.uses.log_bridge || facts.uses.tracing_bridge || !facts.sets_subscriber() {
        return None;
    }
    let who = facts.graph.activation_chain(&facts.build, at, "log");
    let text = "its feature `log` forwards events to `log` only while no subscriber is set, and this program sets one: from then on \
                the bridge from `log` sees none of them";
    Some(
        Finding::new(&kind::TRACING_INTO_LOG, Severity::Warning, "crate tracing", text)
            .at(format!("tracing/log <- {}", who.join(" <- ")), 0..0)
            .help("add the layer of opentelemetry-appender-tracing to the subscriber"),
    )
}

/// A provider of logs that nothing feeds.
fn no_bridge(facts: &Facts<'_>) -> Option<Finding> {
    let is_appender = |name: &str| name.starts_with("opentelemetry-appender-");
    let appenders: Vec<_> = facts.active().filter(|(_, package)| is_appender(&package.name)).collect();
    // Of what other crates do with one, nothing is known.
    let is_wrapped = |at: usize| facts.build.dependents(at).any(|by| !facts.graph.members.contains(&by));
    let words = ["OpenTelemetryTracingBridge", "OpenTelemetryLogBridge", "create_log_record(", ".emit("];
    if appenders.iter().any(|(at, _)| is_wrapped(*at)) || facts.sources.has_any(&words) || !facts.graph.is_complete {
        return None;
    }
    let place = facts.sources.place("SdkLoggerProvider").or_else(|| facts.sources.place("LoggerProvider::builder"))?;
    let (what, help) = match appenders.first() {
        Some((_, package)) => (
            format!("{} is a dependency, and no code uses it", package.name),
            "add `OpenTelemetryTracingBridge::new(&provider)` to the subscriber as a layer, or install an `OpenTelemetryLogBridge`",
        ),
        None => (
            "neither opentelemetry-appender-log nor opentelemetry-appender-tracing is there".to_owned(),
            "add opentelemetry-appender-tracing, and its layer to the subscriber",
        ),
    };
    let text = format!(
        "a provider of logs is built, and nothing leads records to it: {what}, and there is no global provider of logs"
    );
    Some(Finding::new(&kind::NO_BRIDGE, Severity::Warning, place, text).help(help))
}

/// A provider that passes records on to nobody.
fn no_processor(facts: &Facts<'_>) -> Option<Finding> {
    const PASSES: [&str; 4] = ["with_batch_exporter", "with_log_processor", "with_processor", "with_simple_exporter"];
    for file in &facts.sources.files {
        let all = ["LoggerProvider::builder()", "SdkLoggerProvider::builder()"].map(|word| file.find(word));
        for at in all.into_iter().flatten() {
            let statement = file.code(file.statement(at));
            if !statement.contains(".build()") || PASSES.iter().any(|word| statement.contains(word)) {
                continue;
            }
            let text = "this provider has no processor: every record ends here";
            let help = "add `.with_batch_exporter(exporter)` before `.build()`";
            return Some(file.finding(at, &kind::NO_BRIDGE, Severity::Warning, text).help(help));
        }
    }
    None
}

/// The appenders set the time at which a record was observed, and none at which it happened.
fn no_event_time(facts: &Facts<'_>) -> Option<Finding> {
    let word =
        ["OpenTelemetryTracingBridge", "OpenTelemetryLogBridge"].into_iter().find(|word| facts.sources.has(word))?;
    if facts.sources.has("set_timestamp(") {
        return None;
    }
    let text = "the appenders set no event time, only the observed one: backends that look at the event time alone show such records at \
                1970, or delete them as too old";
    let help = "set the timestamp in a log processor in front of the exporter";
    Some(Finding::new(&kind::TIME_ZERO, Severity::Note, facts.sources.place(word)?, text).help(help))
}

/// A processor of the project that wraps another one, and does not pass everything on.
fn partial_processor(facts: &Facts<'_>) -> Option<Finding> {
    for file in &facts.sources.files {
        for at in file.find("LogProcessor for ") {
            let Some(open) = file.code.get(at..).and_then(|rest| rest.find('{')) else { continue };
            let body = file.code(at + open..super::strip::closing(&file.code, at + open));
            // One that passes records on to another.
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
                "this processor passes records on, and keeps {} to itself: what it wraps has no service name, or is never flushed",
                missing.join(", ")
            );
            return Some(
                file.finding(at, &kind::APPLICATION, Severity::Warning, text)
                    .help("forward every method of the trait: those that are left out do nothing"),
            );
        }
    }
    None
}

/// Crates that log through `log`, and nothing that takes that to tracing.
fn no_log_tracer(facts: &Facts<'_>) -> Option<Finding> {
    let (at, _) = facts.graph.named(&facts.build, "tracing-subscriber").next()?;
    let is_led = facts.build.has(at, "tracing-log") || facts.uses.log_bridge || facts.sources.has_any(&LOG_TRACER);
    // `set_global_default` installs no LogTracer, whatever the features say.
    let by_hand = facts.sources.has("set_global_default(") && !facts.installs_by_init();
    if (is_led && !by_hand) || facts.sources.has_any(&LOG_TRACER) || facts.uses.log_bridge || !facts.graph.is_complete {
        return None;
    }
    let (log, _) = facts.graph.named(&facts.build, "log").next()?;
    let is_glue =
        |name: &str| matches!(name, "log" | "tracing" | "tracing-log" | "tracing-subscriber" | "tracing-core");
    let users: Vec<String> = facts
        .build
        .dependents(log)
        .filter(|at| !facts.is_named_by(*at, is_glue))
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
            "the feature `tracing-log` of tracing-subscriber is off",
            "add the feature `tracing-log` to tracing-subscriber, or call `tracing_log::LogTracer::init()`",
        ),
    };
    let text = format!("records of `log` ({first}{more}) reach no subscriber: there is no LogTracer, since {why}");
    Some(Finding::new(&kind::LOG_RECORDS, Severity::Warning, "crate tracing-subscriber", text).help(help))
}

/// LogTracer reads no key-values.
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
        "{} logs with key-values (the feature `kv` of `log`), and LogTracer, which takes its records to tracing, leaves them out",
        facts.graph.name_and_version(*member)
    );
    let help = "use tracing's macros for what has fields, or opentelemetry-appender-log beside the tracing appender";
    Some(Finding::new(&kind::LOG_RECORDS, Severity::Warning, "crate tracing-log", text).help(help))
}

fn unread_valuable_fields(facts: &Facts<'_>) -> Option<Finding> {
    if !facts.graph.has_feature(&facts.build, "tracing", "valuable") || !facts.sources.has("as_value(") {
        return None;
    }
    let place = facts.sources.place("as_value(")?;
    let text = "fields recorded as `valuable` values do not arrive: opentelemetry-appender-tracing does not read them";
    Some(Finding::new(&kind::LOG_RECORDS, Severity::Warning, place, text).help("record them with `?field` or `%field`"))
}

/// Whether the layer that takes events to OpenTelemetry has a filter of its own, and where.
fn per_layer_filter(file: &File) -> Option<usize> {
    // logbridge's own.
    if let Some(at) =
        file.find("bridge.layer().with_filter(").chain(file.find("logbridge::layer().with_filter(")).next()
    {
        return Some(at);
    }
    for at in file.find("OpenTelemetryTracingBridge") {
        // Of the type, in an import or a signature, nothing follows that is called.
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

/// Finds a per-layer filter beside code that asks without logging. See docs/missing-logs.md#c19.
fn filter_with_probing(facts: &Facts<'_>) -> Option<Finding> {
    let (file, at) = facts.sources.files.iter().find_map(|file| Some((file, per_layer_filter(file)?)))?;
    let crates: Vec<String> = facts
        .active()
        .filter(|(_, package)| PROBING.contains(&package.name.as_str()))
        .map(|(at, _)| facts.graph.name_and_version(at))
        .collect();
    let own = ["log_enabled!", "tracing::enabled!", "event_enabled!"]
        .into_iter()
        .find_map(|word| Some(format!("{word} at {}", facts.sources.place(word)?)));
    let who = own.or_else(|| (!crates.is_empty()).then(|| crates.join(", ")))?;
    let text = format!(
        "the layer to OpenTelemetry has a filter of its own, and {who} asks whether levels are on: the answer to a question that no \
         event follows is taken for that of the next event, which is lost there"
    );
    let help =
        "filter the whole subscriber (`registry().with(filter).with(layer)`), or leave that layer without a filter";
    Some(file.finding(at, &kind::PROBED_FILTER, Severity::Warning, text).help(help))
}

impl Facts<'_> {
    /// Whether records of `log` become events of tracing.
    pub(super) fn has_log_tracer(&self) -> bool {
        let by_feature =
            self.graph.has_feature(&self.build, "tracing-subscriber", "tracing-log") && self.installs_by_init();
        by_feature || self.sources.has_any(&LOG_TRACER)
    }

    /// Whether tracing-subscriber installs, which sets up `log` too where it can.
    pub(super) fn installs_by_init(&self) -> bool {
        self.sources.has_any(&[".init()", ".try_init()", "fmt::init(", "fmt::try_init("])
    }

    /// Whether the program sets a global subscriber.
    pub(super) fn sets_subscriber(&self) -> bool {
        let uses = self.sources.has("tracing_subscriber") && self.installs_by_init();
        uses || self.sources.has("set_global_default(")
    }
}

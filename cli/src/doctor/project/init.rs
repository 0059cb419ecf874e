//! Rules about the setup of logging: missing, incomplete, or with discarded errors.

use super::Facts;
use super::functions::Functions;
use super::logging_words::{logs, mentions_setup};
use super::source::File;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind, new_finding};

pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(binaries_without_logger(facts));
    findings.extend(thread_local_subscriber(facts));
    findings.extend(max_level_never_set(facts));
    if facts.uses.stock_logs {
        findings.extend(discarded_install_errors(facts));
        findings.extend(discarded_exporter_errors(facts));
    }
    findings.extend(dropped_guards(facts));
    findings.extend(dropped_writer_guard(facts));
    findings.extend(dylibs_without_logger(facts));
    findings.extend(telemetry_behind_features(facts));
    findings
}

/// Finds binaries that log and install no logger. See docs/missing-logs.md#b19.
fn binaries_without_logger(facts: &Facts<'_>) -> Vec<Finding> {
    // A static initializer runs before `main`.
    if facts.is_logbridge_itself() || facts.sources.files.iter().any(|file| file.code.contains("#[ctor")) {
        return Vec::new();
    }
    let functions = Functions::of(facts);
    let roots = facts.sources.files.iter().filter(|file| file.binary.is_some() && file.has("fn main"));
    let without = roots.filter_map(|file| {
        let is_same_package = |other: &&File| other.package == file.package && other.binary.is_none();
        if !logs(file) && !facts.sources.files.iter().filter(is_same_package).any(logs) {
            return None;
        }
        // A package that depends on logbridge must call it. In other packages, any word that suggests a setup is
        // enough.
        let depends = facts.build.dependencies(file.package).any(|at| facts.is_named(at, "logbridge"));
        if !depends && mentions_setup(&file.code) {
            return None;
        }
        let reached = functions.installs_reached_from(facts, file);
        let name = file.binary.clone().unwrap_or_default();
        match reached.behind_feature {
            _ if reached.installs => None,
            Some((feature, place)) => {
                let text = format!(
                    "the binary `{name}` installs logging ({place}) only with the feature `{feature}`, which is \
                     disabled: its records are dropped"
                );
                let help = format!("build with `--features {feature}`, or add it to `default`");
                Some(new_finding(&kind::SWITCHED_OFF, Severity::Warning, file.path.clone(), text).help(help))
            }
            None => {
                let text = format!("the binary `{name}` logs but installs no logger or subscriber");
                let help = match depends {
                    true => "call `logbridge::init()` at the start of its `main`",
                    false => "initialize logging in the `main` of each binary",
                };
                Some(new_finding(&kind::NO_INIT, Severity::Warning, file.path.clone(), text).help(help))
            }
        }
    });
    without.collect()
}

/// Finds a subscriber that is set for one thread only. See docs/missing-logs.md#b5.
fn thread_local_subscriber(facts: &Facts<'_>) -> Option<Finding> {
    let words = [".set_default()", "subscriber::set_default(", "subscriber::with_default("];
    let is_global = facts.sources.has_any(&["set_global_default("]) || facts.installs_by_init() || facts.uses.logbridge;
    let has_others = facts.sources.has_any(&["spawn(", "spawn_blocking", "tokio::main", "par_iter(", "scope("]);
    if is_global || !has_others || !facts.graph.has(&facts.build, "tracing") {
        return None;
    }
    let (file, at) = facts.sources.files.iter().find_map(|file| {
        let at = words.iter().find_map(|word| file.find(word).next())?;
        // A library may offer a scoped subscriber on purpose.
        facts.is_binary_package(file.package).then_some((file, at))
    })?;
    let text = "the subscriber is set for this thread only: records of other threads and tokio's workers are dropped";
    Some(
        file.finding(at, &kind::NO_INIT, Severity::Warning, text)
            .help("use `.init()`, or `tracing::subscriber::set_global_default`"),
    )
}

/// Finds a logger that is installed without `log::set_max_level`. See docs/missing-logs.md#b1.
fn max_level_never_set(facts: &Facts<'_>) -> Option<Finding> {
    let words = ["log::set_boxed_logger(", "set_boxed_logger(", "log::set_logger("];
    if facts.sources.has("set_max_level") || facts.sources.has("set_max_level_racy") {
        return None;
    }
    let (file, at) = facts
        .sources
        .files
        .iter()
        .find_map(|file| Some((file, words.iter().find_map(|word| file.find(word).next())?)))?;
    let help = match facts.uses.logbridge && facts.sources.has(".logger()") {
        true => "call `log::set_max_level(bridge.logger().filter())` after it",
        false => "call `log::set_max_level(log::LevelFilter::Info)` after it",
    };
    let text = "a logger is installed, but nothing sets the maximum level of `log`, which is off by default: not even \
                errors are logged";
    Some(file.finding(at, &kind::MAX_LEVEL_OFF, Severity::Error, text).help(help))
}

/// Finds discarded errors of an installation. See docs/missing-logs.md#b2 to #b4.
fn discarded_install_errors(facts: &Facts<'_>) -> Vec<Finding> {
    let words = ["set_boxed_logger(", "set_logger(", "set_global_default(", ".try_init()", "LogTracer::init()"];
    let mut findings = Vec::new();
    for file in &facts.sources.files {
        for word in words {
            for at in file.find(word) {
                let statement = file.code(file.statement(at));
                let trimmed = statement.trim();
                // logbridge and env_logger report the error themselves.
                let is_ignored =
                    trimmed.starts_with("let _ =") || trimmed.ends_with(".ok()") || trimmed.contains(".unwrap_or(())");
                if !is_ignored || trimmed.contains("logbridge") || trimmed.contains("env_logger") {
                    continue;
                }
                let text = "this fails if another logger or subscriber is installed, but the error is discarded: no \
                            record reaches the exporter, and nothing reports why";
                findings.push(
                    file.finding(at, &kind::SWALLOWED_ERROR, Severity::Warning, text)
                        .help("call `.expect(…)`, or print the error"),
                );
            }
        }
    }
    findings.truncate(3);
    findings
}

/// Finds discarded errors of building an exporter. See docs/missing-logs.md#b14.
fn discarded_exporter_errors(facts: &Facts<'_>) -> Option<Finding> {
    for file in &facts.sources.files {
        for at in file.find("if let Ok(") {
            let Some(open) = file.code.get(at..).and_then(|rest| rest.find('{')) else { continue };
            let head = file.code(at..at + open);
            let bound = head.trim_start_matches("if let Ok(").split(')').next().unwrap_or_default();
            let end = super::strip::closing(&file.code, at + open);
            let has_else = file.code.get(end..).is_some_and(|rest| rest.trim_start().starts_with("else"));
            // An exporter that already exists, for example behind a lock, is not built here.
            let is_exporter = ["exporter", "provider"].iter().any(|word| bound.contains(word))
                && ["build", "create", "init", "Exporter::", "new", "setup"].iter().any(|word| head.contains(word));
            if has_else || !is_exporter {
                continue;
            }
            let text = "if the exporter cannot be built, the program continues without one and reports nothing";
            return Some(
                file.finding(at, &kind::SWALLOWED_ERROR, Severity::Warning, text).help("return the error, or print it"),
            );
        }
    }
    None
}

/// Returns the type that a function of the project returns, if it is a guard.
fn returns_guard(facts: &Facts<'_>, function: &str) -> Option<String> {
    for file in &facts.sources.files {
        for at in file.find(&format!("fn {function}")) {
            let rest = file.code.get(at..)?;
            let head = rest.get(..rest.find(['{', ';'])?)?;
            let Some((_, returned)) = head.split_once("->") else { continue };
            let words = returned.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
            let stops = |word: &&str| {
                let drops = format!("Drop for {word}");
                word.ends_with("Guard") || facts.sources.files.iter().any(|file| file.has(&drops))
            };
            if let Some(found) = words.into_iter().find(stops) {
                return Some(found.to_owned());
            }
        }
    }
    None
}

/// Finds guards that `let _ = …` drops at once. See docs/missing-logs.md#b12.
fn dropped_guards(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &facts.sources.files {
        for at in file.find("let _ =") {
            let statement = file.statement(at + 4);
            let called = file.code(statement).trim_start().trim_start_matches("let _ =").trim();
            let path = called.split('(').next().unwrap_or_default();
            let function = path.rsplit("::").next().unwrap_or_default().trim();
            let is_name = !function.is_empty() && function.chars().all(|c| c.is_alphanumeric() || c == '_');
            let setup_words = ["init", "setup", "install", "start", "telemetry", "tracing", "logging"];
            if !is_name || !setup_words.iter().any(|word| function.contains(word)) {
                continue;
            }
            let guard = match called.starts_with("sentry::init") {
                true => Some("ClientInitGuard".to_owned()),
                false => returns_guard(facts, function),
            };
            let Some(guard) = guard else { continue };
            let text = format!(
                "`let _ =` immediately drops the `{guard}` that `{function}` returns, which stops telemetry: nothing \
                 is sent from here on"
            );
            findings.push(
                file.finding(at, &kind::DROPPED_GUARD, Severity::Error, text)
                    .help("write `let _guard =`, and keep it until the end of `main`"),
            );
        }
    }
    findings
}

/// Finds a dropped guard of tracing_appender's background writer.
fn dropped_writer_guard(facts: &Facts<'_>) -> Option<Finding> {
    for file in &facts.sources.files {
        for at in file.find("non_blocking(") {
            let statement = file.code(file.statement(at)).trim().to_owned();
            let Some((pattern, _)) = statement.split_once('=') else { continue };
            if !pattern.replace(' ', "").ends_with(",_)") {
                continue;
            }
            let text = "the guard of tracing_appender's writer is dropped at once: buffered lines are never written";
            return Some(
                file.finding(at, &kind::DROPPED_GUARD, Severity::Warning, text)
                    .help("name it `_guard`, and keep it until the end of `main`"),
            );
        }
    }
    None
}

/// Finds shared objects that log without their own initialization. See docs/missing-logs.md#a6.
fn dylibs_without_logger(facts: &Facts<'_>) -> Vec<Finding> {
    let members = facts.graph.members.iter().filter_map(|at| Some((*at, facts.graph.packages.get(*at)?)));
    let shared = members.filter(|(at, package)| {
        let files: Vec<&File> = facts.sources.files.iter().filter(|file| file.package == *at).collect();
        package.targets.iter().any(|target| target.is_dylib)
            && files.iter().any(|file| logs(file))
            && !files.iter().any(|file| mentions_setup(&file.code))
    });
    shared
        .map(|(_, package)| {
            let text = format!(
                "{} is a shared library that logs but sets up nothing: it has its own copies of the statics of `log` \
                 and `tracing`, so it does not see the logger and subscriber of the program",
                package.name
            );
            let help = "initialize logging inside the library too, or pass it the logger of the program";
            new_finding(&kind::SHARED_OBJECT, Severity::Warning, format!("crate {}", package.name), text).help(help)
        })
        .collect()
}

/// Finds telemetry behind disabled features. See docs/missing-logs.md#a14.
fn telemetry_behind_features(facts: &Facts<'_>) -> Vec<Finding> {
    const TELEMETRY: [&str; 5] = [
        "logbridge",
        "opentelemetry-appender-log",
        "opentelemetry-appender-tracing",
        "opentelemetry-otlp",
        "opentelemetry_sdk",
    ];
    let mut findings = Vec::new();
    for &member in &facts.graph.members {
        let Some(package) = facts.graph.packages.get(member) else { continue };
        let off = package.dependencies.iter().find(|dependency| {
            dependency.is_normal
                && dependency.is_optional
                && TELEMETRY.contains(&dependency.package.as_str())
                && !facts.build.dependencies(member).any(|at| facts.is_named(at, &dependency.package))
        });
        let Some(off) = off.filter(|_| facts.is_binary_package(member)) else { continue };
        let wants = |entry: &String| {
            *entry == format!("dep:{}", off.key) || *entry == off.key || entry.starts_with(&format!("{}/", off.key))
        };
        let Some((feature, _)) = package.features.iter().find(|(_, entries)| entries.iter().any(wants)) else {
            continue;
        };
        let text = format!(
            "{} requires the feature `{feature}` of {}, which is disabled: a build without `--features {feature}` \
             sends nothing",
            off.package, package.name
        );
        let help = format!(
            "add `{feature}` to `default`, or enable it in release builds (to check them: `logbridge doctor \
             --features {feature}`)"
        );
        findings.push(
            new_finding(&kind::SWITCHED_OFF, Severity::Warning, format!("crate {}", package.name), text).help(help),
        );
    }
    findings
}

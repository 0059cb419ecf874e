//! A rule about levels that are compiled out: by which package, and in which builds.

use log::LevelFilter;

use super::Facts;
use super::graph::Build;
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind, new_finding};

const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

/// Returns the maximum level of a build and the feature that sets it, unless it is `Trace`.
pub(super) fn static_max_level(build: &Build, at: usize, is_debug: bool) -> Option<(LevelFilter, String)> {
    let find = |prefix: &str| {
        LEVELS.iter().find_map(|(word, level)| {
            let feature = format!("{prefix}max_level_{word}");
            build.has(at, &feature).then_some((*level, feature))
        })
    };
    // As in `log` and `tracing`, features for release builds take precedence there.
    let of_release = if is_debug { None } else { find("release_") };
    of_release.or_else(|| find("")).filter(|(level, _)| *level < LevelFilter::Trace)
}

pub(super) fn check(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for facade in ["log", "tracing"] {
        for (at, _) in facts.graph.named(&facts.build, facade) {
            findings.extend(compiled_out(facts, facade, at));
        }
    }
    findings
}

fn compiled_out(facts: &Facts<'_>, facade: &str, at: usize) -> Option<Finding> {
    let limits: Vec<(&str, Option<(LevelFilter, String)>)> = facts
        .profiles()
        .into_iter()
        .map(|profile| (profile, static_max_level(&facts.build, at, facts.profiles.is_debug(profile))))
        .collect();
    let (_, worst) =
        limits.iter().min_by_key(|(_, limit)| limit.as_ref().map_or(LevelFilter::Trace, |(level, _)| *level))?;
    let (level, feature) = worst.clone()?;
    let is_same_level =
        |limit: &Option<(LevelFilter, String)>| limit.as_ref().is_some_and(|(other, _)| *other == level);
    let compiled_out_in: Vec<&str> =
        limits.iter().filter(|(_, limit)| is_same_level(limit)).map(|(profile, _)| *profile).collect();
    let only = if compiled_out_in.len() < limits.len() { "; other builds include them" } else { "" };
    let chain = facts.graph.activation_chain(&facts.build, at, &feature);
    let package = chain.first().cloned().unwrap_or_else(|| "some package".to_owned());
    let is_own = chain.len() == 1 && facts.is_member_named(&package);
    let wanted = facts.wanted_level();
    let severity = match level {
        _ if wanted > level => Severity::Warning,
        LevelFilter::Debug => Severity::Note,
        // A common choice of a binary.
        LevelFilter::Info if is_own => Severity::Note,
        _ => Severity::Warning,
    };
    let lost = match level {
        LevelFilter::Off => "all levels".to_owned(),
        level => format!("levels below {level}"),
    };
    let builds = compiled_out_in.join(" and ");
    let text = format!(
        "{lost} of `{facade}` are compiled out of {builds} builds by {package}, which enables the feature \
         `{feature}`{only}"
    );
    let evidence = match chain.len() {
        0 | 1 => format!("{facade}/{feature} <- {package}"),
        _ => format!("{facade}/{feature} <- {}", chain.join(" <- ")),
    };
    let help = match is_own {
        true => format!("remove `{feature}` from its Cargo.toml: RUST_LOG cannot restore levels that are compiled out"),
        false => format!(
            "ask the authors of {} to leave this choice to programs, or patch it: features of all crates add up, and \
             the lowest level wins",
            package.split(" (").next().unwrap_or_default()
        ),
    };
    Some(
        new_finding(&kind::LEVEL_COMPILED_OUT, severity, format!("crate {facade}"), text).at(evidence, 0..0).help(help),
    )
}

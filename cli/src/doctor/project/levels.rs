//! Levels that are compiled out: by whom, and in which builds.

use log::LevelFilter;

use super::Facts;
use super::graph::Build;
use logbridge::internals::finding::{Finding, Severity, kind};

const WORDS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::Off),
    ("error", LevelFilter::Error),
    ("warn", LevelFilter::Warn),
    ("info", LevelFilter::Info),
    ("debug", LevelFilter::Debug),
    ("trace", LevelFilter::Trace),
];

/// The most that a build lets through, and the feature that says so.
pub(super) fn static_max_level(build: &Build, at: usize, is_debug: bool) -> Option<(LevelFilter, String)> {
    let find = |prefix: &str| {
        WORDS.iter().find_map(|(word, level)| {
            let feature = format!("{prefix}max_level_{word}");
            build.has(at, &feature).then_some((*level, feature))
        })
    };
    // The facades ask in this order: what is said of a release build alone wins there.
    let of_release = if is_debug { None } else { find("release_") };
    of_release.or_else(|| find("")).filter(|(level, _)| *level < LevelFilter::Trace)
}

/// Findings about `log` and `tracing`.
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
    let cuts: Vec<(&str, Option<(LevelFilter, String)>)> = facts
        .profiles()
        .into_iter()
        .map(|profile| (profile, static_max_level(&facts.build, at, facts.profiles.is_debug(profile))))
        .collect();
    let (_, worst) = cuts.iter().min_by_key(|(_, cut)| cut.as_ref().map_or(LevelFilter::Trace, |(level, _)| *level))?;
    let (level, feature) = worst.clone()?;
    let is_cut_so = |cut: &Option<(LevelFilter, String)>| cut.as_ref().is_some_and(|(other, _)| *other == level);
    let where_cut: Vec<&str> = cuts.iter().filter(|(_, cut)| is_cut_so(cut)).map(|(profile, _)| *profile).collect();
    let only = if where_cut.len() < cuts.len() { ", while other builds have them" } else { "" };
    let who = facts.graph.activation_chain(&facts.build, at, &feature);
    let asker = who.first().cloned().unwrap_or_else(|| "some package".to_owned());
    let is_own = who.len() == 1 && facts.is_member_named(&asker);
    let wanted = facts.wanted_level();
    let severity = match level {
        _ if wanted > level => Severity::Warning,
        LevelFilter::Debug => Severity::Note,
        // The binary's own choice, and a usual one.
        LevelFilter::Info if is_own => Severity::Note,
        _ => Severity::Warning,
    };
    let lost = match level {
        LevelFilter::Off => "everything".to_owned(),
        level => format!("what is below {level}"),
    };
    let builds = where_cut.join(" and ");
    let text = format!(
        "{lost} of `{facade}` is compiled out of {builds} builds by {asker}, which asks for the feature `{feature}`{only}"
    );
    let chain = match who.len() {
        0 | 1 => format!("{facade}/{feature} <- {asker}"),
        _ => format!("{facade}/{feature} <- {}", who.join(" <- ")),
    };
    let help = match is_own {
        true => format!("remove `{feature}` from its Cargo.toml: RUST_LOG cannot bring back what is compiled out"),
        false => format!(
            "ask {asker} to leave that choice to programs, or patch it: features of all crates add up, and the lowest level wins"
        ),
    };
    Some(Finding::new(&kind::LEVEL_COMPILED_OUT, severity, format!("crate {facade}"), text).at(chain, 0..0).help(help))
}

//! Findings that need more than one filter string: those about several thresholds together, and those about the targets
//! of the records logged so far.

use std::collections::BTreeSet;

use super::directive::parse;
use super::stage::Stage;
use super::state::{LevelState, LevelTables};
use super::variables::LevelVariables;
use crate::finding::{Finding, Kind, Severity, kind};

/// Returns whether a finding says that a directive matches no record although it matches one of these targets.
pub(crate) fn is_refuted<'t>(finding: &Finding, mut seen: impl Iterator<Item = &'t str>) -> bool {
    let is_of = |kinds: &[&Kind]| kinds.iter().any(|kind| kind.code == finding.code);
    let is_about_name = is_of(&[&kind::HYPHEN, &kind::UPPERCASE, &kind::STAR]);
    // A misspelled level remains one if it is merely the beginning of another name.
    if !is_about_name && !is_of(&[&kind::LEVEL_AS_TARGET, &kind::COLON]) {
        return false;
    }
    let parsed = parse(&finding.evidence);
    let directive = parsed.located.iter().find(|(_, bytes)| bytes.contains(&finding.position.start));
    directive.is_some_and(|(directive, _)| {
        seen.any(|target| match target.strip_prefix(directive.target.as_str()) {
            Some(rest) => !directive.target.is_empty() && (is_about_name || rest.is_empty() || rest.starts_with("::")),
            None => false,
        })
    })
}

impl LevelTables {
    /// Finds thresholds of destinations that are more verbose than the module stage.
    fn findings_without_effect(&self, variables: &LevelVariables) -> Vec<Finding> {
        let destinations = [Stage::Otlp, Stage::Console];
        destinations
            .into_iter()
            .flat_map(|stage| self.of(stage).rows().map(move |row| (stage, row)))
            .filter_map(|(stage, row)| {
                let by = row.by.as_deref()?;
                let module = self.module.decide(&row.target);
                let below = self.module.rows().filter(|module| module.target.starts_with(&row.target));
                let most = below.map(|module| module.filter()).fold(module.filter(), Ord::max);
                if row.filter() <= most {
                    return None;
                }
                let target = if row.target.is_empty() { String::new() } else { format!(" for {}", row.target) };
                let text = format!(
                    "the level {}{target} of {stage} has no effect: the module stage stops at {most} ({})",
                    row.threshold,
                    module.describe(Stage::Module)
                );
                let suggestions = variables.suggestions(Stage::Module, module, &row.target, row.filter().to_level()?);
                Some(Finding::new(&kind::THRESHOLD_WITHOUT_EFFECT, Severity::Warning, by, text).help(format!(
                    "a destination can only be stricter, so lower the threshold of the module stage, too: {}",
                    suggestions.join(", or ")
                )))
            })
            .collect()
    }

    /// Finds directives that match no target seen so far, and those that also match a target of another crate.
    fn findings_about_targets(&self, seen: &BTreeSet<String>) -> Vec<Finding> {
        if seen.is_empty() {
            return Vec::new();
        }
        let mut findings = Vec::new();
        for stage in Stage::FOR_RECORDS {
            for row in self.of(stage).rows().filter(|row| !row.target.is_empty()) {
                let by = row.by.as_deref().unwrap_or_default();
                let matching: Vec<&String> = seen.iter().filter(|target| target.starts_with(&row.target)).collect();
                let is_in_module = |target: &&&String| {
                    target.get(row.target.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
                };
                if matching.is_empty() {
                    let text = format!("{} matches no target seen so far", row.target);
                    findings.push(
                        Finding::new(&kind::MATCHES_NOTHING, Severity::Note, by, text)
                            .help("write targets as in code, with `_`: `my_crate::module`"),
                    );
                } else if let Some(other) =
                    matching.iter().find(|target| !row.target.ends_with("::") && !is_in_module(target))
                {
                    let text = format!(
                        "{}={} also matches {other}, which starts with the same letters",
                        row.target, row.threshold
                    );
                    findings.push(
                        Finding::new(&kind::PREFIX, Severity::Note, by, text).help(format!(
                            "the longest directive wins: add one for {other}, or write {}::",
                            row.target
                        )),
                    );
                }
            }
        }
        findings
    }
}

impl LevelState {
    /// Returns the findings about the thresholds alone.
    pub(crate) fn findings_without_effect(&self) -> Vec<Finding> {
        self.tables().map(|tables| tables.findings_without_effect(&self.variables)).unwrap_or_default()
    }

    /// Returns the findings about the thresholds and about the targets seen so far.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = self.findings_without_effect();
        findings
            .extend(self.tables().map(|tables| tables.findings_about_targets(&self.seen.all())).unwrap_or_default());
        findings
    }

    /// Returns the findings that no record so far has refuted.
    pub(crate) fn not_refuted(&self, findings: &[Finding]) -> Vec<Finding> {
        let seen = self.seen.all();
        let stands = |finding: &&Finding| !is_refuted(finding, seen.iter().map(String::as_str));
        findings.iter().filter(stands).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lint::lint_with_max;
    use super::super::state::LevelSets;
    use super::super::table::Origin;
    use super::*;
    use log::LevelFilter;

    fn levels(module: &str, otlp: &str) -> LevelState {
        let mut sets = LevelSets::default();
        sets.module.extend(parse(module).directives(), Origin::Environment, "RUST_LOG");
        sets.otlp.extend(parse(otlp).directives(), Origin::Environment, "LOGBRIDGE_OTLP_LEVEL");
        LevelState::new(sets, true, LevelFilter::Off)
    }

    #[test]
    fn a_destination_more_verbose_than_the_module_stage_is_found() {
        let findings = |module, otlp| levels(module, otlp).findings_without_effect();
        let found = findings("", "debug");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].text,
            "the level DEBUG of otlp has no effect: the module stage stops at WARN (not set: at the root, NOTSET means \
             WARN)"
        );
        assert!(findings("info", "app=debug")[0].text.contains("for app"));
        for (module, otlp) in
            [("debug", "debug"), ("app=debug", "debug"), ("app::db=debug", "app=debug"), ("info", "error")]
        {
            assert_eq!(findings(module, otlp), [], "{module} {otlp}");
        }
    }

    #[test]
    fn a_directive_that_matched_a_record_is_not_reported() {
        let levels = levels("", "");
        let found = |spec| lint_with_max("RUST_LOG", &parse(spec), LevelFilter::Trace);
        let names = |findings: Vec<Finding>| findings.iter().map(|finding| finding.name).collect::<Vec<_>>();
        let spec = "warn,my-target=debug,other-target=info,Audit=info,inof,a*=info";
        let all = ["hyphen", "hyphen", "uppercase", "level-as-target", "star"];
        assert_eq!(names(levels.not_refuted(&found(spec))), all);
        levels.lookup("inofficial");
        assert_eq!(names(levels.not_refuted(&found(spec))), all, "this target has another name");
        for target in ["my-target::x", "Audit", "inof::db", "a*b"] {
            levels.lookup(target);
        }
        assert_eq!(names(levels.not_refuted(&found(spec))), ["hyphen"]);
    }

    #[test]
    fn directives_are_compared_with_the_targets_seen() {
        let levels = levels("info,opentelemetry=off,my-app=debug,shop::=debug", "");
        for target in ["opentelemetry_demo::cart", "shop::db"] {
            levels.lookup(target);
        }
        let findings = levels.findings();
        let texts: Vec<_> = findings.iter().map(|finding| (finding.name, finding.text.as_str())).collect();
        assert_eq!(
            texts,
            [
                ("matches-nothing", "my-app matches no target seen so far"),
                (
                    "prefix",
                    "opentelemetry=OFF also matches opentelemetry_demo::cart, which starts with the same letters"
                ),
            ]
        );
    }
}

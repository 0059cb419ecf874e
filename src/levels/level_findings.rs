//! What only several thresholds together, or targets that were really seen, can tell.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::directive::parse;
use super::stage::Stage;
use super::state::{LevelState, LevelTables};
use super::suggestions::LevelVariables;
use crate::finding::{Finding, Kind, Severity, kind};

/// How many targets are remembered.
const MAX_SEEN: usize = 1_024;

/// Targets that have come by.
#[derive(Debug, Default)]
pub(super) struct SeenTargets {
    targets: Mutex<BTreeSet<String>>,
}

impl SeenTargets {
    /// Remembers a target, unless the lock is held, which it may be for ever in a forked child.
    pub(super) fn note(&self, target: &str) {
        if let Ok(mut targets) = self.targets.try_lock()
            && targets.len() < MAX_SEEN
            && !targets.contains(target)
        {
            targets.insert(target.to_owned());
        }
    }

    pub(super) fn all(&self) -> BTreeSet<String> {
        self.targets.try_lock().map(|targets| targets.clone()).unwrap_or_default()
    }
}

/// Whether a finding says that a directive reaches no record, and one of these targets shows that it does.
pub(crate) fn is_refuted<'t>(finding: &Finding, mut seen: impl Iterator<Item = &'t str>) -> bool {
    let is_of = |kinds: &[&Kind]| kinds.iter().any(|kind| kind.code == finding.code);
    let is_name = is_of(&[&kind::HYPHEN, &kind::UPPERCASE, &kind::STAR]);
    // A word that was meant as a level, and is the beginning of some other name, is still that.
    if !is_name && !is_of(&[&kind::LEVEL_AS_TARGET, &kind::COLON]) {
        return false;
    }
    let parsed = parse(&finding.evidence);
    let about = parsed.located().find(|(_, bytes)| bytes.contains(&finding.position.start));
    about.is_some_and(|(directive, _)| {
        seen.any(|target| match target.strip_prefix(directive.target.as_str()) {
            Some(rest) => !directive.target.is_empty() && (is_name || rest.is_empty() || rest.starts_with("::")),
            None => false,
        })
    })
}

impl LevelTables {
    /// Thresholds of destinations that ask for more than the module stage lets through.
    pub(super) fn without_effect(&self, variables: &LevelVariables) -> Vec<Finding> {
        let destinations = [Stage::Otlp, Stage::Console];
        destinations
            .into_iter()
            .flat_map(|stage| self.of(stage).rows().map(move |row| (stage, row)))
            .filter_map(|(stage, row)| {
                let by = row.by.as_deref()?;
                let decides = self.module.decide(&row.target);
                let below = self.module.rows().filter(|module| module.target.starts_with(&row.target));
                let most = below.map(|module| module.filter()).fold(decides.filter(), Ord::max);
                if row.filter() <= most {
                    return None;
                }
                let target = if row.target.is_empty() { String::new() } else { format!(" for {}", row.target) };
                let text = format!(
                    "{stage} asks for {}{target}, which has no effect: the module stage stops at {most} ({})",
                    row.threshold,
                    decides.describe(Stage::Module)
                );
                let changes = variables.suggestions(Stage::Module, decides, &row.target, row.filter().to_level()?);
                Some(Finding::new(&kind::THRESHOLD_WITHOUT_EFFECT, Severity::Warning, by, text).help(format!(
                    "a destination can only be stricter, so let the module stage through too: {}",
                    changes.join(", or ")
                )))
            })
            .collect()
    }

    /// Directives that match no target seen so far, and those that also match one of another crate.
    pub(super) fn against(&self, seen: &BTreeSet<String>) -> Vec<Finding> {
        if seen.is_empty() {
            return Vec::new();
        }
        let mut findings = Vec::new();
        for stage in Stage::FOR_RECORDS {
            for row in self.of(stage).rows().filter(|row| !row.target.is_empty()) {
                let by = row.by.as_deref().unwrap_or_default();
                let matching: Vec<&String> = seen.iter().filter(|target| target.starts_with(&row.target)).collect();
                let is_own = |target: &&&String| {
                    target.get(row.target.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
                };
                if matching.is_empty() {
                    let text = format!("{} matches no target seen so far", row.target);
                    findings.push(
                        Finding::new(&kind::MATCHES_NOTHING, Severity::Note, by, text)
                            .help("targets are written as crates are in code, with `_`: `my_crate::module`"),
                    );
                } else if let Some(other) =
                    matching.iter().find(|target| !row.target.ends_with("::") && !is_own(target))
                {
                    let text = format!(
                        "{}={} also decides about {other}, which begins with the same letters",
                        row.target, row.threshold
                    );
                    findings.push(
                        Finding::new(&kind::PREFIX, Severity::Note, by, text)
                            .help(format!("a longer directive wins: name {other} too, or write {}::", row.target)),
                    );
                }
            }
        }
        findings
    }
}

impl LevelState {
    /// What the tables alone tell.
    pub(crate) fn without_effect(&self) -> Vec<Finding> {
        self.tables().map(|tables| tables.without_effect(&self.variables)).unwrap_or_default()
    }

    /// What the tables and the targets seen so far tell together.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = self.without_effect();
        findings.extend(self.tables().map(|tables| tables.against(&self.seen.all())).unwrap_or_default());
        findings
    }

    /// Those that no record seen so far has refuted.
    pub(crate) fn not_refuted(&self, findings: &[Finding]) -> Vec<Finding> {
        let seen = self.seen.all();
        let stands = |finding: &&Finding| !is_refuted(finding, seen.iter().map(String::as_str));
        findings.iter().filter(stands).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::lint::lint_for;
    use super::super::state::LevelSets;
    use super::super::table::Origin;
    use super::*;
    use log::LevelFilter;

    fn live(module: &str, otlp: &str) -> LevelState {
        let mut sets = LevelSets::default();
        sets.module.extend(parse(module).directives, Origin::Environment, "RUST_LOG");
        sets.otlp.extend(parse(otlp).directives, Origin::Environment, "LOGBRIDGE_OTLP_LEVEL");
        LevelState::new(sets, true, LevelFilter::Off)
    }

    #[test]
    fn a_destination_that_asks_for_more_than_there_is() {
        let findings = |module, otlp| live(module, otlp).without_effect();
        let found = findings("", "debug");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].text,
            "otlp asks for DEBUG, which has no effect: the module stage stops at WARN (not set by anything: at the root, \
             NOTSET means WARN)"
        );
        assert!(findings("info", "app=debug")[0].text.contains("for app"));
        for (module, otlp) in
            [("debug", "debug"), ("app=debug", "debug"), ("app::db=debug", "app=debug"), ("info", "error")]
        {
            assert_eq!(findings(module, otlp), [], "{module} {otlp}");
        }
    }

    #[test]
    fn a_directive_that_a_record_has_met_is_not_said_to_reach_none() {
        let live = live("", "");
        let found = |spec| lint_for("RUST_LOG", spec, LevelFilter::Trace);
        let names = |findings: Vec<Finding>| findings.iter().map(|finding| finding.name).collect::<Vec<_>>();
        let spec = "warn,my-target=debug,other-target=info,Audit=info,inof,a*=info";
        let all = ["hyphen", "hyphen", "uppercase", "level-as-target", "star"];
        assert_eq!(names(live.not_refuted(&found(spec))), all);
        live.lookup("inofficial");
        assert_eq!(names(live.not_refuted(&found(spec))), all, "that has another name");
        for target in ["my-target::x", "Audit", "inof::db", "a*b"] {
            live.lookup(target);
        }
        assert_eq!(names(live.not_refuted(&found(spec))), ["hyphen"]);
    }

    #[test]
    fn directives_against_targets_that_were_seen() {
        let live = live("info,opentelemetry=off,my-app=debug,shop::=debug", "");
        for target in ["opentelemetry_demo::cart", "shop::db"] {
            live.lookup(target);
        }
        let findings = live.findings();
        let texts: Vec<_> = findings.iter().map(|finding| (finding.name, finding.text.as_str())).collect();
        assert_eq!(
            texts,
            [
                ("matches-nothing", "my-app matches no target seen so far"),
                (
                    "prefix",
                    "opentelemetry=OFF also decides about opentelemetry_demo::cart, which begins with the same letters"
                ),
            ]
        );
    }
}

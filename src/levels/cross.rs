//! What only several thresholds together, or targets that were really seen, can tell.

use std::collections::BTreeSet;
use std::sync::Mutex;

use super::live::Tables;
use super::stage::Stage;
use crate::finding::{Finding, Severity, kind};

/// How many targets are remembered.
const MAX_SEEN: usize = 1_024;

/// Targets that have come by.
#[derive(Debug, Default)]
pub(super) struct Seen {
    targets: Mutex<BTreeSet<String>>,
}

impl Seen {
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

impl Tables {
    /// Thresholds of destinations that ask for more than the module stage lets through.
    pub(crate) fn without_effect(&self) -> Vec<Finding> {
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
                let word = row.threshold.to_string().to_ascii_lowercase();
                let setting = if row.target.is_empty() { word } else { format!("{}={word}", row.target) };
                Some(Finding::new(&kind::THRESHOLD_WITHOUT_EFFECT, Severity::Warning, by, text).help(format!(
                    "a destination can only be stricter: let the module stage through too, with {setting} in {}",
                    Stage::Module.variable()
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
        for stage in Stage::OF_RECORDS {
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

#[cfg(test)]
mod tests {
    use super::super::directive::parse;
    use super::super::live::{LevelSets, Live};
    use super::super::table::Origin;
    use log::LevelFilter;

    fn live(module: &str, otlp: &str) -> Live {
        let mut sets = LevelSets::default();
        sets.module.extend(parse(module).directives, Origin::Environment, "RUST_LOG");
        sets.otlp.extend(parse(otlp).directives, Origin::Environment, "LOGBRIDGE_OTLP_LEVEL");
        Live::new(sets, true, LevelFilter::Off)
    }

    #[test]
    fn a_destination_that_asks_for_more_than_there_is() {
        let findings = |module, otlp| live(module, otlp).tables().expect("tables").without_effect();
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
    fn directives_against_targets_that_were_seen() {
        let live = live("info,opentelemetry=off,my-app=debug,shop::=debug", "");
        for target in ["opentelemetry_demo::cart", "shop::db"] {
            live.look(target);
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

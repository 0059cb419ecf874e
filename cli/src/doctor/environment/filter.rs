//! Checks RUST_LOG by the grammar of the crate that reads it: logbridge, env_logger or tracing-subscriber's EnvFilter.

use super::environment_finding;
use crate::doctor::project::{Facts, check_targets};
use logbridge::internals::finding::{Finding, FindingExt as _, Severity, kind};
use logbridge::internals::levels::{lint_at, parse};

const VARIABLE: &str = "RUST_LOG";

/// The crate whose grammar applies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Grammar {
    Logbridge,
    EnvLogger,
    EnvFilter,
}

impl Grammar {
    /// Returns the grammar that the project uses.
    pub(super) fn of(project: Option<&Facts<'_>>) -> Self {
        match project {
            Some(facts) if facts.uses.logbridge => Self::Logbridge,
            Some(facts) if facts.sources.has("EnvFilter") => Self::EnvFilter,
            Some(_) => Self::EnvLogger,
            None => Self::Logbridge,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Logbridge => "logbridge",
            Self::EnvLogger => "env_logger",
            Self::EnvFilter => "EnvFilter",
        }
    }

    /// Returns the findings about a filter and about the crates that it names.
    pub(super) fn check(self, spec: &str, project: Option<&Facts<'_>>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = lint_at(VARIABLE, spec).into_iter().filter_map(|f| self.adapt(f)).collect();
        findings.extend(self.unsupported_levels(spec));
        let Some(facts) = project else { return findings };
        // A misspelt level is not a crate either; one finding is enough.
        let is_known = |finding: &Finding| {
            let about =
                |other: &Finding| other.code == kind::LEVEL_AS_TARGET.code && other.position == finding.position;
            let is_span = self == Self::EnvFilter
                && directive_of(spec, finding).is_some_and(|piece| piece.contains(['[', ']', '{', '}']));
            findings.iter().any(about) || is_span
        };
        let of_crates: Vec<Finding> =
            check_targets(facts, VARIABLE, spec).into_iter().filter(|finding| !is_known(finding)).collect();
        findings.extend(of_crates);
        findings
    }

    /// Adapts a finding of logbridge's grammar to this one. Returns `None` if it does not apply.
    fn adapt(self, mut finding: Finding) -> Option<Finding> {
        if self == Self::Logbridge {
            return Some(finding);
        }
        if finding.code == kind::LONE_DIRECTIVE.code {
            finding.text =
                format!("all other targets use the root level, which is unset: {} filters them all", self.name());
            finding.corrected = Some(format!("warn,{}", finding.evidence));
        }
        if self == Self::EnvFilter {
            let word = finding.evidence.get(finding.position.clone()).unwrap_or_default();
            // EnvFilter supports spans, fields and numeric levels.
            let is_span = finding.code == kind::SPAN_DIRECTIVE.code || word.contains(['[', ']', '{', '}']);
            let is_number = [&kind::LEVEL_AS_TARGET, &kind::UNKNOWN_LEVEL].iter().any(|kind| kind.code == finding.code)
                && matches!(word, "0" | "1" | "2" | "3" | "4" | "5");
            if is_span || is_number {
                return None;
            }
        }
        finding.help =
            finding.help.map(|help| help.replace("warn, info, debug, trace and notset", "warn, info, debug and trace"));
        Some(finding)
    }

    /// Finds the levels `warning` and `notset`, which only logbridge supports.
    fn unsupported_levels(self, spec: &str) -> Vec<Finding> {
        if self == Self::Logbridge {
            return Vec::new();
        }
        let parsed = parse(spec);
        let words = parsed.located.iter().filter_map(|(_, bytes)| {
            let piece = spec.get(bytes.clone())?;
            let word = piece.rsplit('=').next()?.trim();
            let meant = match word.to_ascii_lowercase().as_str() {
                "warning" => "warn",
                "notset" => "trace",
                _ => return None,
            };
            let start = bytes.start + piece.rfind(word)?;
            let (kind, severity, text) = match piece.contains('=') {
                true => (
                    &kind::UNKNOWN_LEVEL,
                    Severity::Error,
                    format!("`{word}` is not a level of {}: `{piece}` is ignored", self.name()),
                ),
                false => (
                    &kind::LEVEL_AS_TARGET,
                    Severity::Warning,
                    format!(
                        "`{word}` is not a level of {}: it is read as a target, and nothing else passes",
                        self.name()
                    ),
                ),
            };
            let corrected = format!("{}{meant}{}", spec.get(..start)?, spec.get(start + word.len()..)?);
            let finding = environment_finding(
                kind,
                severity,
                VARIABLE,
                text,
                "the levels are off, error, warn, info, debug and trace",
            );
            let mut finding = finding.at(spec, start..start + word.len());
            finding.corrected = Some(corrected);
            Some(finding)
        });
        words.collect()
    }
}

/// Returns the directive that a finding is about.
fn directive_of<'a>(spec: &'a str, finding: &Finding) -> Option<&'a str> {
    let start = spec.get(..finding.position.start)?.rfind(',').map_or(0, |comma| comma + 1);
    spec.get(start..)?.split(',').next()
}

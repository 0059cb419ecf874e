//! Finds the parts of a filter string that are invalid or probably do not mean what was intended.
//!
//! The linter reads nothing but the string.

use std::ops::Range;

use log::LevelFilter;

use super::directive::{Directive, ParsedFilter, Piece, is_span_directive, parse};
use super::guess::{
    QUOTES, colon, looks_like_level, quoted, separators, similar_level, slashes_as_path, two_equals, without_star,
};
use super::message_filter::MessageFilter;
use super::threshold::Threshold;
use crate::escape::is_unsafe;
use crate::finding::{Finding, Kind, Severity, kind};

/// The doctor replaces the end of this text for libraries without `notset`.
const LEVELS_HELP: &str = "the levels are off, error, warn, info, debug, trace and notset";
/// Each finding has a copy of the whole filter, so their number is bounded.
const MAX_FINDINGS: usize = 32;
/// Directives are compared with each other only if there are at most this many.
const MAX_COMPARED: usize = 256;

/// Finds the parts of a filter string, such as the value of `RUST_LOG`, that are invalid or probably do not mean what
/// was intended.
///
/// Reads neither the environment nor the targets of records.
///
/// # Examples
///
/// ```
/// let findings = logbridge::levels::lint("warn,app=inof");
/// let shown = "\
/// error[LB001]: filter: `inof` is not a level: `app=inof` is ignored
///   warn,app=inof
///            ^^^^
///   help: the levels are off, error, warn, info, debug, trace and notset: `warn,app=info`";
/// assert_eq!(findings.len(), 1);
/// assert_eq!(findings[0].to_string().trim_end(), shown);
/// ```
#[must_use]
pub fn lint(spec: &str) -> Vec<Finding> {
    lint_at("filter", spec)
}

/// Lints a filter string that was set at `place`, such as `RUST_LOG`.
pub(crate) fn lint_at(place: &str, spec: &str) -> Vec<Finding> {
    lint_parsed(place, &parse(spec))
}

/// Lints a filter that is already parsed.
pub(crate) fn lint_parsed(place: &str, filter: &ParsedFilter<'_>) -> Vec<Finding> {
    lint_with_max(place, filter, log::STATIC_MAX_LEVEL)
}

/// Lints a filter for a build in which `log` records up to `static_max` exist.
pub(super) fn lint_with_max(place: &str, filter: &ParsedFilter<'_>, static_max: LevelFilter) -> Vec<Finding> {
    let mut linter = Linter { place, filter, spec: filter.spec, static_max, findings: Vec::new() };
    linter.lint();
    // The sort is stable: findings about the same bytes stay in the order of the checks.
    linter.findings.sort_by_key(|finding| (finding.position.start, finding.position.end));
    linter.findings.iter_mut().for_each(withhold_unprintable);
    linter.findings
}

/// Removes a correction that cannot be shown as it must be written: an escaped `\u{1b}` would be another target.
///
/// Line breaks and tabs are harmless, because they are shown as spaces.
fn withhold_unprintable(finding: &mut Finding) {
    let is_changed = |character| is_unsafe(character) && !matches!(character, '\n' | '\r' | '\t');
    if finding.corrected.as_ref().is_some_and(|corrected| corrected.contains(is_changed)) {
        finding.corrected = None;
        finding.help = Some("remove the control characters first: a correction cannot be shown with them".to_owned());
    }
}

struct Linter<'a> {
    place: &'a str,
    filter: &'a ParsedFilter<'a>,
    spec: &'a str,
    static_max: LevelFilter,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn find(&mut self, severity: Severity, kind: &'static Kind, position: Range<usize>, text: String) -> &mut Finding {
        let index = self.findings.len();
        self.findings.push(Finding::new(kind, severity, self.place, text).at(self.spec, position));
        &mut self.findings[index]
    }

    /// Returns the whole filter with these bytes replaced.
    fn replaced(&self, bytes: &Range<usize>, text: &str) -> String {
        format!("{}{text}{}", &self.spec[..bytes.start], &self.spec[bytes.end..])
    }

    fn lint(&mut self) {
        let (spec, filter) = (self.spec, self.filter);
        if let Some((bytes, inner)) = quoted(spec) {
            let corrected = self.replaced(&bytes, inner);
            let text = "the quotes are part of the filter, so it does not mean the text between them";
            self.find(Severity::Error, &kind::QUOTES, bytes, text.to_owned()).corrected = Some(corrected);
            return;
        }
        if filter.has_two_slashes {
            let second = spec.match_indices('/').nth(1).map_or(0..0, |(at, slash)| at..at + slash.len());
            let text = "a second `/` makes the whole filter invalid, so it has no effect, as in env_logger";
            let finding = self.find(Severity::Error, &kind::TWO_SLASHES, second, text.to_owned());
            finding.help =
                Some("write directives, then at most one `/` and a pattern for the text of records".to_owned());
            finding.corrected = slashes_as_path(spec);
            return;
        }
        let pieces = filter.pieces();
        let is_compared = pieces.len() <= MAX_COMPARED;
        for piece in pieces {
            if self.findings.len() >= MAX_FINDINGS {
                return;
            }
            self.piece(&piece);
        }
        if is_compared {
            self.repeated();
            self.prefixes();
        }
        self.lone();
        if let Some(message) = filter.message {
            self.message(message);
        }
    }

    fn piece(&mut self, piece: &Piece<'_>) {
        let bytes = piece.span.clone();
        let text = &self.spec[bytes.clone()];
        if is_span_directive(text) {
            let text = format!("`{text}` is ignored: directives for spans and fields belong to EnvFilter");
            self.find(Severity::Error, &kind::SPAN_DIRECTIVE, bytes, text).help = Some(
                "select records by target, as in `app::db=debug`; LOGBRIDGE_SPAN_LEVEL sets the level of spans"
                    .to_owned(),
            );
        } else if text.contains(QUOTES) {
            let corrected = self.replaced(&bytes, &text.replace(QUOTES, ""));
            let text = format!("the quotes are part of the name, so `{text}` {}", meaning(piece.directive));
            self.find(Severity::Error, &kind::QUOTES, bytes, text).corrected = Some(corrected);
        } else if let Some((separator, corrected)) = separators(text) {
            self.separator(piece, separator, &corrected);
        } else {
            match text.matches('=').count() {
                0 => self.word(piece),
                1 => self.target_and_level(piece),
                _ => self.two_equals(bytes),
            }
        }
    }

    fn separator(&mut self, piece: &Piece<'_>, separator: Range<usize>, corrected: &str) {
        let text = &self.spec[piece.span.clone()];
        let severity = if piece.directive.is_none() { Severity::Error } else { Severity::Warning };
        let what = match text[separator.clone()].trim() {
            "" if text[separator.clone()].contains('\n') => "a line break".to_owned(),
            "" => "a space".to_owned(),
            characters => format!("`{characters}`"),
        };
        let text =
            format!("{what} does not separate directives, only `,` does, so `{text}` {}", meaning(piece.directive));
        let corrected = self.replaced(&piece.span, corrected);
        let position = piece.span.start + separator.start..piece.span.start + separator.end;
        self.find(severity, &kind::SEPARATOR, position, text).corrected = Some(corrected);
    }

    fn two_equals(&mut self, bytes: Range<usize>) {
        let piece = &self.spec[bytes.clone()];
        let valid = two_equals(piece).filter(|candidate| parse(candidate).problems.is_empty());
        let corrected = valid.map(|valid| self.replaced(&bytes, &valid));
        let second = piece.match_indices('=').nth(1).map_or(0, |(at, _)| bytes.start + at);
        let text = format!("`{piece}` has more than one `=`, so it is ignored");
        self.find(Severity::Error, &kind::TWO_EQUALS, second..second + 1, text).corrected = corrected;
    }

    /// Lints a piece without `=`: a level for the root, or a target that passes all records.
    fn word(&mut self, piece: &Piece<'_>) {
        let bytes = piece.span.clone();
        let word = &self.spec[bytes.clone()];
        if let Some(root) = piece.directive.filter(|directive| directive.target.is_empty()) {
            self.compiled_out(bytes, root.threshold);
        } else if word.contains('*') {
            self.star(&bytes, &bytes, None);
        } else if let Some((position, corrected)) = colon(word) {
            let is_path = word[position.clone()].len() > 1;
            let severity = if is_path { Severity::Warning } else { Severity::Error };
            let text = match is_path {
                true => {
                    format!("`{word}` is read as a module with the name of a level, and passes all of its records")
                }
                false => format!("`{word}` has no `=`, so it is read as a target, which matches no module"),
            };
            let corrected = self.replaced(&bytes, &corrected);
            let position = bytes.start + position.start..bytes.start + position.end;
            self.find(severity, &kind::COLON, position, text).corrected = Some(corrected);
        } else if looks_like_level(word) {
            let corrected = similar_level(word, 1).map(|level| self.replaced(&bytes, level));
            let text = format!("`{word}` is not a level: it is read as a target, and passes all records of `{word}`");
            let finding = self.find(Severity::Warning, &kind::LEVEL_AS_TARGET, bytes, text);
            finding.help = Some(LEVELS_HELP.to_owned());
            finding.corrected = corrected;
        } else {
            self.target(bytes);
        }
    }

    /// Lints a piece with one `=`.
    fn target_and_level(&mut self, piece: &Piece<'_>) {
        let bytes = piece.span.clone();
        let text = &self.spec[bytes.clone()];
        let Some((target, level)) = text.split_once('=') else { return };
        let target = bytes.start..bytes.start + target.trim_end().len();
        let level = level.trim();
        let level_bytes = bytes.end - level.len()..bytes.end;
        if self.spec[target.clone()].contains('*') {
            self.star(&bytes, &target, Some(level));
        } else {
            self.target(target);
        }
        match piece.directive {
            _ if level.is_empty() => {}
            Some(directive) => self.compiled_out(level_bytes, directive.threshold),
            None => {
                let corrected = similar_level(level, 2).map(|word| self.replaced(&level_bytes, word));
                let text = format!("`{level}` is not a level: `{text}` is ignored");
                let finding = self.find(Severity::Error, &kind::UNKNOWN_LEVEL, level_bytes, text);
                finding.help = Some(LEVELS_HELP.to_owned());
                finding.corrected = corrected;
            }
        }
    }

    fn star(&mut self, bytes: &Range<usize>, target: &Range<usize>, level: Option<&str>) {
        let name = &self.spec[target.clone()];
        let corrected = without_star(name, level).map(|corrected| self.replaced(bytes, &corrected));
        let text = format!("`*` is not a wildcard, so `{name}` is not the target of any record");
        let finding = self.find(Severity::Warning, &kind::STAR, target.clone(), text);
        finding.help =
            Some("a target matches all targets that start with it, and a level alone matches everything".to_owned());
        finding.corrected = corrected;
    }

    fn target(&mut self, bytes: Range<usize>) {
        let target = &self.spec[bytes.clone()];
        let first = target.split(':').next().unwrap_or_default();
        // The OpenTelemetry crates name the targets of their own logs after the package.
        if target.contains('-') && !first.starts_with("opentelemetry-") {
            let text = format!(
                "`{target}` has a `-`, but targets of Rust modules have `_`: it matches only targets written with `-`"
            );
            let corrected = self.replaced(&bytes, &target.replace('-', "_"));
            let finding = self.find(Severity::Warning, &kind::HYPHEN, bytes.clone(), text);
            finding.help = Some("if a module is meant, write".to_owned());
            finding.corrected = Some(corrected);
        }
        if first.contains(|c: char| c.is_ascii_uppercase()) {
            let bytes = bytes.start..bytes.start + first.len();
            let corrected = self.replaced(&bytes, &first.to_ascii_lowercase());
            let text = format!("`{first}` has upper-case letters, which crate names seldom have, and case matters");
            self.find(Severity::Note, &kind::UPPERCASE, bytes, text).corrected = Some(corrected);
        }
    }

    fn compiled_out(&mut self, bytes: Range<usize>, threshold: Threshold) {
        if threshold.filter().is_none_or(|filter| filter <= self.static_max) {
            return;
        }
        let text = format!(
            "`log` records below {} are compiled out of this build, so {threshold} has no effect on them",
            self.static_max
        );
        self.find(Severity::Warning, &kind::COMPILED_OUT, bytes, text).help =
            Some("build without the `max_level_…` and `release_max_level_…` features of the crate `log`".to_owned());
    }

    fn repeated(&mut self) {
        let located: Vec<_> = self.filter.located.iter().collect();
        for (index, (directive, bytes)) in located.iter().enumerate() {
            if self.findings.len() >= MAX_FINDINGS {
                return;
            }
            let Some((last, _)) = located[index + 1..].iter().rfind(|(later, _)| later.target == directive.target)
            else {
                continue;
            };
            let name = match directive.target.as_str() {
                "" => "the root".to_owned(),
                target => format!("`{target}`"),
            };
            let text = format!("{name} is set more than once, and the last one wins: {}", last.threshold);
            let comma = self.spec[bytes.end..].find(',').map_or(bytes.end, |at| bytes.end + at + 1);
            let corrected = self.replaced(&(bytes.start..comma), "");
            self.find(Severity::Note, &kind::REPEATED, (*bytes).clone(), text).corrected = Some(corrected);
        }
    }

    fn prefixes(&mut self) {
        let filter = self.filter;
        for (directive, bytes) in filter.located.iter().filter(|(directive, _)| !directive.target.is_empty()) {
            let target = &directive.target;
            let mut longer: Vec<&str> = Vec::new();
            for (other, _) in &filter.located {
                let name = other.target.split(':').next().unwrap_or_default();
                if name.len() > target.len() && name.starts_with(target.as_str()) && !longer.contains(&name) {
                    longer.push(name);
                }
            }
            if longer.is_empty() || self.findings.len() >= MAX_FINDINGS {
                continue;
            }
            let text = format!(
                "`{target}` matches all targets that start with it, also those of `{}` without a longer directive",
                longer.join("`, `")
            );
            self.find(Severity::Note, &kind::PREFIX, bytes.start..bytes.start + target.len(), text);
        }
    }

    fn lone(&mut self) {
        // An unset root lets everything through at a destination, and means INFO for spans.
        let is_for_records = !self.place.starts_with("LOGBRIDGE_");
        let mut corrections = self.findings.iter().filter_map(|finding| finding.corrected.as_deref());
        let is_root_meant = corrections.any(|corrected| parse(corrected).has_root());
        if !is_for_records || is_root_meant || self.filter.has_root() || self.filter.located.is_empty() {
            return;
        }
        let text = format!(
            "no level is set for the root, so it defaults to {} (env_logger would switch it off)",
            Threshold::ROOT_NOT_SET
        );
        let corrected = format!("warn,{}", self.spec);
        let finding = self.find(Severity::Note, &kind::LONE_DIRECTIVE, 0..0, text);
        finding.help = Some("a level alone sets the root".to_owned());
        finding.corrected = Some(corrected);
    }

    fn message(&mut self, message: &str) {
        let path = slashes_as_path(self.spec);
        let (severity, text, help) = match MessageFilter::new(message) {
            Err(why) if cfg!(feature = "regex") => {
                (Severity::Error, format!("the pattern `/{message}` is invalid and has no effect: {why}"), None)
            }
            Err(why) => (
                Severity::Error,
                format!("`/{message}` is a pattern for the text of records, and has no effect: {why}"),
                Some("enable the feature `regex`, or remove the pattern"),
            ),
            Ok(_) if path.is_some() => {
                (Severity::Warning, format!("only records whose text matches `{message}` pass: `/` is not `::`"), None)
            }
            Ok(_) => (Severity::Note, format!("only records whose text matches `{message}` pass"), None),
        };
        let start = self.spec.len() - message.len();
        let finding = self.find(severity, &kind::MESSAGE_FILTER, start - 1..self.spec.len(), text);
        finding.help = help.filter(|_| path.is_none()).map(str::to_owned);
        finding.corrected = path;
    }
}

/// Returns how the parser reads a piece, as the end of a sentence.
fn meaning(directive: Option<&Directive>) -> String {
    match directive {
        None => "is ignored".to_owned(),
        Some(directive) if directive.target.is_empty() => format!("sets the root to {}", directive.threshold),
        Some(directive) => format!("is read as the target `{}` at {}", directive.target, directive.threshold),
    }
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;

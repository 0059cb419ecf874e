//! Looks at a filter string for what was probably meant otherwise. Pure: the string in, findings out.

use std::ops::Range;

use log::LevelFilter;

use super::directive::{FilterParts, is_span_directive, parse, parse_one, split};
use super::message_filter::MessageFilter;
use super::threshold::Threshold;
use crate::escape::is_unsafe;
use crate::finding::{Finding, Kind, Severity, kind};

/// The words people write where a level is expected, and the level they mean.
const ALIASES: [(&str, &[&str]); 6] = [
    ("off", &["0", "disable", "disabled", "false", "never", "no", "none", "quiet", "silent"]),
    ("error", &["1", "crit", "critical", "emerg", "err", "errors", "fatal", "severe"]),
    ("warn", &["2", "warnings", "wrn"]),
    ("info", &["3", "inf", "information", "notice"]),
    ("debug", &["4", "dbg"]),
    ("trace", &["5", "all", "any", "everything", "full", "max", "trc", "verbose"]),
];
const LEVELS: [&str; 8] = ["off", "error", "warn", "info", "debug", "trace", "warning", "notset"];
/// Crates that really exist under a name one edit away from a level.
const CRATES: [&str; 3] = ["tract", "tracy", "warp"];
const LEVELS_HELP: &str = "the levels are off, error, warn, info, debug, trace and notset";
const QUOTES: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];

/// Looks at a filter string, as in `RUST_LOG`, for what cannot be used and what probably means something else than was
/// meant. Reads nothing but the string: not the environment, not the targets of records.
///
/// ```
/// let findings = logbridge::levels::lint("warn,app=inof");
/// let shown = "\
/// error[LB001]: filter: `inof` is no level: `app=inof` is ignored
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

/// No more findings than this are made of one filter: each has a copy of all of it.
const MOST_FOUND: usize = 32;
/// Directives are compared with each other unless there are more of them than this.
const MOST_COMPARED: usize = 256;

/// [`lint`], with the name of the place the string comes from.
pub fn lint_at(place: &str, spec: &str) -> Vec<Finding> {
    lint_for(place, spec, log::STATIC_MAX_LEVEL)
}

/// `most` is what the build lets through.
pub(super) fn lint_for(place: &str, spec: &str, most: LevelFilter) -> Vec<Finding> {
    let mut linter = Linter { place, spec, most, found: Vec::new() };
    linter.whole();
    // Stable: what is found at the same place stays in the order of the checks.
    linter.found.sort_by_key(|finding| (finding.position.start, finding.position.end));
    linter.found.iter_mut().for_each(withhold);
    linter.found
}

/// Proposes nothing that is shown otherwise than it is to be written: with `\u{1b}` it would mean another target. Line breaks
/// and tabs are shown as spaces.
fn withhold(finding: &mut Finding) {
    let changes = |character| is_unsafe(character) && !matches!(character, '\n' | '\r' | '\t');
    if finding.corrected.as_ref().is_some_and(|corrected| corrected.contains(changes)) {
        finding.corrected = None;
        finding.help = Some("take out its control characters first: nobody can show how it is written".to_owned());
    }
}

struct Linter<'a> {
    place: &'a str,
    spec: &'a str,
    most: LevelFilter,
    found: Vec<Finding>,
}

impl Linter<'_> {
    fn say(&mut self, severity: Severity, kind: &'static Kind, position: Range<usize>, text: String) -> &mut Finding {
        let index = self.found.len();
        self.found.push(Finding::new(kind, severity, self.place, text).at(self.spec, position));
        &mut self.found[index]
    }

    /// The whole string with these bytes replaced.
    fn with(&self, bytes: &Range<usize>, text: &str) -> String {
        format!("{}{text}{}", &self.spec[..bytes.start], &self.spec[bytes.end..])
    }

    fn whole(&mut self) {
        let spec = self.spec;
        if let Some((bytes, inner)) = quoted(spec) {
            let corrected = self.with(&bytes, inner);
            let text = "quotes are part of the filter here, so it is not read as what is between them";
            self.say(Severity::Error, &kind::QUOTES, bytes, text.to_owned()).corrected = Some(corrected);
            return;
        }
        let Some(FilterParts { directives, message }) = split(spec) else {
            let second = spec.match_indices('/').nth(1).map_or(0..0, |(at, slash)| at..at + slash.len());
            let text = "a second `/` makes all of the filter invalid, so none of it has an effect, as in env_logger";
            let finding = self.say(Severity::Error, &kind::TWO_SLASHES, second, text.to_owned());
            finding.help = Some("directives, then at most one `/` with a filter on the text of records".to_owned());
            finding.corrected = slashes_as_path(spec);
            return;
        };
        let is_compared = directives.len() <= MOST_COMPARED;
        for piece in directives {
            if self.found.len() >= MOST_FOUND {
                return;
            }
            self.piece(piece);
        }
        if is_compared {
            self.repeated();
            self.prefixes();
        }
        self.lone();
        if let Some(message) = message {
            self.message(message);
        }
    }

    fn piece(&mut self, bytes: Range<usize>) {
        let spec = self.spec;
        let piece = &spec[bytes.clone()];
        if is_span_directive(piece) {
            let text =
                format!("`{piece}` is ignored: directives for spans and fields are EnvFilter's and not supported");
            self.say(Severity::Error, &kind::SPAN_DIRECTIVE, bytes, text).help = Some(
                "LOGBRIDGE_SPAN_LEVEL says which spans there are; records are chosen by target, as in `app::db=debug`"
                    .to_owned(),
            );
        } else if piece.contains(QUOTES) {
            let corrected = self.with(&bytes, &piece.replace(QUOTES, ""));
            let text = format!("quotes are part of the name here, so `{piece}` {}", read_as(piece));
            self.say(Severity::Error, &kind::QUOTES, bytes, text).corrected = Some(corrected);
        } else if let Some((separator, mended)) = separators(piece) {
            self.separator(&bytes, separator, &mended);
        } else {
            match piece.matches('=').count() {
                0 => self.bare(bytes),
                1 => self.pair(bytes),
                _ => self.two_equals(bytes),
            }
        }
    }

    fn separator(&mut self, bytes: &Range<usize>, separator: Range<usize>, mended: &str) {
        let piece = &self.spec[bytes.clone()];
        let severity = if parse_one(piece).is_err() { Severity::Error } else { Severity::Warning };
        let what = match piece[separator.clone()].trim() {
            "" if piece[separator.clone()].contains('\n') => "a line break".to_owned(),
            "" => "a space".to_owned(),
            characters => format!("`{characters}`"),
        };
        let text = format!("{what} separates nothing here, only `,` does, so `{piece}` {}", read_as(piece));
        let corrected = self.with(bytes, mended);
        let position = bytes.start + separator.start..bytes.start + separator.end;
        self.say(severity, &kind::SEPARATOR, position, text).corrected = Some(corrected);
    }

    fn two_equals(&mut self, bytes: Range<usize>) {
        let piece = &self.spec[bytes.clone()];
        let parts: Vec<&str> = piece.split('=').map(str::trim).collect();
        let named: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
        let candidate = match (named.as_slice(), parts.as_slice()) {
            ([target, level], _) => Some(format!("{target}={level}")),
            ([root, target, level], [_, _, _]) if is_level(root) && !is_level(target) => {
                Some(format!("{root},{target}={level}"))
            }
            _ => None,
        };
        let usable = candidate.filter(|candidate| parse(candidate).problems.is_empty());
        let corrected = usable.map(|usable| self.with(&bytes, &usable));
        let second = piece.match_indices('=').nth(1).map_or(0, |(at, _)| bytes.start + at);
        let text = format!("`{piece}` has more than one `=`, so it is ignored");
        self.say(Severity::Error, &kind::TWO_EQUALS, second..second + 1, text).corrected = corrected;
    }

    /// A piece without `=`: a level for the root, or a target that lets everything through.
    fn bare(&mut self, bytes: Range<usize>) {
        let word = &self.spec[bytes.clone()];
        if let Ok(threshold) = word.parse() {
            self.compiled_out(bytes, threshold);
        } else if word.contains('*') {
            self.star(&bytes, &bytes, None);
        } else if let Some((position, mended)) = colon(word) {
            let is_path = word[position.clone()].len() > 1;
            let severity = if is_path { Severity::Warning } else { Severity::Error };
            let text = match is_path {
                true => {
                    format!("`{word}` is read as a module whose name is a level, and lets everything of it through")
                }
                false => format!("`{word}` has no `=`, so it is read as a target of that name, which no module has"),
            };
            let corrected = self.with(&bytes, &mended);
            let position = bytes.start + position.start..bytes.start + position.end;
            self.say(severity, &kind::COLON, position, text).corrected = Some(corrected);
        } else if looks_like_level(word) {
            let corrected = likely(word, 1).map(|level| self.with(&bytes, level));
            let text = format!("`{word}` is no level: it is read as a target, and lets everything of `{word}` through");
            let finding = self.say(Severity::Warning, &kind::LEVEL_AS_TARGET, bytes, text);
            finding.help = Some(LEVELS_HELP.to_owned());
            finding.corrected = corrected;
        } else {
            self.target(bytes);
        }
    }

    /// A piece with one `=`.
    fn pair(&mut self, bytes: Range<usize>) {
        let piece = &self.spec[bytes.clone()];
        let Some((target, level)) = piece.split_once('=') else { return };
        let target = bytes.start..bytes.start + target.trim_end().len();
        let level = level.trim();
        let level_bytes = bytes.end - level.len()..bytes.end;
        if self.spec[target.clone()].contains('*') {
            self.star(&bytes, &target, Some(level));
        } else {
            self.target(target);
        }
        if level.is_empty() {
            return;
        }
        match level.parse() {
            Ok(threshold) => self.compiled_out(level_bytes, threshold),
            Err(_) => {
                let corrected = likely(level, 2).map(|word| self.with(&level_bytes, word));
                let text = format!("`{level}` is no level: `{piece}` is ignored");
                let finding = self.say(Severity::Error, &kind::UNKNOWN_LEVEL, level_bytes, text);
                finding.help = Some(LEVELS_HELP.to_owned());
                finding.corrected = corrected;
            }
        }
    }

    fn star(&mut self, bytes: &Range<usize>, target: &Range<usize>, level: Option<&str>) {
        let name = &self.spec[target.clone()];
        let (prefix, rest) = name.split_at(name.find('*').unwrap_or(name.len()));
        let prefix = prefix.trim_end_matches([':', '.']);
        // A level that is none would become a target, so it is mended here too.
        let level = match level {
            Some(level) if level.is_empty() || is_level(level) => Some(level),
            Some(level) => likely(level, 2),
            None => Some(""),
        };
        let mended = match (prefix, level) {
            _ if !rest.trim_matches(['*', ':', '.']).is_empty() => None,
            (_, None) => None,
            ("", Some("")) => Some("trace".to_owned()),
            ("", Some(level)) => Some(level.to_owned()),
            (prefix, Some("")) => Some(prefix.to_owned()),
            (prefix, Some(level)) => Some(format!("{prefix}={level}")),
        };
        let corrected = mended.map(|mended| self.with(bytes, &mended));
        let text = format!("`*` stands for nothing but itself, so `{name}` is no target of any record");
        let finding = self.say(Severity::Warning, &kind::STAR, target.clone(), text);
        finding.help = Some("a target stands for all that begin with it, and a level alone for everything".to_owned());
        finding.corrected = corrected;
    }

    fn target(&mut self, bytes: Range<usize>) {
        let target = &self.spec[bytes.clone()];
        let first = target.split(':').next().unwrap_or_default();
        // The OpenTelemetry crates name the targets of their own logs after the package.
        if target.contains('-') && !first.starts_with("opentelemetry-") {
            let text = format!(
                "`{target}` has a `-`: it reaches only records whose target is written so, and targets of Rust modules have `_` there"
            );
            let corrected = self.with(&bytes, &target.replace('-', "_"));
            let finding = self.say(Severity::Warning, &kind::HYPHEN, bytes.clone(), text);
            finding.help = Some("if a module is meant, write".to_owned());
            finding.corrected = Some(corrected);
        }
        if first.contains(|c: char| c.is_ascii_uppercase()) {
            let bytes = bytes.start..bytes.start + first.len();
            let corrected = self.with(&bytes, &first.to_ascii_lowercase());
            let text = format!("`{first}` has upper-case letters, which names of crates seldom have, and case matters");
            self.say(Severity::Note, &kind::UPPERCASE, bytes, text).corrected = Some(corrected);
        }
    }

    fn compiled_out(&mut self, bytes: Range<usize>, threshold: Threshold) {
        if threshold.filter().is_none_or(|asked| asked <= self.most) {
            return;
        }
        let text = format!(
            "{threshold} is asked for, but this build has no `log` records beyond {}: they are compiled out",
            self.most
        );
        self.say(Severity::Warning, &kind::COMPILED_OUT, bytes, text).help =
            Some("build without the `max_level_…` and `release_max_level_…` features of the crate log".to_owned());
    }

    fn repeated(&mut self) {
        let parsed = parse(self.spec);
        let located: Vec<_> = parsed.located().collect();
        for (index, (directive, bytes)) in located.iter().enumerate() {
            if self.found.len() >= MOST_FOUND {
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
            let text = format!("{name} is named more than once, and the last one counts: {}", last.threshold);
            let comma = self.spec[bytes.end..].find(',').map_or(bytes.end, |at| bytes.end + at + 1);
            let corrected = self.with(&(bytes.start..comma), "");
            self.say(Severity::Note, &kind::REPEATED, (*bytes).clone(), text).corrected = Some(corrected);
        }
    }

    fn prefixes(&mut self) {
        let parsed = parse(self.spec);
        for (directive, bytes) in parsed.located().filter(|(directive, _)| !directive.target.is_empty()) {
            let target = &directive.target;
            let mut longer: Vec<&str> = Vec::new();
            for (other, _) in parsed.located() {
                let name = other.target.split(':').next().unwrap_or_default();
                if name.len() > target.len() && name.starts_with(target.as_str()) && !longer.contains(&name) {
                    longer.push(name);
                }
            }
            if longer.is_empty() || self.found.len() >= MOST_FOUND {
                continue;
            }
            let text = format!(
                "`{target}` stands for all targets that begin with it: also for those of `{}` that nothing longer names",
                longer.join("`, `")
            );
            self.say(Severity::Note, &kind::PREFIX, bytes.start..bytes.start + target.len(), text);
        }
    }

    fn lone(&mut self) {
        let has_root = |spec: &str| parse(spec).directives.iter().any(|directive| directive.target.is_empty());
        // At a destination a root that is not set lets everything through, and for spans it means INFO.
        let is_records = !self.place.starts_with("LOGBRIDGE_");
        let meant = self.found.iter().filter_map(|finding| finding.corrected.as_deref()).any(has_root);
        if !is_records || meant || has_root(self.spec) || parse(self.spec).directives.is_empty() {
            return;
        }
        let text = format!(
            "everything else is at the root, which is not set and means {} (env_logger would switch it off)",
            Threshold::ROOT_NOT_SET
        );
        let corrected = format!("warn,{}", self.spec);
        let finding = self.say(Severity::Note, &kind::LONE_DIRECTIVE, 0..0, text);
        finding.help = Some("a level alone sets the root, so to say it".to_owned());
        finding.corrected = Some(corrected);
    }

    fn message(&mut self, bytes: Range<usize>) {
        let message = &self.spec[bytes.clone()];
        let path = slashes_as_path(self.spec);
        let (severity, text, help) = match MessageFilter::new(message) {
            Err(why) if cfg!(feature = "regex") => {
                (Severity::Error, format!("the filter on messages `/{message}` has no effect: {why}"), None)
            }
            Err(why) => (
                Severity::Error,
                format!("`/{message}` is a filter on messages, and has no effect: {why}"),
                Some("switch on the feature `regex`, or leave it out"),
            ),
            Ok(_) if path.is_some() => {
                (Severity::Warning, format!("only records whose text matches `{message}` pass: `/` is no `::`"), None)
            }
            Ok(_) => (Severity::Note, format!("only records whose text matches `{message}` pass"), None),
        };
        let finding = self.say(severity, &kind::MESSAGE_FILTER, bytes.start - 1..bytes.end, text);
        finding.help = help.filter(|_| path.is_none()).map(str::to_owned);
        finding.corrected = path;
    }
}

fn is_level(word: &str) -> bool {
    word.parse::<Threshold>().is_ok()
}

/// What a piece means as it stands.
fn read_as(piece: &str) -> String {
    match parse_one(piece) {
        Err(_) => "is ignored".to_owned(),
        Ok(directive) if directive.target.is_empty() => format!("sets the root to {}", directive.threshold),
        Ok(directive) => format!("is read as the target `{}` at {}", directive.target, directive.threshold),
    }
}

/// The bytes of a string that is between quotes as a whole, and what is between them.
fn quoted(spec: &str) -> Option<(Range<usize>, &str)> {
    let trimmed = spec.trim();
    let inner = trimmed.strip_prefix(QUOTES)?.strip_suffix(QUOTES)?;
    let start = spec.len() - spec.trim_start().len();
    (!inner.contains(QUOTES)).then_some((start..start + trimmed.len(), inner))
}

/// The first characters in a piece that were meant to separate, and the piece with commas instead.
fn separators(piece: &str) -> Option<(Range<usize>, String)> {
    let separates = |c: char| c == ';' || c == '|' || c.is_whitespace();
    let mut at = 0;
    let first = loop {
        let start = at + piece[at..].find(separates)?;
        let run = piece[start..].find(|c| !separates(c)).map_or(piece.len(), |len| start + len);
        // Spaces around `=` are trimmed.
        let beside_equals = piece[..start].ends_with('=') || piece[run..].starts_with('=');
        if !(beside_equals && piece[start..run].trim().is_empty()) {
            break start..run;
        }
        at = run;
    };
    let squeeze = |text: &str, around: &str| text.split(around).map(str::trim).collect::<Vec<_>>().join(around);
    let squeezed = squeeze(&squeeze(piece, "="), ":");
    let tokens: Vec<&str> = squeezed.split(separates).filter(|token| !token.is_empty()).collect();
    match tokens.as_slice() {
        // `app: debug` is about its colon.
        [one] if !piece.contains([';', '|', '=']) && colon(one).is_some() => None,
        tokens => Some((first, tokens.join(","))),
    }
}

/// The `:` or `::` in front of a level word, and the piece with `=` instead.
fn colon(word: &str) -> Option<(Range<usize>, String)> {
    let (before, level) = word.rsplit_once(':')?;
    let level = level.trim();
    is_level(level).then(|| {
        let target = before.trim_end_matches([':', ' ']);
        let mended = if target.is_empty() { level.to_owned() } else { format!("{target}={level}") };
        (target.len()..before.len() + 1, mended)
    })
}

/// A string whose slashes were meant as `::`: `app/db=debug`.
fn slashes_as_path(spec: &str) -> Option<String> {
    let is_segment = |segment: &str| {
        !segment.is_empty() && !is_level(segment) && segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let is_path = spec.split(',').filter(|piece| piece.contains('/')).all(|piece| {
        piece.split_once('=').is_some_and(|(path, level)| {
            path.trim().replace("::", "/").split('/').all(is_segment) && is_level(level.trim())
        })
    });
    is_path.then(|| spec.replace('/', "::"))
}

/// Whether a word was meant as a level, though it is none.
fn looks_like_level(word: &str) -> bool {
    !CRATES.contains(&word) && (likely(word, 1).is_some() || word.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The level that was probably meant: one that goes by this name elsewhere, else the nearest.
fn likely(word: &str, edits: usize) -> Option<&'static str> {
    let word = word.to_lowercase();
    for (level, names) in ALIASES {
        if names.contains(&word.as_str()) {
            return Some(level);
        }
    }
    // Two edits make `off` of any two letters.
    let edits = if word.chars().count() <= 3 { 1 } else { edits };
    let nearest = LEVELS.into_iter().map(|level| (distance(&word, level), level)).min()?;
    (nearest.0 <= edits).then_some(nearest.1)
}

/// How many characters to insert, remove, replace or swap with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    // No level is longer than this, and the others are far from all of them.
    let a: Vec<char> = a.chars().take(16).collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or_default()
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;

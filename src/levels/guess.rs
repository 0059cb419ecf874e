//! Guesses the intended meaning of an invalid or suspicious part of a filter string.

use std::ops::Range;

use super::threshold::Threshold;
use crate::finding::edit_distance;

/// The words that other libraries use for levels.
const ALIASES: [(&str, &[&str]); 6] = [
    ("off", &["0", "disable", "disabled", "false", "never", "no", "none", "quiet", "silent"]),
    ("error", &["1", "crit", "critical", "emerg", "err", "errors", "fatal", "severe"]),
    ("warn", &["2", "warnings", "wrn"]),
    ("info", &["3", "inf", "information", "notice"]),
    ("debug", &["4", "dbg"]),
    ("trace", &["5", "all", "any", "everything", "full", "max", "trc", "verbose"]),
];
const LEVELS: [&str; 8] = ["off", "error", "warn", "info", "debug", "trace", "warning", "notset"];
/// Crates that exist under a name one edit away from a level.
const CRATES: [&str; 3] = ["tract", "tracy", "warp"];
pub(super) const QUOTES: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];

pub(super) fn is_level(word: &str) -> bool {
    word.parse::<Threshold>().is_ok()
}

/// Returns whether a bare word is probably a misspelled level.
pub(super) fn looks_like_level(word: &str) -> bool {
    !CRATES.contains(&word) && (similar_level(word, 1).is_some() || word.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns the level that a word means in another library, or else the nearest level within this many edits.
pub(super) fn similar_level(word: &str, max_edits: usize) -> Option<&'static str> {
    let word = word.to_lowercase();
    for (level, aliases) in ALIASES {
        if aliases.contains(&word.as_str()) {
            return Some(level);
        }
    }
    // Two edits turn any two letters into `off`.
    let max_edits = if word.chars().count() <= 3 { 1 } else { max_edits };
    let (edits, level) = LEVELS.into_iter().map(|level| (edit_distance(&word, level), level)).min()?;
    (edits <= max_edits).then_some(level)
}

/// Returns the bytes of a string that is in quotes as a whole, and the text between the quotes.
pub(super) fn quoted(spec: &str) -> Option<(Range<usize>, &str)> {
    let trimmed = spec.trim();
    let inner = trimmed.strip_prefix(QUOTES)?.strip_suffix(QUOTES)?;
    let start = spec.len() - spec.trim_start().len();
    (!inner.contains(QUOTES)).then_some((start..start + trimmed.len(), inner))
}

/// Returns the first characters of a piece that were meant as a separator, and the piece with commas instead.
pub(super) fn separators(piece: &str) -> Option<(Range<usize>, String)> {
    let separates = |c: char| c == ';' || c == '|' || c.is_whitespace();
    let mut at = 0;
    let first = loop {
        let start = at + piece[at..].find(separates)?;
        let run = piece[start..].find(|c| !separates(c)).map_or(piece.len(), |len| start + len);
        // The parser ignores spaces around `=`.
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
        // In `app: debug` the colon is wrong, not the space.
        [one] if !piece.contains([';', '|', '=']) && colon(one).is_some() => None,
        tokens => Some((first, tokens.join(","))),
    }
}

/// Returns the bytes of a `:` or `::` before a level, and the piece with `=` instead.
pub(super) fn colon(word: &str) -> Option<(Range<usize>, String)> {
    let (before, level) = word.rsplit_once(':')?;
    let level = level.trim();
    is_level(level).then(|| {
        let target = before.trim_end_matches([':', ' ']);
        let corrected = if target.is_empty() { level.to_owned() } else { format!("{target}={level}") };
        (target.len()..before.len() + 1, corrected)
    })
}

/// Returns the piece with `=` where a piece with more than one `=` probably needs it or a comma.
pub(super) fn two_equals(piece: &str) -> Option<String> {
    let parts: Vec<&str> = piece.split('=').map(str::trim).collect();
    let words: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    match (words.as_slice(), parts.as_slice()) {
        ([target, level], _) => Some(format!("{target}={level}")),
        ([root, target, level], [_, _, _]) if is_level(root) && !is_level(target) => {
            Some(format!("{root},{target}={level}"))
        }
        _ => None,
    }
}

/// Returns a directive without the `*` in its target, unless other text follows the `*`.
///
/// `name` is the target, `level` the text after the `=`, if there is one.
pub(super) fn without_star(name: &str, level: Option<&str>) -> Option<String> {
    let (prefix, rest) = name.split_at(name.find('*').unwrap_or(name.len()));
    let prefix = prefix.trim_end_matches([':', '.']);
    // Without a target, an invalid level would become one, so it is corrected as well.
    let level = match level {
        Some(level) if level.is_empty() || is_level(level) => Some(level),
        Some(level) => similar_level(level, 2),
        None => Some(""),
    };
    match (prefix, level) {
        _ if !rest.trim_matches(['*', ':', '.']).is_empty() => None,
        (_, None) => None,
        ("", Some("")) => Some("trace".to_owned()),
        ("", Some(level)) => Some(level.to_owned()),
        (prefix, Some("")) => Some(prefix.to_owned()),
        (prefix, Some(level)) => Some(format!("{prefix}={level}")),
    }
}

/// Returns a filter with `::` for `/`, if the slashes were meant as paths: `app/db=debug`.
pub(super) fn slashes_as_path(spec: &str) -> Option<String> {
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

//! The grammar of filter strings: `target=level,level,target/message`, as in `RUST_LOG`.
//!
//! It is the grammar of env_logger (crate env_filter), with these differences:
//!
//! * `warning` and `notset` are levels. `warning` means WARN. `notset` inherits, and means WARN at the root.
//! * The root defaults to WARN. In env_logger, a record that no directive matches does not pass, and a string without
//!   any directive means ERROR.
//! * Spaces before `=` are ignored. In env_logger, `app =debug` names a target that ends with a space.
//! * `=debug` and `debug` both set the root, and the last one wins. In env_logger, the empty target is a second root,
//!   so `info,=debug,warn` means DEBUG there and WARN here.
//! * Span directives of tracing-subscriber's `EnvFilter` (`target[span{field=value}]=level`) are invalid. In env_logger
//!   they are split at each comma into targets and invalid levels.
//!
//! As in env_logger, two `/` make the whole string invalid, `target=` and `target` let everything through, numbers are
//! not levels, and the last directive for a target wins.

use std::ops::Range;

use super::threshold::Threshold;

/// A target prefix and its threshold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Directive {
    /// Matches all targets that start with it. Empty for the root.
    pub target: String,
    pub threshold: Threshold,
}

impl Directive {
    pub(crate) fn new(target: impl Into<String>, threshold: Threshold) -> Self {
        Self { target: target.into(), threshold }
    }
}

/// A parsed filter string.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ParsedFilter<'a> {
    pub(crate) spec: &'a str,
    /// The valid directives, each with its bytes in the string.
    pub located: Vec<(Directive, Range<usize>)>,
    /// The regular expression after the `/`, which the text of a record must match.
    pub(crate) message: Option<&'a str>,
    /// The invalid directives, or the whole string if it has two `/`.
    pub(crate) problems: Vec<FilterProblem<'a>>,
    pub(super) has_two_slashes: bool,
}

/// A part of a filter string that is invalid and therefore ignored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FilterProblem<'a> {
    pub(crate) text: &'a str,
    pub(crate) why: &'static str,
    /// The bytes of `text` in the string.
    pub(crate) span: Range<usize>,
}

/// A part of a filter string between two commas, without the spaces around it. It is never empty.
#[derive(Clone, Debug)]
pub(super) struct Piece<'p> {
    pub(super) span: Range<usize>,
    /// `None` if the piece is invalid.
    pub(super) directive: Option<&'p Directive>,
}

impl ParsedFilter<'_> {
    /// Returns the valid directives.
    pub fn directives(&self) -> impl Iterator<Item = &Directive> {
        self.located.iter().map(|(directive, _)| directive)
    }

    /// Returns all pieces in the order of the string. There are none if the string has two `/`.
    pub(super) fn pieces(&self) -> Vec<Piece<'_>> {
        let valid =
            self.located.iter().map(|(directive, span)| Piece { span: span.clone(), directive: Some(directive) });
        let invalid = self.problems.iter().filter(|_| !self.has_two_slashes);
        let invalid = invalid.map(|problem| Piece { span: problem.span.clone(), directive: None });
        let mut pieces: Vec<Piece<'_>> = valid.chain(invalid).collect();
        pieces.sort_by_key(|piece| piece.span.start);
        pieces
    }

    /// Returns whether a directive for the root is among the directives.
    pub(super) fn has_root(&self) -> bool {
        self.directives().any(|directive| directive.target.is_empty())
    }
}

/// Parses a filter string. An invalid directive does not affect the others.
pub(crate) fn parse(spec: &str) -> ParsedFilter<'_> {
    let mut parsed = ParsedFilter { spec, ..ParsedFilter::default() };
    let (directives, message) = match spec.split_once('/') {
        Some((_, message)) if message.contains('/') => {
            let why = "it has more than one `/`, which makes all of it invalid, as in env_logger";
            parsed.problems.push(FilterProblem { text: spec, why, span: 0..spec.len() });
            parsed.has_two_slashes = true;
            return parsed;
        }
        Some((directives, message)) => (directives, Some(message)),
        None => (spec, None),
    };
    parsed.message = message;
    for span in split(directives) {
        let text = &spec[span.clone()];
        match parse_directive(text) {
            Ok(directive) => parsed.located.push((directive, span)),
            Err(why) => parsed.problems.push(FilterProblem { text, why, span }),
        }
    }
    parsed
}

/// Splits directives at the commas and trims them. Leaves out the empty ones.
fn split(directives: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    while start <= directives.len() {
        let stop = start + piece_len(&directives[start..]);
        let piece = &directives[start..stop];
        let from = stop - piece.trim_start().len();
        let piece = piece.trim();
        if !piece.is_empty() {
            spans.push(from..from + piece.len());
        }
        start = stop + 1;
    }
    spans
}

/// Returns the bytes up to the next comma that is not between the brackets of a span directive.
fn piece_len(rest: &str) -> usize {
    let comma = |from: usize| rest[from..].find(',').map_or(rest.len(), |at| from + at);
    let first = comma(0);
    let piece = &rest[..first];
    match rest[first..].find(']') {
        Some(closed) if opens_span(piece) && !piece.contains(']') => comma(first + closed),
        _ => first,
    }
}

fn opens_span(piece: &str) -> bool {
    piece.split('=').next().is_some_and(|target| target.contains('['))
}

/// Returns whether a piece is written like a directive of `EnvFilter` that names a span or a field.
pub(super) fn is_span_directive(piece: &str) -> bool {
    opens_span(piece) && piece.contains([']', '{'])
}

fn parse_directive(piece: &str) -> Result<Directive, &'static str> {
    if is_span_directive(piece) {
        return Err("directives for spans and fields are not supported");
    }
    let Some((target, level)) = piece.split_once('=') else {
        // As in env_logger, a bare word that is not a level is a target that passes all records.
        return Ok(match piece.parse() {
            Ok(threshold) => Directive::new("", threshold),
            Err(_) => Directive::new(piece, Threshold::Trace),
        });
    };
    let (target, level) = (target.trim_end(), level.trim());
    if level.contains('=') {
        return Err("it has more than one `=`");
    }
    let threshold = match level {
        "" => Threshold::Trace,
        level => level.parse().map_err(|_| "its level is not one of notset, off, error, warn, info, debug, trace")?,
    };
    Ok(Directive::new(target, threshold))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(spec: &str) -> Vec<(String, Threshold)> {
        parse(spec).directives().map(|directive| (directive.target.clone(), directive.threshold)).collect()
    }

    #[test]
    fn the_grammar_is_env_loggers() {
        assert_eq!(
            directives("crate1::mod1=error,crate1::mod2,crate2=debug, info ,crate3="),
            [
                ("crate1::mod1".to_owned(), Threshold::Error),
                ("crate1::mod2".to_owned(), Threshold::Trace),
                ("crate2".to_owned(), Threshold::Debug),
                (String::new(), Threshold::Info),
                ("crate3".to_owned(), Threshold::Trace),
            ]
        );
        assert_eq!(directives(""), []);
        assert_eq!(directives(",,"), []);
    }

    #[test]
    fn warning_and_notset_are_levels() {
        assert_eq!(
            directives("warning,a=NOTSET"),
            [(String::new(), Threshold::Warn), ("a".to_owned(), Threshold::NotSet)]
        );
    }

    #[test]
    fn an_invalid_directive_does_not_affect_the_others() {
        let parsed = parse("a=inof,b=debug,c=info=warn/regex");
        assert!(parsed.directives().eq([&Directive::new("b", Threshold::Debug)]));
        assert_eq!(parsed.message, Some("regex"));
        let texts: Vec<_> = parsed.problems.iter().map(|problem| problem.text).collect();
        assert_eq!(texts, ["a=inof", "c=info=warn"]);
    }

    #[test]
    fn each_piece_has_its_bytes() {
        let spec = " info ,é = debug,, x=?,[s{a=1,b=2}]=info,[{f}],a[b/r";
        let parsed = parse(spec);
        let located: Vec<_> =
            parsed.located.iter().map(|(directive, span)| (directive.target.as_str(), &spec[span.clone()])).collect();
        assert_eq!(located, [("", "info"), ("é", "é = debug"), ("a[b", "a[b")]);
        for problem in &parsed.problems {
            assert_eq!(problem.text, &spec[problem.span.clone()]);
        }
        let texts: Vec<_> = parsed.problems.iter().map(|problem| problem.text).collect();
        assert_eq!(texts, ["x=?", "[s{a=1,b=2}]=info", "[{f}]"]);
        let pieces: Vec<_> = parsed.pieces().into_iter().map(|piece| &spec[piece.span]).collect();
        assert_eq!(pieces, ["info", "é = debug", "x=?", "[s{a=1,b=2}]=info", "[{f}]", "a[b"]);
    }

    #[test]
    fn two_slashes_make_the_whole_string_invalid() {
        let parsed = parse("debug/a/b");
        assert_eq!((parsed.located.as_slice(), parsed.message), (&[][..], None));
        assert!(parsed.has_two_slashes && parsed.pieces().is_empty());
        assert_eq!(parsed.problems.len(), 1);
        assert_eq!(parsed.problems[0].span, 0..9);
        assert_eq!(parse("info/").message, Some(""));
    }
}

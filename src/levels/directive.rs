//! The grammar of RUST_LOG: `target=level,level,target/message`. It is env_logger's (crate env_filter), except for:
//!
//! * `warning` is a level (WARN) and `notset` is one (inherit; at the root WARN). There they are no levels.
//! * A root that is not set means WARN. There a record that no directive names does not pass, and a string without any
//!   directive means ERROR.
//! * A space before `=` belongs to nothing. There `app =debug` names a target that ends in a space.
//! * `=debug` and `debug` both name the root, and the last one counts. There an empty target is a second root, and of
//!   the two the one that was named first last counts: `info,=debug,warn` is DEBUG there and WARN here.
//! * Span directives of tracing-subscriber's `EnvFilter` (`target[span{field=value}]=level`) are problems. There they
//!   are targets or bad levels, cut at each comma.
//!
//! The same as there: two `/` make all of it invalid, `target=` and `target` let everything through, numbers are no
//! levels, and the same target named twice counts as it was named last.

use std::ops::Range;

use super::threshold::Threshold;

/// One directive: a target (or the root) and its threshold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Directive {
    /// The prefix it applies to; empty for the root.
    pub target: String,
    pub threshold: Threshold,
}

impl Directive {
    pub(crate) fn new(target: impl Into<String>, threshold: Threshold) -> Self {
        Self { target: target.into(), threshold }
    }
}

/// What a filter string means, and what in it means nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ParsedFilter {
    pub directives: Vec<Directive>,
    /// Which bytes of the string each directive came from, in the same order.
    pub(crate) spans: Vec<Range<usize>>,
    /// What is behind the `/`: a regular expression that the text of a record must match.
    pub(crate) message: Option<String>,
    pub(crate) problems: Vec<FilterProblem>,
}

impl ParsedFilter {
    /// The directives with the bytes they came from.
    pub fn located(&self) -> impl Iterator<Item = (&Directive, &Range<usize>)> {
        self.directives.iter().zip(&self.spans)
    }
}

/// A piece of a filter string that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FilterProblem {
    /// The piece as it stands in the string.
    pub(crate) text: String,
    /// Why it cannot be used.
    pub(crate) why: &'static str,
    /// Which bytes of the string it is.
    pub(crate) span: Range<usize>,
}

/// Parses a filter string. One bad directive does not take the others with it.
pub fn parse(spec: &str) -> ParsedFilter {
    let mut parsed = ParsedFilter::default();
    let Some(FilterParts { directives, message }) = split(spec) else {
        let why = "it has more than one `/`, which makes all of it invalid, as in env_logger";
        parsed.problems.push(FilterProblem { text: spec.to_owned(), why, span: 0..spec.len() });
        return parsed;
    };
    for span in directives {
        let piece = &spec[span.clone()];
        match parse_one(piece) {
            Ok(directive) => {
                parsed.directives.push(directive);
                parsed.spans.push(span);
            }
            Err(why) => parsed.problems.push(FilterProblem { text: piece.to_owned(), why, span }),
        }
    }
    if let Some(message) = message {
        parsed.message = Some(spec[message.clone()].to_owned());
    }
    parsed
}

/// Which bytes of a filter string are what.
pub(super) struct FilterParts {
    /// What is between the commas, trimmed and without empty ones.
    pub(super) directives: Vec<Range<usize>>,
    /// What is behind the `/`.
    pub(super) message: Option<Range<usize>>,
}

/// Cuts a filter string. `None` for more than one `/`.
pub(super) fn split(spec: &str) -> Option<FilterParts> {
    let end = spec.find('/').unwrap_or(spec.len());
    let message = (end < spec.len()).then_some(end + 1..spec.len());
    if message.clone().is_some_and(|message| spec[message].contains('/')) {
        return None;
    }
    let mut directives = Vec::new();
    let mut start = 0;
    while start <= end {
        let stop = start + piece_len(&spec[start..end]);
        let piece = &spec[start..stop];
        let from = stop - piece.trim_start().len();
        let piece = piece.trim();
        if !piece.is_empty() {
            directives.push(from..from + piece.len());
        }
        start = stop + 1;
    }
    Some(FilterParts { directives, message })
}

/// Up to the next comma that is not between the brackets of a span directive.
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

/// Whether it is written as `EnvFilter`'s directives that name spans or fields.
pub(super) fn is_span_directive(piece: &str) -> bool {
    opens_span(piece) && piece.contains([']', '{'])
}

pub(super) fn parse_one(piece: &str) -> Result<Directive, &'static str> {
    if is_span_directive(piece) {
        return Err("directives for spans and fields are not supported");
    }
    let Some((target, level)) = piece.split_once('=') else {
        // A bare word is a level if it is one, and otherwise a target that lets everything through.
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
        level => level.parse().map_err(|_| "its level is none of notset, off, error, warn, info, debug, trace")?,
    };
    Ok(Directive::new(target, threshold))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(spec: &str) -> Vec<(String, Threshold)> {
        parse(spec).directives.into_iter().map(|d| (d.target, d.threshold)).collect()
    }

    #[test]
    fn env_loggers_grammar() {
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
    fn two_words_more() {
        assert_eq!(
            directives("warning,a=NOTSET"),
            [(String::new(), Threshold::Warn), ("a".to_owned(), Threshold::NotSet)]
        );
    }

    #[test]
    fn a_bad_directive_leaves_the_others() {
        let parsed = parse("a=inof,b=debug,c=info=warn/regex");
        assert_eq!(parsed.directives, [Directive::new("b", Threshold::Debug)]);
        assert_eq!(parsed.message.as_deref(), Some("regex"));
        let texts: Vec<_> = parsed.problems.iter().map(|problem| problem.text.as_str()).collect();
        assert_eq!(texts, ["a=inof", "c=info=warn"]);
    }

    #[test]
    fn each_piece_knows_its_bytes() {
        let spec = " info ,é = debug,, x=?,[s{a=1,b=2}]=info,[{f}],a[b/r";
        let parsed = parse(spec);
        let located: Vec<_> =
            parsed.located().map(|(directive, span)| (directive.target.as_str(), &spec[span.clone()])).collect();
        assert_eq!(located, [("", "info"), ("é", "é = debug"), ("a[b", "a[b")]);
        for problem in &parsed.problems {
            assert_eq!(problem.text, spec[problem.span.clone()]);
        }
        let texts: Vec<_> = parsed.problems.iter().map(|problem| problem.text.as_str()).collect();
        assert_eq!(texts, ["x=?", "[s{a=1,b=2}]=info", "[{f}]"]);
    }

    #[test]
    fn two_slashes_make_all_of_it_invalid() {
        let parsed = parse("debug/a/b");
        assert_eq!((parsed.directives.as_slice(), parsed.message), (&[][..], None));
        assert_eq!(parsed.problems.len(), 1);
        assert_eq!(parsed.problems[0].span, 0..9);
        assert_eq!(parse("info/").message.as_deref(), Some(""));
    }
}

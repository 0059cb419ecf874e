//! The grammar of RUST_LOG: `target=level,level,target`.

use super::threshold::Threshold;

/// One directive: a target (or the root) and its threshold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Directive {
    /// The prefix it applies to; empty for the root.
    pub(crate) target: String,
    pub(crate) threshold: Threshold,
}

/// What a filter string means, and what in it means nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Parsed {
    pub(crate) directives: Vec<Directive>,
    pub(crate) problems: Vec<Problem>,
}

/// A piece of a filter string that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    /// The piece as it stands in the string.
    pub(crate) text: String,
    /// Why it cannot be used.
    pub(crate) why: &'static str,
}

/// Parses a filter string. One bad directive does not take the others with it.
pub(crate) fn parse(spec: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let (directives, message_filter) = match spec.split_once('/') {
        Some((directives, filter)) => (directives, Some(filter)),
        None => (spec, None),
    };
    for piece in directives.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        match parse_one(piece) {
            Ok(directive) => parsed.directives.push(directive),
            Err(why) => parsed.problems.push(Problem { text: piece.to_owned(), why }),
        }
    }
    if let Some(filter) = message_filter {
        parsed.problems.push(Problem {
            text: format!("/{filter}"),
            why: "a filter on the message is not supported yet, so it has no effect",
        });
    }
    parsed
}

fn parse_one(piece: &str) -> Result<Directive, &'static str> {
    let Some((target, level)) = piece.split_once('=') else {
        // A bare word is a level if it is one, and otherwise a target that lets everything through.
        return Ok(match piece.parse() {
            Ok(threshold) => Directive { target: String::new(), threshold },
            Err(_) => Directive { target: piece.to_owned(), threshold: Threshold::Trace },
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
    Ok(Directive { target: target.to_owned(), threshold })
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
        assert_eq!(parsed.directives, [Directive { target: "b".to_owned(), threshold: Threshold::Debug }]);
        let texts: Vec<_> = parsed.problems.iter().map(|problem| problem.text.as_str()).collect();
        assert_eq!(texts, ["a=inof", "c=info=warn", "/regex"]);
    }
}

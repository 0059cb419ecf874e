//! Every kind of finding: its code, its name, what it says of a missing record, and its page.
//!
//! Constraints:
//! * A code never changes its meaning and is never given away again: people search for it.
//! * Each file has its range of codes, so that two people can add one without meeting: `levels` LB001 to LB019,
//!   `settings` LB020 to LB044, `project` LB045 to LB062, `endpoint` LB063 to LB074, `running` LB075 to LB090, `arrived`
//!   LB091 to LB099.
//! * A kind is a cause that a user can act on, not a place in the code; what is special about a case is in the finding.

mod arrived;
mod endpoint;
mod levels;
mod project;
mod running;
mod settings;

use std::fmt;

/// What a kind is called in code.
pub mod kind {
    pub use super::{arrived::*, endpoint::*, levels::*, project::*, running::*, settings::*};
}

/// What has become of a record that is missing. Every kind of finding has one, and there are no others.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Verdict {
    /// No record was made: the call is compiled out, stopped by the facade, or nobody listens to it.
    NeverCreated,
    /// A level or a filter has cut it.
    Filtered,
    /// It was left out on purpose for where it comes from: telemetry is suppressed there, its trace is not sampled, it is
    /// like too many others.
    Suppressed,
    /// It waits to be sent.
    Queued,
    /// It was given up before an endpoint answered.
    Dropped,
    /// An endpoint has refused it, or has not confirmed it.
    Refused,
    /// It arrived, and is not where or as one looks for it.
    HardToFind,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NeverCreated => "never created",
            Self::Filtered => "filtered",
            Self::Suppressed => "suppressed",
            Self::Queued => "queued",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::HardToFind => "accepted but hard to find",
        })
    }
}

/// A kind of finding. `Display` is its page, as `logbridge explain LB001` shows it.
#[derive(Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Kind {
    /// Such as `LB001`. It never changes its meaning.
    pub code: &'static str,
    /// The same in words, such as `unknown-level`.
    pub name: &'static str,
    /// What it means for a record that is missing.
    pub verdict: Verdict,
    /// What it is, in one lower-case sentence without an end.
    pub title: &'static str,
    /// How it comes to be, and how it loses records.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
}

impl Kind {
    /// All that there are, by code.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        [levels::ALL, settings::ALL, project::ALL, endpoint::ALL, running::ALL, arrived::ALL]
            .into_iter()
            .flatten()
            .copied()
    }

    /// The one with this code or this name, in any case of letters.
    #[must_use]
    pub fn of(code: &str) -> Option<&'static Self> {
        Self::all().find(|kind| kind.code.eq_ignore_ascii_case(code) || kind.name.eq_ignore_ascii_case(code))
    }

    /// All pages as one Markdown text: what `docs/findings.md` is.
    #[must_use]
    pub fn markdown() -> String {
        let mut text = String::from("| Code | Name | A missing record is | What it is |\n|---|---|---|---|\n");
        for Self { code, name, verdict, title, .. } in Self::all() {
            text.push_str(&format!("| [{code}](#{}) | `{name}` | {verdict} | {title} |\n", code.to_lowercase()));
        }
        for Self { code, name, verdict, title, cause, fix } in Self::all() {
            text.push_str(&format!(
                "\n## {code}\n\n**{title}** (`{name}`). What a missing record is then: {verdict}.\n\n{cause}\n\n*What to do:* {fix}\n"
            ));
        }
        text
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, name, verdict, title, cause, fix } = self;
        writeln!(f, "{code} {name}: {title}\nwhat a missing record is then: {verdict}\n\n{cause}\n\nWhat to do: {fix}")
    }
}

/// Kinds as constants, and the list of them.
macro_rules! kinds {
    ($($constant:ident = $code:literal $name:literal $verdict:ident $title:literal, $cause:literal, $fix:literal;)*) => {
        $(
            #[allow(dead_code, reason = "the kinds of the tools are used with the feature `cli` only")]
            pub static $constant: $crate::finding::Kind = $crate::finding::Kind {
                code: $code,
                name: $name,
                verdict: $crate::finding::Verdict::$verdict,
                title: $title,
                cause: $cause,
                fix: $fix,
            };
        )*
        /// All of this file, by code.
        pub(super) static ALL: &[&$crate::finding::Kind] = &[$(&$constant),*];
    };
}
use kinds;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_in_order_and_in_the_range_of_their_file() {
        let codes: Vec<_> = Kind::all().map(|kind| kind.code).collect();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
        let names: HashSet<_> = Kind::all().map(|kind| kind.name).collect();
        assert_eq!(names.len(), codes.len());
        for (list, range) in [
            (levels::ALL, 1..=19),
            (settings::ALL, 20..=44),
            (project::ALL, 45..=62),
            (endpoint::ALL, 63..=74),
            (running::ALL, 75..=90),
            (arrived::ALL, 91..=99),
        ] {
            for kind in list {
                let number: u32 =
                    kind.code.strip_prefix("LB").and_then(|number| number.parse().ok()).expect("a number");
                assert!(range.contains(&number) && kind.code.len() == 5, "{}", kind.code);
            }
        }
    }

    #[test]
    fn every_kind_has_a_page() {
        for kind in Kind::all() {
            let Kind { code, name, title, cause, fix, .. } = kind;
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert!(!title.is_empty() && !title.ends_with('.') && title.len() < 90, "{code}: {title}");
            assert!(cause.len() > 60 && cause.ends_with(['.', ')']), "{code}: {cause}");
            assert!(fix.len() > 20 && fix.ends_with(['.', ')', '`']), "{code}: {fix}");
            assert_eq!(Kind::of(&code.to_lowercase()), Some(kind));
            assert_eq!(Kind::of(name), Some(kind));
        }
    }

    #[test]
    fn the_documentation_is_what_the_code_says() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/findings.md");
        let same = std::fs::read_to_string(file).is_ok_and(|found| found == Kind::markdown());
        assert!(same, "write it anew: cargo run --features cli -- explain --markdown > docs/findings.md");
    }
}

//! The catalog: every kind of finding with its code, its name, its record outcome and its page.
//!
//! Constraints:
//! * A code keeps its meaning and is never reused: people search for it.
//! * Each file has two ranges of codes. All codes of the first ranges are in use, so a new kind takes the next free code
//!   of the second range of its file:
//!
//!   | file | in use | for new kinds |
//!   |---|---|---|
//!   | `levels` | LB001 to LB019 | LB100 to LB119 |
//!   | `settings` | LB020 to LB044 | LB120 to LB144 |
//!   | `project` | LB045 to LB062 | LB145 to LB169 |
//!   | `endpoint` | LB063 to LB074 | LB170 to LB184 |
//!   | `running` | LB075 to LB090 | LB185 to LB204 |
//!   | `received` | LB091 to LB099 | LB205 to LB219 |
//!
//! * Within a file, kinds are in the order of their codes.
//! * A kind is a cause that a user can act on, not a place in the code. The finding itself describes the single case.

mod definition;
mod endpoint;
mod levels;
mod project;
mod received;
mod running;
mod settings;

pub use definition::{Kind, RecordOutcome};

/// All kinds, as constants.
pub mod kind {
    pub use super::{endpoint::*, levels::*, project::*, received::*, running::*, settings::*};
}

impl Kind {
    /// Returns all kinds, by code.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let files = [levels::ALL, settings::ALL, project::ALL, endpoint::ALL, running::ALL, received::ALL];
        let mut kinds: Vec<&'static Self> = files.into_iter().flatten().copied().collect();
        kinds.sort_unstable_by_key(|kind| kind.code);
        kinds.into_iter()
    }

    /// Returns the kind with this code or name, ignoring case.
    #[must_use]
    pub fn of(code: &str) -> Option<&'static Self> {
        Self::all().find(|kind| kind.code.eq_ignore_ascii_case(code) || kind.name.eq_ignore_ascii_case(code))
    }

    /// Returns all pages as Markdown. `docs/findings.md` is this text.
    #[must_use]
    pub fn markdown() -> String {
        let mut text = String::from("| Code | Name | Effect on a record | Summary |\n|---|---|---|---|\n");
        for Self { code, name, outcome, title, .. } in Self::all() {
            text.push_str(&format!("| [{code}](#{}) | `{name}` | {outcome} | {title} |\n", code.to_lowercase()));
        }
        for Self { code, name, outcome, title, effect, cause, fix, example } in Self::all() {
            text.push_str(&format!(
                "\n## {code}\n\n**`{name}`**: {title}. Effect on a record: {outcome}.\n\n*What happens:* {effect}\n\n\
                 *Why:* {cause}\n\n*How to fix:* {fix}\n\n*Example:* {example}\n"
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_in_order_and_in_a_range_of_their_file() {
        let codes: Vec<_> = Kind::all().map(|kind| kind.code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "not unique: {codes:?}");
        let names: HashSet<_> = Kind::all().map(|kind| kind.name).collect();
        assert_eq!(names.len(), codes.len());
        for (list, first, second) in [
            (levels::ALL, 1..=19, 100..=119),
            (settings::ALL, 20..=44, 120..=144),
            (project::ALL, 45..=62, 145..=169),
            (endpoint::ALL, 63..=74, 170..=184),
            (running::ALL, 75..=90, 185..=204),
            (received::ALL, 91..=99, 205..=219),
        ] {
            assert!(list.is_sorted_by(|a, b| a.code < b.code), "not in the order of codes: {list:?}");
            for kind in list {
                let number: u32 =
                    kind.code.strip_prefix("LB").and_then(|number| number.parse().ok()).expect("a number");
                let is_in_range = first.contains(&number) || second.contains(&number);
                assert!(is_in_range && kind.code.len() == 5, "{}", kind.code);
            }
        }
    }

    #[test]
    fn every_kind_has_a_page() {
        for kind in Kind::all() {
            let Kind { code, name, title, effect, cause, fix, example, .. } = kind;
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
            assert!(!title.is_empty() && !title.ends_with('.') && title.len() < 90, "{code}: {title}");
            for text in [effect, cause, fix] {
                assert!(text.len() >= 20 && text.starts_with(|c: char| !c.is_lowercase()), "{code}: {text}");
                assert!(text.ends_with('.'), "{code}: {text}");
            }
            assert!(example.len() >= 10 && !example.ends_with(char::is_whitespace), "{code}: {example}");
            assert_eq!(Kind::of(&code.to_lowercase()), Some(kind));
            assert_eq!(Kind::of(name), Some(kind));
        }
    }

    #[test]
    fn the_documentation_is_what_the_code_says() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/findings.md");
        let same = std::fs::read_to_string(file).is_ok_and(|found| found == Kind::markdown());
        // Not written directly: the shell would empty the file, which the library includes, before the compiler reads it.
        assert!(
            same,
            "regenerate it with `just findings`, or with these two commands:\n  \
             cargo run -p logbridge-cli -- explain --markdown > docs/findings.md.new\n  \
             mv docs/findings.md.new docs/findings.md"
        );
    }
}

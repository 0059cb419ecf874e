//! The one look of a line: what stands where, and, where colours are wanted, in which colour.

use std::fmt;

use super::Attributes;
use crate::escape::OneLine;

/// So many digits of an id tell traces apart on a screen.
const SHORT_ID: usize = 8;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paint {
    /// With colours, which are escape sequences.
    pub colours: bool,
    /// With the name of the service in front of the target.
    pub service: bool,
    /// With the first digits of ids only.
    pub short_ids: bool,
    pub places: Places,
}

/// Whether attributes are shown that only say where in a program something was: `code.*` and `thread.*`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Places {
    /// In lines, and not in trees.
    #[default]
    InLines,
    Hidden,
    Shown,
}

/// Whether an attribute only says where in a program something was.
fn is_place(key: &str) -> bool {
    key.starts_with("code.") || key.starts_with("thread.")
}

const DIM: &str = "2";
const TARGET: &str = "1";
const SERVICE: &str = "35";
const KIND: &str = "36";
const BAD: &str = "31";

impl Paint {
    /// Begins a colour; [`Paint::end`] ends it.
    fn begin(self, f: &mut fmt::Formatter<'_>, code: &str) -> fmt::Result {
        if self.colours { write!(f, "\u{1b}[{code}m") } else { Ok(()) }
    }

    fn end(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.colours { f.write_str("\u{1b}[0m") } else { Ok(()) }
    }

    fn in_colour(self, f: &mut fmt::Formatter<'_>, code: &str, text: &str) -> fmt::Result {
        self.begin(f, code)?;
        write!(f, "{}", OneLine(text))?;
        self.end(f)
    }

    /// In nanoseconds since 1970; 0 is none.
    pub(super) fn time(self, f: &mut fmt::Formatter<'_>, time: u64) -> fmt::Result {
        self.begin(f, DIM)?;
        match time {
            0 => f.write_str("(no time)")?,
            time => write!(f, "{}", timestamp(time))?,
        }
        self.end(f)
    }

    /// The severity in the colours of env_logger.
    pub(super) fn severity(self, f: &mut fmt::Formatter<'_>, number: i32, text: &str) -> fmt::Result {
        let padding = 5usize.saturating_sub(text.chars().count());
        write!(f, " {:padding$}", "")?;
        self.in_colour(f, severity_colour(number), text)?;
        f.write_str(" ")
    }

    /// The severity where a line begins with it.
    pub(super) fn severity_first(self, f: &mut fmt::Formatter<'_>, number: i32, text: &str) -> fmt::Result {
        self.in_colour(f, severity_colour(number), text)?;
        let padding = 5usize.saturating_sub(text.chars().count());
        write!(f, "{:padding$}", "")
    }

    pub(super) fn heading(self, f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
        self.begin(f, TARGET)?;
        f.write_fmt(text)?;
        self.end(f)
    }

    /// What it is, where it is no record.
    pub(super) fn kind(self, f: &mut fmt::Formatter<'_>, kind: &str) -> fmt::Result {
        let padding = 5usize.saturating_sub(kind.chars().count());
        write!(f, " {:padding$}", "")?;
        self.in_colour(f, KIND, kind)?;
        f.write_str(" ")
    }

    pub(super) fn service(self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        if !self.service {
            return Ok(());
        }
        self.in_colour(f, SERVICE, if name.is_empty() { "(no service)" } else { name })?;
        f.write_str(" ")
    }

    /// A target, the name of a span, that of a metric.
    pub(super) fn name(self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        self.in_colour(f, TARGET, name)
    }

    pub(super) fn bad(self, f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
        self.begin(f, BAD)?;
        f.write_fmt(text)?;
        self.end(f)
    }

    /// Those of a line, behind two spaces; nothing where there are none.
    pub(super) fn attributes(self, f: &mut fmt::Formatter<'_>, all: &Attributes) -> fmt::Result {
        self.those(f, all, |key| self.places != Places::Hidden || !is_place(key))
    }

    /// Those of a node of a tree that are `wanted`.
    pub(super) fn attributes_in_tree(
        self,
        f: &mut fmt::Formatter<'_>,
        all: &Attributes,
        wanted: fn(&str) -> bool,
    ) -> fmt::Result {
        self.those(f, all, |key| self.places == Places::Shown || (!is_place(key) && wanted(key)))
    }

    fn those(self, f: &mut fmt::Formatter<'_>, all: &Attributes, shown: impl Fn(&str) -> bool) -> fmt::Result {
        let shown: Attributes =
            all.iter().filter(|(key, _)| shown(key)).map(|(key, value)| (key.to_owned(), value.clone())).collect();
        if shown.is_empty() {
            return Ok(());
        }
        f.write_str("  ")?;
        self.begin(f, DIM)?;
        write!(f, "{shown}")?;
        self.end(f)
    }

    /// Those that are there, behind two spaces.
    pub(super) fn ids(self, f: &mut fmt::Formatter<'_>, ids: &[(&str, &str)]) -> fmt::Result {
        let mut space = "  ";
        for (word, id) in ids.iter().filter(|(_, id)| !id.is_empty()) {
            f.write_str(space)?;
            self.begin(f, DIM)?;
            match id.get(..SHORT_ID).filter(|_| self.short_ids && id.len() > SHORT_ID) {
                Some(start) => write!(f, "{word}={start}…")?,
                None => {
                    write!(f, "{word}=")?;
                    write!(f, "{}", OneLine(id))?;
                }
            }
            self.end(f)?;
            space = " ";
        }
        Ok(())
    }
}

/// As env_logger has them.
fn severity_colour(number: i32) -> &'static str {
    match number {
        1..=4 => "36",
        5..=8 => "34",
        9..=12 => "32",
        13..=16 => "33",
        17.. => "1;31",
        _ => DIM,
    }
}

/// Nanoseconds since the epoch as RFC 3339 in UTC, to the microsecond.
fn timestamp(nanos: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default();
    format!("{time:.6}")
}

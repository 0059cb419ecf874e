//! The style of lines and trees: what they contain, in which order and color.

use std::fmt;

use super::Attributes;
use crate::escape::OneLine;

/// The number of digits of a shortened id, enough to tell the traces on a screen apart.
const SHORT_ID: usize = 8;

/// The style of a line.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineStyle {
    /// Whether to write colors as escape sequences.
    pub colors: bool,
    /// Whether to write the name of the service before the target.
    pub service: bool,
    /// Whether to write only the first digits of ids.
    pub short_ids: bool,
    pub code_attributes: CodeAttributes,
}

/// Whether to show the attributes `code.*` and `thread.*`, which name a place in the program.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CodeAttributes {
    /// In lines, but not in trees.
    #[default]
    LinesOnly,
    Hidden,
    Shown,
}

fn is_code_attribute(key: &str) -> bool {
    key.starts_with("code.") || key.starts_with("thread.")
}

const DIM: &str = "2";
const TARGET: &str = "1";
const SERVICE: &str = "35";
const KIND: &str = "36";
const ERROR: &str = "31";

impl LineStyle {
    /// Begins a color, which [`LineStyle::end`] ends.
    fn begin(self, f: &mut fmt::Formatter<'_>, code: &str) -> fmt::Result {
        if self.colors { write!(f, "\u{1b}[{code}m") } else { Ok(()) }
    }

    fn end(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.colors { f.write_str("\u{1b}[0m") } else { Ok(()) }
    }

    fn in_color(self, f: &mut fmt::Formatter<'_>, code: &str, text: &str) -> fmt::Result {
        self.begin(f, code)?;
        write!(f, "{}", OneLine(text))?;
        self.end(f)
    }

    /// Writes a time in nanoseconds since 1970. 0 means unset.
    pub(super) fn time(self, f: &mut fmt::Formatter<'_>, time: u64) -> fmt::Result {
        self.begin(f, DIM)?;
        match time {
            0 => f.write_str("(no time)")?,
            time => write!(f, "{}", timestamp(time))?,
        }
        self.end(f)
    }

    /// Writes a severity, right-aligned between spaces.
    pub(super) fn severity(self, f: &mut fmt::Formatter<'_>, number: i32, text: &str) -> fmt::Result {
        self.right_aligned(f, severity_color(number), text)
    }

    /// Writes a severity at the beginning of a line, left-aligned.
    pub(super) fn severity_first(self, f: &mut fmt::Formatter<'_>, number: i32, text: &str) -> fmt::Result {
        self.in_color(f, severity_color(number), text)?;
        let padding = 5usize.saturating_sub(text.chars().count());
        write!(f, "{:padding$}", "")
    }

    pub(super) fn heading(self, f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
        self.begin(f, TARGET)?;
        f.write_fmt(text)?;
        self.end(f)
    }

    /// Writes `SPAN` or `METRIC` in place of a severity.
    pub(super) fn kind(self, f: &mut fmt::Formatter<'_>, kind: &str) -> fmt::Result {
        self.right_aligned(f, KIND, kind)
    }

    fn right_aligned(self, f: &mut fmt::Formatter<'_>, code: &str, text: &str) -> fmt::Result {
        let padding = 5usize.saturating_sub(text.chars().count());
        write!(f, " {:padding$}", "")?;
        self.in_color(f, code, text)?;
        f.write_str(" ")
    }

    pub(super) fn service(self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        if !self.service {
            return Ok(());
        }
        self.in_color(f, SERVICE, if name.is_empty() { "(no service)" } else { name })?;
        f.write_str(" ")
    }

    /// Writes a target, or the name of a span or metric.
    pub(super) fn name(self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        self.in_color(f, TARGET, name)
    }

    pub(super) fn error(self, f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
        self.begin(f, ERROR)?;
        f.write_fmt(text)?;
        self.end(f)
    }

    /// Writes two spaces and the attributes of a line, or nothing if there are none.
    pub(super) fn attributes(self, f: &mut fmt::Formatter<'_>, all: &Attributes) -> fmt::Result {
        self.filtered_attributes(f, all, |key| {
            self.code_attributes != CodeAttributes::Hidden || !is_code_attribute(key)
        })
    }

    /// Writes two spaces and the `wanted` attributes of a node in a tree, or nothing if there are none.
    pub(super) fn attributes_in_tree(
        self,
        f: &mut fmt::Formatter<'_>,
        all: &Attributes,
        wanted: fn(&str) -> bool,
    ) -> fmt::Result {
        self.filtered_attributes(f, all, |key| {
            self.code_attributes == CodeAttributes::Shown || (!is_code_attribute(key) && wanted(key))
        })
    }

    fn filtered_attributes(
        self,
        f: &mut fmt::Formatter<'_>,
        all: &Attributes,
        shown: impl Fn(&str) -> bool,
    ) -> fmt::Result {
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

    /// Writes two spaces and the ids that are not empty, or nothing if all are.
    pub(super) fn ids(self, f: &mut fmt::Formatter<'_>, ids: &[(&str, &str)]) -> fmt::Result {
        let mut space = "  ";
        for (name, id) in ids.iter().filter(|(_, id)| !id.is_empty()) {
            f.write_str(space)?;
            self.begin(f, DIM)?;
            match id.get(..SHORT_ID).filter(|_| self.short_ids && id.len() > SHORT_ID) {
                Some(start) => write!(f, "{name}={start}…")?,
                None => {
                    write!(f, "{name}=")?;
                    write!(f, "{}", OneLine(id))?;
                }
            }
            self.end(f)?;
            space = " ";
        }
        Ok(())
    }
}

/// Returns the color that env_logger uses.
fn severity_color(number: i32) -> &'static str {
    match number {
        1..=4 => "36",
        5..=8 => "34",
        9..=12 => "32",
        13..=16 => "33",
        17.. => "1;31",
        _ => DIM,
    }
}

/// Formats nanoseconds since 1970 as RFC 3339 in UTC, with microseconds.
fn timestamp(nanos: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default();
    format!("{time:.6}")
}

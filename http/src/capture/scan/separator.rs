//! Separators of names and values that are escaped: `\u003d` for `=`, as JSON that is safe inside of HTML has it.

use super::Scanner;

/// Escapes after any backslashes, in lower case, and whether they mean a colon.
const ESCAPES: [(&str, bool); 4] = [("u003d", false), ("x3d", false), ("u003a", true), ("x3a", true)];

/// Entities of HTML, in lower case.
const ENTITIES: [(&str, bool); 6] =
    [("&#61;", false), ("&#x3d;", false), ("&equals;", false), ("&#58;", true), ("&#x3a;", true), ("&colon;", true)];

/// What stands between a name and its value.
#[derive(Clone, Copy)]
pub(super) struct Separator {
    pub(super) at: usize,
    pub(super) len: usize,
    pub(super) is_colon: bool,
}

impl Separator {
    pub(super) fn end(self) -> usize {
        self.at + self.len
    }
}

impl Scanner<'_, '_> {
    /// Returns the separator that the escape or entity at a position means.
    pub(super) fn escaped_separator(&self, at: usize) -> Option<Separator> {
        let rest = self.bytes.get(at..)?;
        let begins = |rest: &[u8], escape: &str| {
            rest.get(..escape.len()).is_some_and(|start| start.eq_ignore_ascii_case(escape.as_bytes()))
        };
        let (escape, is_colon, before) = match rest.split_first()? {
            (b'\\', after) => {
                let (escape, is_colon) = ESCAPES.into_iter().find(|(escape, _)| begins(after, escape))?;
                (escape, is_colon, 1)
            }
            _ => {
                let (entity, is_colon) = ENTITIES.into_iter().find(|(entity, _)| begins(rest, entity))?;
                (entity, is_colon, 0)
            }
        };
        Some(Separator { at, len: before + escape.len(), is_colon })
    }
}

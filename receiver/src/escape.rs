//! Escapes received text for terminals: no character of it can move the cursor, begin a line or reorder the display.

use std::fmt::{self, Write as _};

/// The maximum length of an [`excerpt`] in characters.
pub(crate) const EXCERPT_CHARS: usize = 200;

/// Returns whether a terminal might act on this character instead of showing it: C0 and C1 controls, DEL, the line and
/// paragraph separators, and the bidirectional controls.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Displays a text on one line: unsafe characters appear as `\n` or `\u{1b}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_unsafe(character) { write!(f, "{}", character.escape_default())? } else { f.write_char(character)? }
        }
        Ok(())
    }
}

/// Returns a text on one line, cut after [`EXCERPT_CHARS`] characters.
pub(crate) fn excerpt(text: &str) -> String {
    // Cut before escaping too, since the text may be very long.
    let end = text.char_indices().nth(EXCERPT_CHARS).map_or(text.len(), |(at, _)| at);
    let mut shown = OneLine(text.get(..end).unwrap_or_default()).to_string();
    let is_cut = end < text.len() || shown.chars().nth(EXCERPT_CHARS).is_some();
    if is_cut {
        let end = shown.char_indices().nth(EXCERPT_CHARS - 1).map_or(shown.len(), |(at, _)| at);
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_unsafe_character_survives() {
        for character in ('\0'..=char::MAX).filter(|character| is_unsafe(*character)) {
            assert!(!OneLine(&format!("a{character}b")).to_string().contains(character), "{character:?}");
        }
        assert_eq!(OneLine("größer 漢字\n\u{1b}[2J").to_string(), "größer 漢字\\n\\u{1b}[2J");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(excerpt("short\n"), "short\\n");
        assert_eq!(excerpt(&"x".repeat(1_000)), format!("{}…", "x".repeat(EXCERPT_CHARS - 1)));
        assert_eq!(excerpt(&"\n".repeat(150)).chars().count(), EXCERPT_CHARS);
    }
}

//! Escaping of untrusted text, so that it can neither move the cursor nor start a line nor reorder the text of a
//! terminal.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// The largest width to which a column is padded. The standard library panics for a width above 65,535.
pub const WIDEST_COLUMN: usize = 100;

/// Returns whether a terminal may act on a character instead of showing it.
///
/// These are C0 and C1 controls, DEL, the line and paragraph separators, and the bidirectional controls.
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Displays text on one line. Unsafe characters appear as `\n` or `\u{1b}`.
#[derive(Clone, Copy, Debug)]
pub struct OneLine<'a>(pub &'a str);

impl<'a> OneLine<'a> {
    /// Returns the escaped text, borrowed if there is nothing to escape.
    pub(crate) fn to_cow(self) -> Cow<'a, str> {
        if self.0.contains(is_unsafe) { Cow::Owned(self.to_string()) } else { Cow::Borrowed(self.0) }
    }
}

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, is_unsafe)
    }
}

/// Displays text of several lines. Line feeds and tabs stay; other unsafe characters appear as `\u{1b}`.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a>(pub &'a str);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, |character| is_unsafe(character) && !matches!(character, '\n' | '\t'))
    }
}

/// Escapes the unsafe characters that JSON leaves as they are. The argument must be JSON.
///
/// JSON escapes C0 controls only. All other unsafe characters occur in strings only.
pub(crate) fn json(json: String) -> String {
    let is_escaped = |character: char| is_unsafe(character) && character >= '\u{7f}';
    if !json.contains(is_escaped) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len() + 16), |mut escaped, character| {
        let _infallible = match is_escaped(character) {
            // All of them are in the basic multilingual plane.
            true => write!(escaped, "\\u{:04x}", u32::from(character)),
            false => escaped.write_char(character),
        };
        escaped
    })
}

/// The largest number of characters that are quoted from untrusted text.
pub(crate) const WORDS: usize = 200;

/// Returns untrusted text on one line, truncated if it is long.
pub fn words(text: &str) -> String {
    at_most(text, WORDS)
}

/// Returns text on one line, truncated to a number of characters.
pub(crate) fn at_most(text: &str, characters: usize) -> String {
    // Truncate before escaping as well, because the text may be very long.
    let end = text.char_indices().nth(characters).map_or(text.len(), |(at, _)| at);
    let mut shown = OneLine(text.get(..end).unwrap_or_default()).to_string();
    let is_cut = end < text.len() || shown.chars().nth(characters).is_some();
    if is_cut {
        let end = shown.char_indices().nth(characters.saturating_sub(1)).map_or(shown.len(), |(at, _)| at);
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

fn write_escaped(f: &mut fmt::Formatter<'_>, mut text: &str, is_escaped: impl Fn(char) -> bool) -> fmt::Result {
    while let Some((at, character)) = text.char_indices().find(|(_, character)| is_escaped(*character)) {
        f.write_str(text.get(..at).unwrap_or_default())?;
        for escaped in character.escape_default() {
            f.write_char(escaped)?;
        }
        text = text.get(at + character.len_utf8()..).unwrap_or_default();
    }
    f.write_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_unsafe_character_survives() {
        for character in ('\0'..=char::MAX).filter(|character| is_unsafe(*character)) {
            let text = format!("a{character}b");
            assert!(!OneLine(&text).to_string().contains(character), "{character:?}");
            let kept = matches!(character, '\n' | '\t');
            assert_eq!(Lines(&text).to_string().contains(character), kept, "{character:?}");
        }
    }

    #[test]
    fn json_is_escaped_and_keeps_its_meaning() {
        let text: String =
            ('\0'..=char::MAX).filter(|character| is_unsafe(*character)).chain("ü\\u{}\"".chars()).collect();
        let escaped = json(serde_json::json!({ &text: [&text] }).to_string());
        assert_eq!(escaped.find(is_unsafe), None, "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), serde_json::json!({ &text: [&text] }));
        assert_eq!(json("{\"ü\":1}".to_owned()), "{\"ü\":1}");
    }

    #[test]
    fn other_text_stays_as_it_is() {
        let text = "größer 漢字 👩\u{200d}🚀 \"quoted\" \\n";
        assert_eq!(OneLine(text).to_string(), text);
        assert_eq!(OneLine("two\nlines\u{1b}[2J\u{9b}1m\u{202e}").to_string(), r"two\nlines\u{1b}[2J\u{9b}1m\u{202e}");
    }
}

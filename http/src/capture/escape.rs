//! Decoding of escapes in names and values.

use std::borrow::Cow;

/// Decodes `%77`. A `+` stays, which separates words as a space does. Invalid escapes stay as they are.
pub(super) fn percent_decoded(text: &str) -> Cow<'_, str> {
    // Nothing is decoded of `100%`, so that a caller can tell whether the text has changed.
    let is_encoded = |code: &[u8]| matches!(code, [b'%', digits @ ..] if hex(digits).is_some());
    if !text.contains('%') || !text.as_bytes().windows(3).any(is_encoded) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        let byte = match (first, rest) {
            (b'%', [high, low, after @ ..]) => hex(&[*high, *low]).map(|code| (code as u8, after)),
            _ => None,
        };
        match byte {
            Some((byte, after)) => {
                decoded.push(byte);
                bytes = after;
            }
            None => decoded.push(*first),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// Decodes the escapes of JSON and JavaScript strings: `\u0077`, `\x77`, `\/`, at any depth of nested strings.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        decoded.push_str(rest.get(..at).unwrap_or_default());
        // A nested string doubles its backslashes.
        let escape = rest.get(at..).unwrap_or_default().trim_start_matches('\\');
        let mut chars = escape.chars();
        let digits = match chars.next() {
            Some('u') => 4,
            Some('x') => 2,
            _ => 0,
        };
        let code = chars.as_str().as_bytes().get(..digits).filter(|_| digits > 0).and_then(hex);
        match code {
            Some(code) => {
                decoded.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = escape.get(1 + digits..).unwrap_or_default();
            }
            None => rest = escape,
        }
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |code, digit| Some(code << 4 | (*digit as char).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_invalid_ones_stay() {
        for (text, expected) in [
            ("pass%77ord", "password"),
            ("%e2%82%ac", "€"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%ff", "\u{fffd}"),
            ("é%41", "éA"),
        ] {
            assert_eq!(percent_decoded(text), expected);
            assert_eq!(matches!(percent_decoded(text), Cow::Borrowed(_)), text == expected, "{text}");
        }
        for (text, expected) in [
            (r"pass\u0077ord", "password"),
            (r"pass\\u0077ord", "password"),
            (r"\x70ass", "pass"),
            (r"a\/b\n", "a/bn"),
            (r"\u00", "u00"),
            (r"\ud800x", "\u{fffd}x"),
            (r"\uü", "uü"),
            ("\\", ""),
        ] {
            assert_eq!(unescaped(text), expected);
        }
    }
}

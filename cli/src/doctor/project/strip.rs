//! Blanks out comments, the contents of string literals, and test code in Rust source.
//!
//! Offsets do not change, so a place in one form of the source is the same place in the other.

/// A source file in two forms of the same length.
#[derive(Clone, Debug)]
pub(crate) struct Stripped {
    /// Without comments, test code and the contents of string literals.
    pub(crate) code: String,
    /// Without comments and test code.
    pub(crate) text: String,
}

/// Blanks out everything but code.
pub(crate) fn strip(source: &str) -> Stripped {
    let mut code = source.as_bytes().to_vec();
    let mut text = code.clone();
    let bytes = source.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (length, contents) = token(rest, at.checked_sub(1).map(|before| bytes[before]));
        match contents {
            Some(Contents::Comment) => {
                blank(&mut code[at..at + length]);
                blank(&mut text[at..at + length]);
            }
            Some(Contents::Text) => {
                // An unterminated literal has no closing quote.
                let end = at + length - usize::from(bytes[at + length - 1].is_ascii());
                blank(&mut code[at + 1..end.max(at + 1)]);
            }
            None => {}
        }
        at += length;
    }
    for range in test_items(&code) {
        blank(&mut code[range.clone()]);
        blank(&mut text[range]);
    }
    // Only whole characters were replaced, so the result is valid UTF-8.
    Stripped { code: String::from_utf8_lossy(&code).into_owned(), text: String::from_utf8_lossy(&text).into_owned() }
}

enum Contents {
    Comment,
    Text,
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

/// Returns the length of the first token, and its kind if it is not code.
fn token(rest: &[u8], before: Option<u8>) -> (usize, Option<Contents>) {
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match rest {
        [b'/', b'/', ..] => {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            (end, Some(Contents::Comment))
        }
        [b'/', b'*', ..] => (block_comment(rest), Some(Contents::Comment)),
        [b'"', ..] => (quoted(rest), Some(Contents::Text)),
        [b'r', b'"' | b'#', ..] if !in_word => match raw(&rest[1..]) {
            Some(length) => (1 + length, Some(Contents::Text)),
            None => (1, None),
        },
        [b'\'', b'\\', _, tail @ ..] => match tail.iter().position(|byte| *byte == b'\'') {
            Some(end) => (4 + end, Some(Contents::Text)),
            None => (1, None),
        },
        // A character literal, not a lifetime.
        [b'\'', _, b'\'', ..] => (3, Some(Contents::Text)),
        _ => (1, None),
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0usize, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Returns the length of a raw string literal after its `r`.
fn raw(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    if rest.get(hashes) != Some(&b'"') {
        return None;
    }
    let mut end = vec![b'"'];
    end.resize(hashes + 1, b'#');
    let body = &rest[hashes + 1..];
    let found =
        body.windows(end.len()).position(|window| window == end).unwrap_or(body.len().saturating_sub(end.len()));
    Some((hashes + 1 + found + end.len()).min(rest.len()))
}

/// Returns the ranges of items with `#[cfg(test)]` or a test attribute.
fn test_items(code: &[u8]) -> Vec<std::ops::Range<usize>> {
    let Ok(text) = std::str::from_utf8(code) else { return Vec::new() };
    let mut found = Vec::new();
    for marker in ["#[cfg(test)]", "#[cfg(all(test", "#[test]", "#[tokio::test"] {
        for (start, _) in text.match_indices(marker) {
            let from = start + marker.len();
            let end = item_end(text, from);
            found.push(start..end);
        }
    }
    found
}

/// Returns the end of an item: after its body, or after its `;` outside of brackets.
fn item_end(text: &str, from: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'{' if depth == 0 => return closing(text, at),
            b';' if depth == 0 => return at + 1,
            // The last field of a struct or arm of a match.
            b'}' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// Returns the place after the bracket that closes the bracket at `open`.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let bytes = code.as_bytes();
    let mut depth = 0usize;
    for (at, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_code_is_blanked_and_offsets_stay() {
        for (source, code) in [
            ("a(); // b()\nc()", "a();\nc()"),
            ("a(/* b /* c */ d */ e)", "a(e)"),
            ("f(\"x \\\" // y\", z)", "f(\"\",z)"),
            // A raw string with hashes.
            ("f(r#\"a\"b\"#); g()", "f(r#);g()"),
            ("x('\"'); y('\\n', 'a, 'b)", "x('');y('','a,'b)"),
            ("a\n#[cfg(test)]\nmod t { b() }\nc", "a\n\n\nc"),
            ("#[cfg(test)] fn f(a: [u8; 2]) { b() } c()", "c()"),
            ("#[cfg(all(test, any(x, y)))] use a::{b, c}; d()", ";d()"),
            ("struct A { a: u8, #[cfg(test)] b: u8 } c()", "structA{a:u8,}c()"),
            ("\u{e4} \"\u{f6}\"", "\u{e4}\"\""),
        ] {
            let stripped = strip(source);
            assert_eq!(stripped.code.replace(' ', ""), code, "{source}");
            assert_eq!((stripped.code.len(), stripped.text.len()), (source.len(), source.len()), "{source}");
        }
        assert_eq!(strip("f(\"http://x\") // y").text, "f(\"http://x\")     ");
    }

    #[test]
    fn broken_sources_break_nothing() {
        for source in ["\"", "r#\"", "/*", "'\\", "'", "#[cfg(test)]", "#[cfg(test)] mod t {", "}}}", "r\"", "'\\x"] {
            assert_eq!(strip(source).code.len(), source.len(), "{source}");
        }
    }
}

//! Text on the page: escaping, code, numbers, and the classes of the style sheet.

use indicatif::HumanCount;
use maud::{Render, html};

use crate::command::run::outcomes::UNKNOWN;
use logbridge::internals::escape::is_unsafe;

/// Untrusted text, escaped for elements and attributes.
///
/// Unlike the escaping of `maud`, this also escapes control characters and marks of direction.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Render for Escaped<'_> {
    fn render_to(&self, buffer: &mut String) {
        for character in self.0.chars() {
            match character {
                '&' => buffer.push_str("&amp;"),
                '<' => buffer.push_str("&lt;"),
                '>' => buffer.push_str("&gt;"),
                '"' => buffer.push_str("&quot;"),
                '\'' => buffer.push_str("&#39;"),
                '\n' | '\t' => buffer.push(' '),
                other if is_unsafe(other) => buffer.extend(other.escape_default()),
                other => buffer.push(other),
            }
        }
    }
}

/// Untrusted text with code between backticks.
pub(super) struct Prose<'a>(pub(super) &'a str);

impl Render for Prose<'_> {
    fn render_to(&self, buffer: &mut String) {
        let parts: Vec<&str> = self.0.split('`').collect();
        for (index, part) in parts.iter().enumerate() {
            let part = Escaped(part);
            match index % 2 {
                0 => part.render_to(buffer),
                // A backtick without a partner is an ordinary character.
                _ if index + 1 == parts.len() => html! { "`" (part) }.render_to(buffer),
                _ => html! { code { (part) } }.render_to(buffer),
            }
        }
    }
}

/// Formats a number with separators between thousands.
pub(super) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Returns the CSS class of a level.
pub(super) fn level_class(level: &str) -> String {
    match level {
        UNKNOWN | "no level" => "level-none".to_owned(),
        level => format!("level-{level}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(markup: impl Render) -> String {
        markup.render().into_string()
    }

    #[test]
    fn text_cannot_become_markup() {
        let hostile = "<script>alert(1)</script>\" onload='x' & \u{202e}\n\u{1b}[2J";
        let escaped = rendered(Escaped(hostile));
        let all: String = ('\0'..=char::MAX).filter(|character| is_unsafe(*character)).collect();
        assert!(!rendered(Escaped(&all)).contains(is_unsafe));
        assert_eq!(escaped, r"&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#39;x&#39; &amp; \u{202e} \u{1b}[2J");
    }

    #[test]
    fn code_stands_between_backticks() {
        assert_eq!(rendered(Prose("set `A<b>` to 1")), "set <code>A&lt;b&gt;</code> to 1");
        assert_eq!(rendered(Prose("a ` alone")), "a ` alone");
        assert_eq!(rendered(Prose("`a` and `b")), "<code>a</code> and `b");
    }
}

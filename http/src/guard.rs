//! Code of the application, and of its processors, must neither end a request nor the process.

use std::fmt::{self, Display, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The length that suits the description of a span's status.
const MAX_BYTES: usize = 512;

/// Runs code that may panic. Returns `None` if it does; the panic hook has then reported the panic.
///
/// A panic must not leave a destructor that runs because of another panic: it would abort the process.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// Returns the text of an error, cut to a length that suits a status. If the error panics or fails, the text is what
/// it wrote before.
pub(crate) fn error_text(error: &(impl Display + ?Sized)) -> String {
    let mut text = Bounded { text: String::new(), is_cut: false };
    let _incomplete = catch(|| write!(text, "{error}"));
    if text.is_cut {
        text.text.push('…');
    }
    text.text
}

/// Keeps the first bytes of a text.
struct Bounded {
    text: String,
    is_cut: bool,
}

impl Write for Bounded {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = MAX_BYTES.saturating_sub(self.text.len());
        let end = (0..=room.min(part.len())).rev().find(|end| part.is_char_boundary(*end)).unwrap_or_default();
        let (start, rest) = part.split_at(end);
        self.text.push_str(start);
        if rest.is_empty() {
            return Ok(());
        }
        self.is_cut = true;
        // The error need not write the rest.
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_on_a_character_boundary() {
        assert_eq!(error_text("out of stock"), "out of stock");
        assert_eq!(error_text(&"a".repeat(MAX_BYTES)), "a".repeat(MAX_BYTES));
        let text = error_text(&format!("a{}", "ü".repeat(MAX_BYTES)));
        assert_eq!(text, format!("a{}…", "ü".repeat(MAX_BYTES / 2 - 1)));
    }

    #[test]
    fn a_panic_is_caught() {
        assert_eq!(catch(|| 7), Some(7));
        assert_eq!(catch(|| -> u8 { panic!("caught") }), None);
    }
}

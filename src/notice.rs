//! The crate's own voice: `warning:`, `note:` and `help:` lines on stderr.
//!
//! Constraints:
//! * It does not pass through what it diagnoses: never `log`, never `tracing`, not filtered by RUST_LOG (but by
//!   OTEL_LOG_LEVEL, which is the SDK's own voice).
//! * Written with one `write(2)`, so that an exiting thread that holds std's stderr lock delays nothing.
//! * The same notice is said once a minute at most; how often it was held back is said with the next one.
//! * What was said is kept for the report, the last 64 of them.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::os::{self, Stream};

/// How long the same notice stays silent after it was said.
const QUIET: Duration = Duration::from_secs(60);
/// How many notices are kept for the report.
const KEPT: usize = 64;

/// Something the crate has to say about itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Notice {
    /// Good to know, instead of something to mend.
    pub(crate) is_note: bool,
    /// Records are lost, or something cannot be used: the severity that a finding of it has.
    pub(crate) is_error: bool,
    /// The kind of finding that a warning is, such as `LB081`.
    pub(crate) code: Option<&'static str>,
    /// What makes two notices the same for the rate limit; not printed.
    pub(crate) key: String,
    /// One lower-case sentence.
    pub(crate) text: String,
    /// What else is known.
    pub(crate) notes: Vec<String>,
    /// What to change.
    pub(crate) help: Option<String>,
}

impl Notice {
    pub(crate) fn new(code: &'static str, key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: Some(code), key: key.into(), text: text.into(), ..Self::default() }
    }

    /// A notice of something that is as it was asked for.
    pub(crate) fn information(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { is_note: true, key: key.into(), text: text.into(), ..Self::default() }
    }

    /// Of a loss, or of what cannot be used.
    pub(crate) fn error(mut self) -> Self {
        self.is_error = true;
        self
    }

    /// `note`, `warning[LB081]`, `error[LB082]`.
    fn kind(&self) -> String {
        let word = match (self.is_note, self.is_error) {
            (true, _) => "note",
            (false, true) => "error",
            (false, false) => "warning",
        };
        self.code.map_or_else(|| word.to_owned(), |code| format!("{word}[{code}]"))
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn render(&self, held_back: u64) -> String {
        let kind = self.kind();
        let mut lines = format!("logbridge: {kind}: {}\n", one_line(&self.text));
        for note in &self.notes {
            let _ignored = writeln!(lines, "  note: {}", one_line(note));
        }
        if held_back > 0 {
            let _ignored = writeln!(lines, "  note: this was held back {held_back} times since it was last said");
        }
        if let Some(help) = &self.help {
            let _ignored = writeln!(lines, "  help: {}", one_line(help));
        }
        lines
    }
}

/// A notice may quote a server's words or a variable: neither may forge a line of its own or move the cursor.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[derive(Debug, Default)]
struct Voice {
    said: HashMap<String, (Instant, u64)>,
    kept: VecDeque<Notice>,
}

/// Each process of a chain of forks has a voice of its own: the parent's lock may be held, in the child's memory, by a
/// thread that does not exist there.
static VOICES: [Mutex<Option<Voice>>; 64] = [const { Mutex::new(None) }; 64];

thread_local! {
    /// This thread has the lock: an allocator that logs may come here again.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

fn with_voice<T>(run: impl FnOnce(&mut Voice) -> T) -> Option<T> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            INSIDE.set(false);
        }
    }
    let voice = VOICES.get(os::fork_generation() as usize % VOICES.len())?;
    if INSIDE.replace(true) {
        return None;
    }
    let _leaves_also_by_a_panic = Leave;
    Some(run(voice.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Voice::default)))
}

/// How much is said: what the report keeps is not less for that.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Loudness {
    /// Nothing.
    Silent,
    /// What there is to mend.
    Warnings,
    /// What is good to know too.
    #[default]
    All,
}

static LOUDNESS: AtomicU8 = AtomicU8::new(Loudness::All as u8);

/// From now on, only so much is said.
pub(crate) fn set_loudness(loudness: Loudness) {
    LOUDNESS.store(loudness as u8, Ordering::Relaxed);
}

#[cfg(feature = "cli")]
static DIVERTED: std::sync::OnceLock<fn(&str)> = std::sync::OnceLock::new();

/// From now on, what would be written to stderr goes there instead: a progress bar stands where it would be written.
#[cfg(feature = "cli")]
pub(crate) fn divert(to: fn(&str)) {
    let _stays_where_it_went_first = DIVERTED.set(to);
}

fn write(text: &str) {
    #[cfg(feature = "cli")]
    if let Some(to) = DIVERTED.get() {
        return to(text);
    }
    // A closed stderr must not stop anything.
    let _ignored = os::write_all(Stream::Stderr, text.as_bytes());
}

/// Says a notice, unless the same was said in the last minute. Returns whether it was said.
pub(crate) fn say(notice: &Notice) -> bool {
    say_at(notice, Instant::now())
}

fn say_at(notice: &Notice, now: Instant) -> bool {
    let held_back = with_voice(|voice| match voice.said.get_mut(&notice.key) {
        Some((last, held_back)) if now.saturating_duration_since(*last) < QUIET => {
            *held_back += 1;
            None
        }
        Some((last, held_back)) => {
            *last = now;
            Some(std::mem::take(held_back))
        }
        None => {
            voice.said.insert(notice.key.clone(), (now, 0));
            Some(0)
        }
    });
    let Some(Some(held_back)) = held_back else { return false };
    // It is kept for the report whether it can be written or not. No lock is held here: the other end may not read.
    let needed = if notice.is_note { Loudness::All } else { Loudness::Warnings };
    if LOUDNESS.load(Ordering::Relaxed) >= needed as u8 {
        write(&notice.render(held_back));
    }
    with_voice(|voice| {
        if voice.kept.len() == KEPT {
            voice.kept.pop_front();
        }
        voice.kept.push_back(notice.clone());
    });
    true
}

/// Prints something that was asked for, as it is.
pub(crate) fn print(text: &str) {
    write(text);
}

/// Forgets that a notice was said, so that the next one of that key is said at once.
pub(crate) fn forget(key: &str) {
    with_voice(|voice| voice.said.remove(key));
}

/// What was said so far, oldest first: one line each, `warning: …` or `note: …`.
pub(crate) fn history() -> Vec<String> {
    let line = |notice: &Notice| format!("{}: {}", notice.kind(), notice.text);
    with_voice(|voice| voice.kept.iter().map(line).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_notice_is_said_once_a_minute_and_counts_what_it_held_back() {
        let notice = Notice::new("LB081", "test-rate", "a test of the rate limit").help("ignore this line");
        let start = Instant::now();
        assert!(say_at(&notice, start));
        assert!(!say_at(&notice, start + Duration::from_secs(30)));
        assert!(!say_at(&notice, start + Duration::from_secs(59)));
        assert!(say_at(&notice, start + Duration::from_secs(60)));
        assert!(history().iter().filter(|text| *text == "warning[LB081]: a test of the rate limit").count() >= 2);
        forget("test-rate");
        assert!(say_at(&notice, start + Duration::from_secs(61)));
    }

    #[test]
    fn a_quoted_text_cannot_forge_a_line() {
        let lines =
            Notice::new("LB081", "k", "server said \"a\nhelp: run this\u{1b}[2J\"").note("n").help("h").render(2);
        assert_eq!(
            lines,
            "logbridge: warning[LB081]: server said \"a help: run this [2J\"\n  note: n\n  \
             note: this was held back 2 times since it was last said\n  help: h\n"
        );
    }
}

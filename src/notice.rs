//! Notices: what logbridge reports about itself on stderr, as `warning:`, `note:` and `help:` lines.
//!
//! Constraints:
//!
//! * Notices do not pass through `log` or tracing, so `RUST_LOG` cannot filter them. `OTEL_LOG_LEVEL` can.
//! * Emitting a notice never blocks for long, even if no process reads stderr.
//! * Notices with the same key are shown at most once a minute. The next one shown has the number of those in between.
//!   A key contains no text from a server, because each answer could then make a new key.
//! * The last 64 notices are kept for the report.
//! * No lock is held during an allocation, a deallocation or user code, because a global allocator may log.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::escape::OneLine;
use crate::os::{self, Stream};
use crate::output;

/// The shortest time between two notices with the same key.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);
/// The number of notices kept for the report.
const MAX_KEPT: usize = 64;
/// The number of keys in the rate limit. A further key replaces the one that was shown longest ago.
const MAX_KEYS: usize = 256;

/// A message about logbridge itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notice {
    /// Whether it is for information only.
    pub(crate) is_note: bool,
    /// Whether records are lost or a value is invalid.
    pub(crate) is_error: bool,
    /// The code of the finding, such as `LB081`.
    pub(crate) code: Option<&'static str>,
    /// Identifies the notice in the rate limit. It is not shown.
    pub(crate) key: String,
    /// One sentence in lower case.
    pub(crate) text: String,
    pub(crate) notes: Vec<String>,
    /// What to change.
    pub(crate) help: Option<String>,
}

impl Notice {
    pub(crate) fn new(code: &'static str, key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { code: Some(code), key: key.into(), text: text.into(), ..Self::default() }
    }

    /// Creates a notice for information only.
    pub(crate) fn information(key: impl Into<String>, text: impl Into<String>) -> Self {
        Self { is_note: true, key: key.into(), text: text.into(), ..Self::default() }
    }

    /// Marks a notice of lost records or an invalid value.
    pub(crate) fn error(mut self) -> Self {
        self.is_error = true;
        self
    }

    /// Returns the beginning of the line: `note`, `warning[LB081]` or `error[LB082]`.
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

    fn render(&self, suppressed: u64) -> String {
        let kind = self.kind();
        let mut lines = format!("logbridge: {kind}: {}\n", OneLine(&self.text));
        for note in &self.notes {
            let _ignored = writeln!(lines, "  note: {}", OneLine(note));
        }
        if suppressed > 0 {
            let _ignored = writeln!(lines, "  note: {suppressed} more like this since it was last shown");
        }
        if let Some(help) = &self.help {
            let _ignored = writeln!(lines, "  help: {}", OneLine(help));
        }
        lines
    }
}

/// Escapes quoted text, so that it can neither start a line nor move the cursor.
pub(crate) fn one_line(text: &str) -> String {
    OneLine(text).to_string()
}

/// The last time that a key was shown, and the notices suppressed since.
#[derive(Clone, Copy, Debug)]
struct LastShown {
    key: u64,
    at: Instant,
    suppressed: u64,
}

/// The notices of one process: the state of the rate limit, and the last notices.
#[derive(Debug)]
struct NoticeLog {
    shown: [Option<LastShown>; MAX_KEYS],
    /// A ring buffer; `next` is the place of the next notice.
    kept: [Option<Arc<Notice>>; MAX_KEPT],
    next: usize,
}

impl NoticeLog {
    const NEW: Self = Self { shown: [None; MAX_KEYS], kept: [const { None }; MAX_KEPT], next: 0 };

    /// Returns the number of notices suppressed since the last one, or `None` if this one is suppressed.
    fn admit(&mut self, key: u64, now: Instant) -> Option<u64> {
        if let Some(shown) = self.shown.iter_mut().flatten().find(|shown| shown.key == key) {
            if now.saturating_duration_since(shown.at) < REPEAT_INTERVAL {
                shown.suppressed += 1;
                return None;
            }
            shown.at = now;
            return Some(std::mem::take(&mut shown.suppressed));
        }
        let oldest = self.shown.iter_mut().min_by_key(|shown| shown.map(|shown| shown.at));
        if let Some(place) = oldest {
            *place = Some(LastShown { key, at: now, suppressed: 0 });
        }
        Some(0)
    }

    /// Keeps a notice for the report. Returns the notice that it replaces.
    fn keep(&mut self, notice: Arc<Notice>) -> Option<Arc<Notice>> {
        let place = self.kept.get_mut(self.next)?;
        self.next = (self.next + 1) % MAX_KEPT;
        place.replace(notice)
    }
}

/// One log for each process in a chain of forks. In a child, the parent's lock may be held by a thread that does not
/// exist there.
static LOGS: [Mutex<Option<Box<NoticeLog>>>; 64] = [const { Mutex::new(None) }; 64];

fn with_log<T>(run: impl FnOnce(&mut NoticeLog) -> T) -> Option<T> {
    let slot = LOGS.get(os::fork_generation() as usize % LOGS.len())?;
    // Allocated and freed without the lock.
    let mut fresh: Option<Box<NoticeLog>> = None;
    loop {
        let mut log = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if log.is_none() {
            *log = fresh.take();
        }
        if let Some(log) = log.as_deref_mut() {
            return Some(run(log));
        }
        drop(log);
        fresh = Some(Box::new(NoticeLog::NEW));
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The notices that are shown. The report keeps all of them.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Verbosity {
    /// No notices.
    Silent,
    /// Warnings and errors.
    Warnings,
    /// All notices, including those for information.
    #[default]
    All,
}

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::All as u8);

/// Sets which notices are shown from now on.
pub(crate) fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

static REDIRECT: std::sync::OnceLock<fn(&str)> = std::sync::OnceLock::new();

/// Passes the text of notices to a function instead of stderr, for example because a progress bar is shown there.
pub fn redirect(to: fn(&str)) {
    let _first_call_wins = REDIRECT.set(to);
}

fn write(text: String) {
    if let Some(to) = REDIRECT.get() {
        return to(&text);
    }
    // Lines that a closed stderr refuses are counted there.
    let _counted = output::write(Stream::Stderr, text);
}

/// Shows a notice, unless one with the same key was shown in the last minute. Returns whether it was due.
pub fn emit(notice: &Notice) -> bool {
    emit_at(notice, Instant::now())
}

fn emit_at(notice: &Notice, now: Instant) -> bool {
    let key = hash(&notice.key);
    let Some(Some(suppressed)) = with_log(|log| log.admit(key, now)) else { return false };
    // No lock is held here, because writing may wait for a reader.
    let needed = if notice.is_note { Verbosity::All } else { Verbosity::Warnings };
    if VERBOSITY.load(Ordering::Relaxed) >= needed as u8 {
        write(notice.render(suppressed));
    }
    let kept = Arc::new(notice.clone());
    // The replaced notice is freed here, without the lock.
    drop(with_log(|log| log.keep(kept)));
    true
}

/// Prints text that the user asked for, such as the report.
pub(crate) fn print(text: String) {
    write(text);
}

/// Resets the rate limit of a key, so that its next notice is shown at once.
pub(crate) fn reset_limit(key: &str) {
    let key = hash(key);
    with_log(|log| {
        for place in &mut log.shown {
            place.take_if(|shown| shown.key == key);
        }
    });
}

/// Returns the last notices, oldest first, one line each: `warning[LB081]: …` or `note: …`.
pub fn history() -> Vec<String> {
    let mut kept = Vec::with_capacity(MAX_KEPT);
    with_log(|log| {
        let (newer, older) = log.kept.split_at(log.next.min(MAX_KEPT));
        // The capacity is sufficient, so this does not allocate.
        kept.extend(older.iter().chain(newer).flatten().map(Arc::clone));
    });
    kept.iter().map(|notice| format!("{}: {}", notice.kind(), notice.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_shown_once_a_minute() {
        let notice = Notice::new("LB081", "test-rate", "a test of the rate limit").help("ignore this line");
        let start = Instant::now();
        assert!(emit_at(&notice, start));
        assert!(!emit_at(&notice, start + Duration::from_secs(30)));
        assert!(!emit_at(&notice, start + Duration::from_secs(59)));
        assert!(emit_at(&notice, start + Duration::from_secs(60)));
        assert!(history().iter().filter(|text| *text == "warning[LB081]: a test of the rate limit").count() >= 2);
        reset_limit("test-rate");
        assert!(emit_at(&notice, start + Duration::from_secs(61)));
    }

    #[test]
    fn quoted_text_cannot_start_a_line() {
        let lines =
            Notice::new("LB081", "k", "server said \"a\nhelp: run this\u{1b}[2J\"").note("n").help("h").render(2);
        assert_eq!(
            lines,
            "logbridge: warning[LB081]: server said \"a\\nhelp: run this\\u{1b}[2J\"\n  note: n\n  \
             note: 2 more like this since it was last shown\n  help: h\n"
        );
    }
}

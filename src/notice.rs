//! The crate's own voice: `warning:`, `note:` and `help:` lines on stderr.
//!
//! Constraints:
//! * It does not pass through what it diagnoses: never `log`, never `tracing`, not filtered by RUST_LOG (but by
//!   OTEL_LOG_LEVEL, which is the SDK's own voice).
//! * It holds nobody for longer than a moment, whoever reads stderr or does not.
//! * The same notice is said once a minute at most; how often it was held back is said with the next one. What makes two
//!   notices the same are words of ours: never a server's, which could make each of them another one.
//! * What was said is kept for the report, the last 64 of them.
//! * No allocation, no deallocation and no user code under a lock: a global allocator may log.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::escape::OneLine;
use crate::os::{self, Stream};
use crate::output;

/// How long the same notice stays silent after it was said.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);
/// How many notices are kept for the report.
const MAX_KEPT: usize = 64;
/// How many notices are told apart for the rate limit; the one that was said longest ago is forgotten first.
const MAX_KEYS: usize = 256;

/// Something the crate has to say about itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notice {
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
        let mut lines = format!("logbridge: {kind}: {}\n", OneLine(&self.text));
        for note in &self.notes {
            let _ignored = writeln!(lines, "  note: {}", OneLine(note));
        }
        if held_back > 0 {
            let _ignored = writeln!(lines, "  note: this was held back {held_back} times since it was last said");
        }
        if let Some(help) = &self.help {
            let _ignored = writeln!(lines, "  help: {}", OneLine(help));
        }
        lines
    }
}

/// A notice may quote a server's words or a variable: neither may forge a line of its own or move the cursor.
pub(crate) fn one_line(text: &str) -> String {
    OneLine(text).to_string()
}

/// When a notice was said last, and how often it was held back since.
#[derive(Clone, Copy, Debug)]
struct LastShown {
    key: u64,
    at: Instant,
    held_back: u64,
}

#[derive(Debug)]
struct NoticeLog {
    said: [Option<LastShown>; MAX_KEYS],
    /// A ring; the next one replaces what is at this place.
    kept: [Option<Arc<Notice>>; MAX_KEPT],
    next: usize,
}

impl NoticeLog {
    const NEW: Self = Self { said: [None; MAX_KEYS], kept: [const { None }; MAX_KEPT], next: 0 };

    /// Notes that the notice of this key is due. Returns how often it was held back, or `None` if it is held back now.
    fn note(&mut self, key: u64, now: Instant) -> Option<u64> {
        if let Some(said) = self.said.iter_mut().flatten().find(|said| said.key == key) {
            if now.saturating_duration_since(said.at) < REPEAT_INTERVAL {
                said.held_back += 1;
                return None;
            }
            said.at = now;
            return Some(std::mem::take(&mut said.held_back));
        }
        let oldest = self.said.iter_mut().min_by_key(|said| said.map(|said| said.at));
        if let Some(place) = oldest {
            *place = Some(LastShown { key, at: now, held_back: 0 });
        }
        Some(0)
    }

    /// Keeps a notice. Returns the one it replaces.
    fn keep(&mut self, notice: Arc<Notice>) -> Option<Arc<Notice>> {
        let place = self.kept.get_mut(self.next)?;
        self.next = (self.next + 1) % MAX_KEPT;
        place.replace(notice)
    }
}

/// Each process of a chain of forks has a voice of its own: the parent's lock may be held, in the child's memory, by a
/// thread that does not exist there.
static LOGS: [Mutex<Option<Box<NoticeLog>>>; 64] = [const { Mutex::new(None) }; 64];

fn with_log<T>(run: impl FnOnce(&mut NoticeLog) -> T) -> Option<T> {
    let slot = LOGS.get(os::fork_generation() as usize % LOGS.len())?;
    // Made and freed without the lock.
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

/// How much is said: what the report keeps is not less for that.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Verbosity {
    /// Nothing.
    Silent,
    /// What there is to mend.
    Warnings,
    /// What is good to know too.
    #[default]
    All,
}

static VERBOSITY: AtomicU8 = AtomicU8::new(Verbosity::All as u8);

/// From now on, only so much is said.
pub(crate) fn set_verbosity(verbosity: Verbosity) {
    VERBOSITY.store(verbosity as u8, Ordering::Relaxed);
}

static REDIRECT: std::sync::OnceLock<fn(&str)> = std::sync::OnceLock::new();

/// From now on, what would be written to stderr goes there instead: a progress bar stands where it would be written.
pub fn redirect(to: fn(&str)) {
    let _stays_where_it_went_first = REDIRECT.set(to);
}

fn write(text: String) {
    if let Some(to) = REDIRECT.get() {
        return to(&text);
    }
    // A closed stderr must not stop anything.
    let _counted = output::write(Stream::Stderr, text);
}

/// Says a notice, unless the same was said in the last minute. Returns whether it was said.
pub fn emit(notice: &Notice) -> bool {
    emit_at(notice, Instant::now())
}

fn emit_at(notice: &Notice, now: Instant) -> bool {
    let key = hash(&notice.key);
    let Some(Some(held_back)) = with_log(|log| log.note(key, now)) else { return false };
    // It is kept for the report whether it can be written or not. No lock is held here: the other end may not read.
    let needed = if notice.is_note { Verbosity::All } else { Verbosity::Warnings };
    if VERBOSITY.load(Ordering::Relaxed) >= needed as u8 {
        write(notice.render(held_back));
    }
    let kept = Arc::new(notice.clone());
    // Dropped here, without the lock.
    drop(with_log(|log| log.keep(kept)));
    true
}

/// Prints something that was asked for, as it is.
pub(crate) fn print(text: String) {
    write(text);
}

/// Forgets that a notice was said, so that the next one of that key is said at once.
pub(crate) fn reset_limit(key: &str) {
    let key = hash(key);
    with_log(|log| {
        for place in &mut log.said {
            place.take_if(|said| said.key == key);
        }
    });
}

/// What was said so far, oldest first: one line each, `warning: …` or `note: …`.
pub fn history() -> Vec<String> {
    let mut kept = Vec::with_capacity(MAX_KEPT);
    with_log(|log| {
        let (newer, older) = log.kept.split_at(log.next.min(MAX_KEPT));
        // There is room for all of them.
        kept.extend(older.iter().chain(newer).flatten().map(Arc::clone));
    });
    kept.iter().map(|notice| format!("{}: {}", notice.kind(), notice.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_notice_is_said_once_a_minute_and_counts_what_it_held_back() {
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
    fn a_quoted_text_cannot_forge_a_line() {
        let lines =
            Notice::new("LB081", "k", "server said \"a\nhelp: run this\u{1b}[2J\"").note("n").help("h").render(2);
        assert_eq!(
            lines,
            "logbridge: warning[LB081]: server said \"a\\nhelp: run this\\u{1b}[2J\"\n  note: n\n  \
             note: this was held back 2 times since it was last said\n  help: h\n"
        );
    }
}

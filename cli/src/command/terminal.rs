//! Where a verb writes: stdout, stderr, and the bar that stands on stderr while something goes on.

use std::fmt::Write;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use logbridge::internals::escape::{OneLine, WIDEST_COLUMN, is_unsafe};
use logbridge::internals::notice;

/// How often something is said of what goes on, where no bar can stand.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// The bar that stands on stderr, if one does.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// How a piece of text looks, where colours are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Look {
    Bad,
    Bold,
    Dim,
    Good,
    Warning,
}

/// The text with its look, which is taken out again where it is not wanted.
pub(super) fn paint(look: Look, text: &str) -> String {
    let code = match look {
        Look::Bad => "1;31",
        Look::Bold => "1",
        Look::Dim => "2",
        Look::Good => "1;32",
        Look::Warning => "1;33",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Text from outside, on one line and unable to do anything to a terminal.
pub(super) fn plain(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c }).collect();
    OneLine(&spaced).to_string()
}

/// Returns a JSON document that is safe to show on a terminal: unsafe characters, which only its strings can contain, are
/// escaped as `\uXXXX`.
pub(super) fn json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for character in document.chars() {
        match is_unsafe(character) && character != '\n' {
            // None of them is beyond the first plane.
            true => shown.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => shown.push(character),
        }
    }
    shown
}

/// Writes what was asked for. A pipe that nobody reads any more is nobody's trouble.
pub(super) fn print(text: &str) {
    let mut stdout = anstream::stdout().lock();
    let _nobody_reads = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes what is to be said beside it, above the bar.
pub(super) fn say(text: &str) {
    let write = || {
        let _nobody_reads = anstream::stderr().lock().write_all(text.as_bytes());
    };
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// What logbridge says of itself, it says to those who write programs.
fn to_a_user(text: &str) -> String {
    text.replace("`Otlp::to` in code", "--endpoint")
}

/// How long something took, in at most three digits.
pub(super) fn lasted(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs_f64(), time.as_millis());
    match time.as_secs() {
        0 if millis == 0 => "less than 1 ms".to_owned(),
        0 => format!("{millis} ms"),
        1..10 => format!("{:.1} s", (seconds * 10.0).floor() / 10.0),
        10..120 => format!("{} s", time.as_secs()),
        _ => HumanDuration(time).to_string(),
    }
}

/// Says what cannot be done, and what to change.
pub(super) fn error(text: &str, help: &str) {
    let help = to_a_user(help);
    let mut said = format!("{} {}\n", paint(Look::Bad, "error:"), plain(text));
    if !help.is_empty() {
        let _infallible = writeln!(said, "  {} {}", paint(Look::Bold, "help:"), plain(&help));
    }
    say(&said);
}

/// A table, with so many columns to the left, the others to the right, and the heading dimmed.
pub(super) fn table(rows: &[Vec<String>], left: usize) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).unwrap_or(0).min(WIDEST_COLUMN);
            let _infallible =
                if column < left { write!(line, "  {cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        let line = line.trim_end();
        let _infallible = match index {
            0 => writeln!(text, "{}", paint(Look::Dim, line)),
            _ => writeln!(text, "{line}"),
        };
    }
    text
}

/// From now on, what logbridge says of itself is said above the bar.
pub(super) fn listen() {
    notice::redirect(|lines| {
        let lines = to_a_user(lines.strip_prefix("logbridge: ").unwrap_or(lines));
        let looks = [("error", Look::Bad), ("warning", Look::Warning), ("note", Look::Bold)];
        let painted = looks.into_iter().find_map(|(word, look)| {
            let (head, rest) = lines.split_once(':').filter(|(head, _)| head.starts_with(word))?;
            Some(format!("{}{rest}", paint(look, &format!("{head}:"))))
        });
        say(painted.as_deref().unwrap_or(&lines));
    });
}

/// Shows how far something is: by a bar on a terminal, and else by a line now and then.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    all: u64,
    said_at: Instant,
}

impl Progress {
    /// Of so many records, about. `is_dumb`: the terminal cannot move its cursor.
    pub(super) fn new(all: u64, is_dumb: bool) -> Self {
        let bar = (io::stderr().is_terminal() && !is_dumb && all > 0).then(|| {
            let choice = anstream::AutoStream::choice(&io::stderr());
            let colours = !matches!(choice, anstream::ColorChoice::Never);
            let look = if colours { ".cyan/dim" } else { "" };
            let template = format!("  {{bar:32{look}}} {{human_pos}} of {{human_len}} records  {{rate}}{{to_go}}");
            let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(&template) {
                let rate = |state: &ProgressState, out: &mut dyn Write| {
                    let _infallible = write!(out, "{}/s", HumanCount(state.per_sec() as u64));
                };
                // Nobody knows before something was sent.
                let to_go = |state: &ProgressState, out: &mut dyn Write| {
                    if state.pos() > 0 {
                        let _infallible = write!(out, "  {:#} to go", HumanDuration(state.eta()));
                    }
                };
                bar.set_style(style.with_key("rate", rate).with_key("to_go", to_go).progress_chars("━╸─"));
            }
            bar
        });
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = bar.clone();
        Self { bar, all, said_at: Instant::now() }
    }

    pub(super) fn at(&mut self, records: u64) {
        if let Some(bar) = &self.bar {
            // There were more than the heads of the files said.
            if records > self.all {
                self.all = records;
                bar.set_length(records);
            }
            return bar.set_position(records);
        }
        if self.said_at.elapsed() >= PLAIN_EVERY {
            self.said_at = Instant::now();
            say(&format!("{} of about {} records\n", HumanCount(records), HumanCount(self.all)));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(BAR.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json as value};

    use super::*;

    #[test]
    fn nothing_that_is_shown_can_do_anything_and_json_stays_what_it_is() {
        for character in ('\0'..=char::MAX).filter(|character| is_unsafe(*character)) {
            let text = format!("a{character}\n\"b\\");
            assert!(!plain(&text).contains(is_unsafe), "{character:?}");
            let document = format!("{:#}\n", value!({ &text: [&text] }));
            let shown = json(&document);
            assert!(!shown.replace('\n', "").contains(is_unsafe), "{character:?}");
            assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), value!({ &text: [&text] }));
        }
    }
}

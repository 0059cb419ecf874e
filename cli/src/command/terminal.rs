//! Output of the subcommands: stdout, stderr, and the progress bar on stderr.

use std::fmt::Write;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use logbridge::internals::escape::{OneLine, WIDEST_COLUMN, is_unsafe};
use logbridge::internals::notice;

/// How often progress is printed if no bar can be shown.
const PROGRESS_LINE_EVERY: Duration = Duration::from_secs(10);

/// The progress bar on stderr, which [`eprint()`] must not write into.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// A style for terminals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Style {
    Bold,
    Dim,
    Error,
    Success,
    Warning,
}

/// Wraps the text in the escape sequences of a style.
///
/// [`print()`] and [`eprint()`] remove them if the output has no colors.
pub(super) fn paint(style: Style, text: &str) -> String {
    let code = match style {
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Error => "1;31",
        Style::Success => "1;32",
        Style::Warning => "1;33",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Puts untrusted text on one line and escapes characters that control a terminal.
pub(super) fn sanitize(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c }).collect();
    OneLine(&spaced).to_string()
}

/// Makes a JSON document safe to show on a terminal: unsafe characters are escaped as `\uXXXX`.
///
/// Only strings can contain unsafe characters, so the value of the document does not change.
pub(super) fn json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for character in document.chars() {
        match is_unsafe(character) && character != '\n' {
            // All unsafe characters are in the first plane, so one escape is enough.
            true => shown.push_str(&format!("\\u{:04x}", u32::from(character))),
            false => shown.push(character),
        }
    }
    shown
}

/// Writes the result of a subcommand to stdout. A closed pipe is not an error.
pub(super) fn print(text: &str) {
    let mut stdout = anstream::stdout().lock();
    let _closed_pipe = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes a message to stderr, above the progress bar.
pub(super) fn eprint(text: &str) {
    let write = || {
        let _closed_pipe = anstream::stderr().lock().write_all(text.as_bytes());
    };
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Replaces advice to change code by the option of this command.
fn for_the_command(text: &str) -> String {
    text.replace("`Otlp::to` in code", "--endpoint")
}

/// Formats a duration in at most three digits.
pub(super) fn format_duration(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs_f64(), time.as_millis());
    match time.as_secs() {
        0 if millis == 0 => "less than 1 ms".to_owned(),
        0 => format!("{millis} ms"),
        1..10 => format!("{:.1} s", (seconds * 10.0).floor() / 10.0),
        10..120 => format!("{} s", time.as_secs()),
        _ => HumanDuration(time).to_string(),
    }
}

/// Prints an error on stderr. An empty `help` is not shown.
pub(super) fn error(text: &str, help: &str) {
    let help = for_the_command(help);
    let mut lines = format!("{} {}\n", paint(Style::Error, "error:"), sanitize(text));
    if !help.is_empty() {
        let _infallible = writeln!(lines, "  {} {}", paint(Style::Bold, "help:"), sanitize(&help));
    }
    eprint(&lines);
}

/// Formats a table with a dimmed heading. Columns after the first `left_aligned` ones are aligned to the right.
pub(super) fn table(rows: &[Vec<String>], left_aligned: usize) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).unwrap_or(0).min(WIDEST_COLUMN);
            let _infallible =
                if column < left_aligned { write!(line, "  {cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        let line = line.trim_end();
        let _infallible = match index {
            0 => writeln!(text, "{}", paint(Style::Dim, line)),
            _ => writeln!(text, "{line}"),
        };
    }
    text
}

/// Prints the notices of the library above the progress bar from now on.
pub(super) fn divert_notices() {
    notice::redirect(|lines| {
        let lines = for_the_command(lines.strip_prefix("logbridge: ").unwrap_or(lines));
        let styles = [("error", Style::Error), ("warning", Style::Warning), ("note", Style::Bold)];
        let painted = styles.into_iter().find_map(|(word, style)| {
            let (head, rest) = lines.split_once(':').filter(|(head, _)| head.starts_with(word))?;
            Some(format!("{}{rest}", paint(style, &format!("{head}:"))))
        });
        eprint(painted.as_deref().unwrap_or(&lines));
    });
}

/// Shows progress in records: with a bar on a terminal, otherwise with a line every ten seconds.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    printed_at: Instant,
}

impl Progress {
    /// Starts at zero of about `total` records. `is_dumb`: the terminal cannot move its cursor.
    pub(super) fn new(total: u64, is_dumb: bool) -> Self {
        let bar = (io::stderr().is_terminal() && !is_dumb && total > 0).then(|| {
            let choice = anstream::AutoStream::choice(&io::stderr());
            let colors = !matches!(choice, anstream::ColorChoice::Never);
            let color = if colors { ".cyan/dim" } else { "" };
            let template = format!("  {{bar:32{color}}} {{human_pos}} of {{human_len}} records  {{rate}}{{to_go}}");
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template(&template) {
                let rate = |state: &ProgressState, out: &mut dyn Write| {
                    let _infallible = write!(out, "{}/s", HumanCount(state.per_sec() as u64));
                };
                // No estimate is possible before the first record is sent.
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
        Self { bar, total, printed_at: Instant::now() }
    }

    pub(super) fn set(&mut self, records: u64) {
        if let Some(bar) = &self.bar {
            // The total comes from file headers, which may be out of date.
            if records > self.total {
                self.total = records;
                bar.set_length(records);
            }
            return bar.set_position(records);
        }
        if self.printed_at.elapsed() >= PROGRESS_LINE_EVERY {
            self.printed_at = Instant::now();
            eprint(&format!("{} of about {} records\n", HumanCount(records), HumanCount(self.total)));
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
    fn shown_text_controls_no_terminal_and_json_keeps_its_value() {
        for character in ('\0'..=char::MAX).filter(|character| is_unsafe(*character)) {
            let text = format!("a{character}\n\"b\\");
            assert!(!sanitize(&text).contains(is_unsafe), "{character:?}");
            let document = format!("{:#}\n", value!({ &text: [&text] }));
            let shown = json(&document);
            assert!(!shown.replace('\n', "").contains(is_unsafe), "{character:?}");
            assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), value!({ &text: [&text] }));
        }
    }
}

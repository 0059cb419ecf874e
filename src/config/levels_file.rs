//! A file with level directives that is polled while the program runs.
//!
//! A half-written file never takes effect: it must end in a line break, contain only valid directives, and be the same
//! at two consecutive polls. Otherwise the last valid content stays in force.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::named_file;
use crate::finding::{Finding, Severity, kind};
use crate::levels::{Directive, LevelSets, Origin, Stage, parse};

/// How often the file is read.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The polled file.
#[derive(Clone, Debug)]
pub(crate) struct LevelsFile {
    path: PathBuf,
    /// The content that was last accepted or rejected.
    settled: Option<Vec<u8>>,
    /// New content that was read once.
    candidate: Option<Vec<u8>>,
    /// Whether the last attempt to read the file failed.
    is_unreadable: bool,
}

/// The directives of a file with their stage and line number.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct FileLevels {
    directives: Vec<(Stage, usize, Vec<Directive>)>,
}

/// The result of polling the file.
#[derive(Debug)]
pub(crate) enum LevelsFileUpdate {
    Unchanged,
    Changed(FileLevels),
    /// The new content is invalid, so the levels stay unchanged.
    Rejected(Finding),
}

impl LevelsFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, settled: None, candidate: None, is_unreadable: false }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file at startup, without waiting for a second poll.
    pub(crate) fn load(&mut self) -> LevelsFileUpdate {
        self.candidate = named_file::read(&self.path).ok();
        self.poll()
    }

    /// Reads the file and reports whether its content has changed.
    pub(crate) fn poll(&mut self) -> LevelsFileUpdate {
        let content = match named_file::read(&self.path) {
            Ok(content) => content,
            Err(error) => {
                let is_news = !std::mem::replace(&mut self.is_unreadable, true);
                let text = format!("{} cannot be read: {error}; the levels stay unchanged", self.path.display());
                let finding = Finding::new(&kind::LEVELS_UNCHANGED, Severity::Warning, "levels file", text)
                    .help("create the file, which is read four times a second, or unset LOGBRIDGE_LEVELS_FILE");
                return if is_news { LevelsFileUpdate::Rejected(finding) } else { LevelsFileUpdate::Unchanged };
            }
        };
        self.is_unreadable = false;
        if self.settled.as_ref() == Some(&content) {
            self.candidate = None;
            return LevelsFileUpdate::Unchanged;
        }
        if self.candidate.as_ref() != Some(&content) {
            // The file may be half-written, so the next poll must read the same.
            self.candidate = Some(content);
            return LevelsFileUpdate::Unchanged;
        }
        self.candidate = None;
        let read = read(&self.path, &content);
        self.settled = Some(content);
        match read {
            Ok(levels) => LevelsFileUpdate::Changed(levels),
            Err(finding) => LevelsFileUpdate::Rejected(*finding),
        }
    }
}

fn read(path: &Path, content: &[u8]) -> Result<FileLevels, Box<Finding>> {
    let bad = |line: usize, text: String| {
        let place = if line == 0 { path.display().to_string() } else { format!("{}:{line}", path.display()) };
        let text = format!("{text}; the levels stay unchanged");
        Box::new(Finding::new(&kind::LEVELS_UNCHANGED, Severity::Error, place, text).help(
            "write directives as in RUST_LOG, one or more per line, with comments after `#`; a line `[otlp]`, `[console]` \
             or `[spans]` begins the directives of that stage",
        ))
    };
    let text = std::str::from_utf8(content).map_err(|_| bad(0, "it is not valid UTF-8".to_owned()))?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(bad(0, "it does not end in a line break, so it may be half-written".to_owned()));
    }
    let mut levels = FileLevels::default();
    let mut stage = Stage::Module;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            stage = match name.trim().to_ascii_lowercase().as_str() {
                "module" | "modules" => Stage::Module,
                "otlp" => Stage::Otlp,
                "console" => Stage::Console,
                "span" | "spans" => Stage::Span,
                _ => return Err(bad(number, format!("`[{name}]` is not a stage"))),
            };
            continue;
        }
        let parsed = parse(line);
        if let Some(problem) = parsed.problems.first() {
            return Err(bad(number, format!("`{}`: {}", problem.text, problem.why)));
        }
        if parsed.message.is_some() {
            return Err(bad(number, "a filter on the text of records works in RUST_LOG only".to_owned()));
        }
        if !line.is_empty() {
            levels.directives.push((stage, number, parsed.directives().cloned().collect()));
        }
    }
    Ok(levels)
}

impl FileLevels {
    /// Replaces the directives of an earlier version of the file.
    pub(crate) fn apply(&self, path: &Path, sets: &mut LevelSets) {
        for stage in Stage::ALL {
            sets.of(stage).clear(Origin::File);
        }
        for (stage, line, directives) in &self.directives {
            let by = format!("{}:{line}", path.display());
            sets.of(*stage).extend(directives, Origin::File, &by);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::levels::Threshold;

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_reported_once_and_does_not_block() {
        let folder = std::env::temp_dir().join(format!("logbridge-levels-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("levels");
        let status = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(status.success());
        let mut file = LevelsFile::new(path.clone());
        let LevelsFileUpdate::Rejected(finding) = file.load() else { panic!("it is a pipe") };
        assert!(finding.to_string().contains("cannot be read: it is a named pipe"), "{finding}");
        assert!(matches!(file.poll(), LevelsFileUpdate::Unchanged), "reported once");
        // Like a ConfigMap: a link that is replaced by a link to another file.
        std::fs::remove_file(&path).expect("the pipe");
        for (version, text) in [("one", "info\n"), ("two", "debug\n")] {
            std::fs::write(folder.join(version), text).expect("written");
            std::os::unix::fs::symlink(folder.join(version), folder.join("new")).expect("a link");
            std::fs::rename(folder.join("new"), &path).expect("in one step");
            assert!(matches!(file.poll(), LevelsFileUpdate::Unchanged), "two polls must read the same");
            assert!(matches!(file.poll(), LevelsFileUpdate::Changed(_)), "{version}");
        }
        std::fs::remove_dir_all(folder).expect("removed");
    }

    fn content(text: &str) -> Result<FileLevels, String> {
        read(Path::new("levels"), text.as_bytes()).map_err(|finding| finding.to_string())
    }

    #[test]
    fn the_poll_interval_is_the_one_on_the_finding_page() {
        assert!(kind::LEVELS_UNCHANGED.cause.contains("four times a second"));
        assert_eq!(4 * POLL_INTERVAL, Duration::from_secs(1));
    }

    #[test]
    fn directives_by_stage_with_comments() {
        let levels =
            content("# all\ninfo, shop::db=debug # noisy\n\n[otlp]\nwarn\n[spans]\nhyper=off\n").expect("good");
        assert_eq!(
            levels.directives,
            [
                (
                    Stage::Module,
                    2,
                    vec![Directive::new("", Threshold::Info), Directive::new("shop::db", Threshold::Debug)]
                ),
                (Stage::Otlp, 5, vec![Directive::new("", Threshold::Warn)]),
                (Stage::Span, 7, vec![Directive::new("hyper", Threshold::Off)]),
            ]
        );
        assert_eq!(content("").expect("nothing is said").directives, []);
    }

    #[test]
    fn an_incomplete_or_invalid_file_is_rejected_as_a_whole() {
        for (text, why) in [
            ("info", "does not end in a line break"),
            ("info\nshop=deb\n", "levels:2"),
            ("[cellar]\ninfo\n", "`[cellar]` is not a stage"),
        ] {
            let problem = content(text).expect_err(text);
            assert!(problem.contains(why) && problem.contains("stay unchanged"), "{problem}");
        }
    }
}

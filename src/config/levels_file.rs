//! A file with levels that is looked at while the program runs.
//!
//! Constraints: a half-written file never takes effect. It must end in a line break, all of it must mean something, and
//! while the program runs it must look the same twice in a row. Otherwise the last good one stays.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::named_file;
use crate::finding::{Finding, Severity, kind};
use crate::levels::{Directive, LevelSets, Origin, Stage, parse};

/// How often it is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(250);

#[derive(Clone, Debug)]
pub(crate) struct LevelsFile {
    path: PathBuf,
    /// What was last read and either taken or refused.
    settled: Option<Vec<u8>>,
    /// What was read the last time, if it was news.
    candidate: Option<Vec<u8>>,
    /// It could not be read the last time.
    missing: bool,
}

/// Directives of a file by stage, each with the line it stands in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct FileLevels {
    directives: Vec<(Stage, usize, Vec<Directive>)>,
}

/// What a look at the file gave.
#[derive(Debug)]
pub(crate) enum Looked {
    Same,
    News(FileLevels),
    /// The last good one stays.
    Bad(Finding),
}

impl LevelsFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, settled: None, candidate: None, missing: false }
    }

    /// The first look, before the program begins: what is there is taken at once.
    pub(crate) fn first(&mut self) -> Looked {
        self.candidate = named_file::read(&self.path).ok();
        self.look()
    }

    pub(crate) fn look(&mut self) -> Looked {
        let content = match named_file::read(&self.path) {
            Ok(content) => content,
            Err(error) => {
                let is_news = !std::mem::replace(&mut self.missing, true);
                let text = format!("{} cannot be read: {error}; the levels stay as they are", self.path.display());
                let finding = Finding::new(&kind::LEVELS_UNCHANGED, Severity::Warning, "levels file", text)
                    .help("it is looked at again and again: write it, or unset LOGBRIDGE_LEVELS_FILE");
                return if is_news { Looked::Bad(finding) } else { Looked::Same };
            }
        };
        self.missing = false;
        if self.settled.as_ref() == Some(&content) {
            self.candidate = None;
            return Looked::Same;
        }
        if self.candidate.as_ref() != Some(&content) {
            // It may be half-written: it has to look the same once more.
            self.candidate = Some(content);
            return Looked::Same;
        }
        self.candidate = None;
        let read = read(&self.path, &content);
        self.settled = Some(content);
        match read {
            Ok(levels) => Looked::News(levels),
            Err(finding) => Looked::Bad(*finding),
        }
    }
}

fn read(path: &Path, content: &[u8]) -> Result<FileLevels, Box<Finding>> {
    let bad = |line: usize, text: String| {
        let place = if line == 0 { path.display().to_string() } else { format!("{}:{line}", path.display()) };
        let text = format!("{text}; the levels stay as they are");
        Box::new(Finding::new(&kind::LEVELS_UNCHANGED, Severity::Error, place, text).help(
            "one or more directives a line, written as in RUST_LOG, `#` before comments; `[otlp]`, `[console]`, `[spans]` \
             before those of another stage",
        ))
    };
    let text = std::str::from_utf8(content).map_err(|_| bad(0, "it is no UTF-8".to_owned()))?;
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
                _ => return Err(bad(number, format!("`[{name}]` is no stage"))),
            };
            continue;
        }
        let parsed = parse(line);
        if let Some(problem) = parsed.problems.first() {
            return Err(bad(number, format!("`{}`: {}", problem.text, problem.why)));
        }
        if parsed.message.is_some() {
            return Err(bad(number, "a filter on the text of records belongs to RUST_LOG".to_owned()));
        }
        if !line.is_empty() {
            levels.directives.push((stage, number, parsed.directives));
        }
    }
    Ok(levels)
}

impl FileLevels {
    /// Puts these in the place of what an earlier version of the file said.
    pub(crate) fn apply(&self, path: &Path, sets: &mut LevelSets) {
        for stage in Stage::ALL {
            sets.of(stage).clear(Origin::File);
        }
        for (stage, line, directives) in &self.directives {
            let by = format!("{}:{line}", path.display());
            sets.of(*stage).extend(directives.clone(), Origin::File, &by);
        }
    }
}

impl LevelsFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::levels::Threshold;

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_told_once_and_not_waited_for() {
        let folder = std::env::temp_dir().join(format!("logbridge-levels-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("levels");
        let status = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(status.success());
        let mut file = LevelsFile::new(path.clone());
        let Looked::Bad(finding) = file.first() else { panic!("it is a pipe") };
        assert!(finding.to_string().contains("cannot be read: it is a named pipe"), "{finding}");
        assert!(matches!(file.look(), Looked::Same), "told once");
        // As a ConfigMap is: a link to a file that is replaced by a link to another one.
        std::fs::remove_file(&path).expect("the pipe");
        for (version, text) in [("one", "info\n"), ("two", "debug\n")] {
            std::fs::write(folder.join(version), text).expect("written");
            std::os::unix::fs::symlink(folder.join(version), folder.join("new")).expect("a link");
            std::fs::rename(folder.join("new"), &path).expect("in one step");
            assert!(matches!(file.look(), Looked::Same), "it has to look the same twice");
            assert!(matches!(file.look(), Looked::News(_)), "{version}");
        }
        std::fs::remove_dir_all(folder).expect("removed");
    }

    fn content(text: &str) -> Result<FileLevels, String> {
        read(Path::new("levels"), text.as_bytes()).map_err(|finding| finding.to_string())
    }

    #[test]
    fn it_is_looked_at_as_often_as_its_page_tells() {
        assert!(kind::LEVELS_UNCHANGED.cause.contains("four times a second"));
        assert_eq!(4 * POLL, Duration::from_secs(1));
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
    fn what_is_not_whole_or_not_understood_is_refused_whole() {
        for (text, why) in [
            ("info", "does not end in a line break"),
            ("info\nshop=deb\n", "levels:2"),
            ("[cellar]\ninfo\n", "`[cellar]` is no stage"),
        ] {
            let problem = content(text).expect_err(text);
            assert!(problem.contains(why) && problem.contains("stay as they are"), "{problem}");
        }
    }
}

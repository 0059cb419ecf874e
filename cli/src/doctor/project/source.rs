//! The project's own source, as far as a few words in it say something.
//!
//! Constraints: bounded in files and bytes; what cannot be read is left out. It reads text, no syntax: a rule asks for words
//! that hardly mean anything else, and stays silent where it cannot know.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::files::read;
use super::graph::Graph;
use super::strip::{Stripped, closing, strip};
use logbridge::internals::finding::{Finding, Kind, Severity};

/// As many files as a large workspace has.
const MAX_FILES: usize = 4000;
const MAX_BYTES: usize = 32 << 20;
/// So many entries of folders are looked at.
const MAX_ENTRIES: usize = 100_000;
/// What is longer was written by a program.
const MAX_FILE_BYTES: usize = 1 << 20;

/// So many places of a word in a file are looked at. Nobody writes more, and each costs a look at what is around it.
const MAX_PLACES: usize = 200;
/// So deep functions lie in each other.
const MAX_FUNCTIONS: usize = 16;

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// As it is shown: from the root of the workspace.
    pub(crate) path: String,
    /// The package it belongs to.
    pub(crate) package: usize,
    /// The binary whose root it is, if it is one.
    pub(crate) binary: Option<String>,
    pub(crate) code: String,
    pub(crate) text: String,
}

/// All files of the members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) files: Vec<File>,
    /// Not everything was read.
    pub(crate) is_truncated: bool,
}

impl Sources {
    /// Reads what stands in the `src` folders of the members, and the roots of their binaries.
    pub(crate) fn read(graph: &Graph) -> Self {
        let mut sources = Self::default();
        let (mut bytes, mut entries) = (0, MAX_ENTRIES);
        for &member in &graph.members {
            let Some(package) = graph.packages.get(member) else { continue };
            let folder = package.manifest.parent().unwrap_or(Path::new(".")).to_owned();
            let roots: Vec<(PathBuf, String)> = package
                .targets
                .iter()
                .filter(|target| target.is_binary)
                .map(|target| (target.path.clone(), target.name.clone()))
                .collect();
            let mut paths = Vec::new();
            walk(&folder.join("src"), &mut paths, &mut entries);
            for (root, _) in &roots {
                if !paths.contains(root) {
                    paths.push(root.clone());
                }
            }
            paths.sort();
            for path in paths {
                if sources.files.len() >= MAX_FILES || bytes >= MAX_BYTES || entries == 0 {
                    sources.is_truncated = true;
                    return sources;
                }
                let Some(source) = read(&path).ok().filter(|source| source.len() <= MAX_FILE_BYTES) else { continue };
                bytes += source.len();
                let Stripped { code, text } = strip(&source);
                let shown = path.strip_prefix(&graph.root).unwrap_or(&path).display().to_string();
                let binary = roots.iter().find(|(root, _)| *root == path).map(|(_, name)| name.clone());
                sources.files.push(File { path: shown, package: member, binary, code, text });
            }
        }
        sources
    }

    /// The files in which this stands.
    pub(crate) fn with<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.has(word))
    }

    /// Whether this stands anywhere in the code.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.with(word).next().is_some()
    }

    /// Whether any of these does.
    pub(crate) fn has_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.has(word))
    }

    /// The first place of a word, as `src/main.rs:12`.
    pub(crate) fn place(&self, word: &str) -> Option<String> {
        self.files.iter().find_map(|file| Some(file.place(file.find(word).next()?)))
    }
}

/// Stops when it has seen `left` entries.
fn walk(folder: &Path, into: &mut Vec<PathBuf>, left: &mut usize) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return;
        }
        let Ok(kind) = entry.file_type() else { continue };
        let path = entry.path();
        if into.len() > MAX_FILES {
            return;
        }
        // A link may lead in a circle.
        if kind.is_dir() && entry.file_name() != "tests" {
            walk(&path, into, left);
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            into.push(path);
        }
    }
}

/// Modules of tests have files of their own, by custom called so.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem == "tests" || stem == "test" || stem.ends_with("_tests") || stem.ends_with("_test")
}

impl File {
    /// Whether this stands in the code, not as a part of a longer word.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.find(word).next().is_some()
    }

    /// Where this stands in the code, for the first so many places.
    pub(crate) fn find<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.find_all(word).take(MAX_PLACES)
    }

    fn find_all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let begins_in_word = word.starts_with(is_part);
        let ends_in_word = word.ends_with(is_part);
        self.code.match_indices(word).map(|(at, _)| at).filter(move |at| {
            let before = self.code[..*at].chars().next_back().is_some_and(is_part);
            let after = self.code[at + word.len()..].chars().next().is_some_and(is_part);
            !(begins_in_word && before || ends_in_word && after)
        })
    }

    /// `src/main.rs:12`.
    pub(crate) fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, self.line_number(at))
    }

    /// A finding about this place, which shows its line.
    pub(super) fn finding(
        &self,
        at: usize,
        kind: &'static Kind,
        severity: Severity,
        text: impl Into<String>,
    ) -> Finding {
        Finding::new(kind, severity, self.place(at), text).at(self.line(at), 0..0)
    }

    fn line_number(&self, at: usize) -> usize {
        self.code.get(..at).unwrap_or_default().matches('\n').count() + 1
    }

    /// The line without comments, and without what stands in quotes: that may be a secret.
    pub(crate) fn line(&self, at: usize) -> String {
        let start = self.code.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |line| line + 1);
        let line = self.code.get(start..).unwrap_or_default().lines().next().unwrap_or_default().trim();
        let mut shown = String::new();
        for (number, piece) in line.split('"').enumerate() {
            match number {
                0 => shown.push_str(piece),
                _ if number % 2 == 1 && piece.trim().is_empty() && !piece.is_empty() => shown.push_str("\"…"),
                _ => shown.extend(["\"", piece]),
            }
        }
        shown.chars().take(160).collect()
    }

    /// The statement around this place: from the last `;`, `{` or `}` before it to the `;` that ends it.
    pub(crate) fn statement(&self, at: usize) -> Range<usize> {
        let bytes = self.code.as_bytes();
        let mut start = at;
        let mut depth = 0usize;
        while start > 0 {
            match bytes[start - 1] {
                b')' | b']' => depth += 1,
                b'(' | b'[' if depth > 0 => depth -= 1,
                b';' | b'{' | b'}' if depth == 0 => break,
                _ => {}
            }
            start -= 1;
        }
        let mut end = at;
        let mut depth = 0usize;
        while end < bytes.len() {
            match bytes[end] {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' if depth > 0 => depth -= 1,
                b'}' => break,
                b';' if depth == 0 => break,
                _ => {}
            }
            end += 1;
        }
        start..end
    }

    /// The body of the function around this place, with its head; the whole file where none is.
    pub(crate) fn function(&self, at: usize) -> Range<usize> {
        let starts: Vec<usize> = self.find_all("fn ").take_while(|start| *start <= at).collect();
        // From the last one backwards: the first that has not ended yet is the innermost.
        for start in starts.into_iter().rev().take(MAX_FUNCTIONS) {
            let Some(open) = self.code.get(start..).and_then(|rest| rest.find(['{', ';'])) else { continue };
            if self.code.as_bytes().get(start + open) == Some(&b';') {
                continue;
            }
            let end = closing(&self.code, start + open);
            if end > at {
                // `async` and `pub` stand before it.
                let head = self.code[..start].rfind(['\n', '}', ';']).map_or(0, |line| line + 1);
                return head..end;
            }
        }
        0..self.code.len()
    }

    /// A piece of the code.
    pub(crate) fn code(&self, range: Range<usize>) -> &str {
        self.code.get(range).unwrap_or_default()
    }

    /// The first text in quotes in this piece that follows the word.
    pub(crate) fn text_after(&self, range: Range<usize>, word: &str) -> Option<&str> {
        let at = range.start + self.code.get(range.clone())?.find(word)? + word.len();
        let rest = self.text.get(at..range.end)?.trim_start();
        let inside = rest.strip_prefix('"')?;
        inside.get(..inside.find('"')?)
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;

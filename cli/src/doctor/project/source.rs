//! The source code of the workspace members, searched as text.
//!
//! The number of files and bytes is bounded, and unreadable files are skipped. Nothing is parsed: rules search for
//! words that are unlikely to mean anything else, and report nothing if unsure.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::files::read;
use super::graph::Graph;
use super::strip::{Stripped, closing, strip};
use logbridge::internals::finding::{Finding, FindingExt as _, Kind, Severity, new_finding};

/// More files than a large workspace has.
const MAX_FILES: usize = 4000;
const MAX_BYTES: usize = 32 << 20;
/// Limits the number of directory entries.
const MAX_ENTRIES: usize = 100_000;
/// A longer file is generated.
const MAX_FILE_BYTES: usize = 1 << 20;

/// Limits the occurrences of a word that are examined in a file, because examining the code around each one takes time.
const MAX_OCCURRENCES: usize = 200;
/// Limits the depth of nested functions.
const MAX_FUNCTION_DEPTH: usize = 16;

/// A source file without comments and tests.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// The path relative to the root of the workspace.
    pub(crate) path: String,
    /// The index of its package.
    pub(crate) package: usize,
    /// The name of the binary whose root it is, if any.
    pub(crate) binary: Option<String>,
    /// The code without the contents of string literals.
    pub(crate) code: String,
    /// The code with string literals, at the same offsets.
    pub(crate) text: String,
}

/// The source files of all members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    pub(crate) files: Vec<File>,
    /// Whether a limit was reached, so that files are missing.
    pub(crate) is_truncated: bool,
}

impl Sources {
    /// Reads the `src` directories of the members and the roots of their binaries.
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

    /// Returns the files that contain this code.
    pub(crate) fn with<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.has(word))
    }

    /// Returns whether any file contains this code.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.with(word).next().is_some()
    }

    /// Returns whether any file contains any of these.
    pub(crate) fn has_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.has(word))
    }

    /// Returns the first occurrence, as `src/main.rs:12`.
    pub(crate) fn place(&self, word: &str) -> Option<String> {
        self.files.iter().find_map(|file| Some(file.place(file.find(word).next()?)))
    }
}

/// Collects Rust files, and stops after `left` directory entries.
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
        // Links are not followed, because they may form a cycle.
        if kind.is_dir() && entry.file_name() != "tests" {
            walk(&path, into, left);
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") && !is_test(&path) {
            into.push(path);
        }
    }
}

/// Returns whether a file is a test module by its name.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem == "tests" || stem == "test" || stem.ends_with("_tests") || stem.ends_with("_test")
}

impl File {
    /// Returns whether the code contains this, not as part of a longer word.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.find(word).next().is_some()
    }

    /// Returns the offsets of the first [`MAX_OCCURRENCES`] occurrences in the code.
    pub(crate) fn find<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.find_all(word).take(MAX_OCCURRENCES)
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

    /// Formats a place as `src/main.rs:12`.
    pub(crate) fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, self.line_number(at))
    }

    /// Returns a finding about a place that shows its line.
    pub(super) fn finding(
        &self,
        at: usize,
        kind: &'static Kind,
        severity: Severity,
        text: impl Into<String>,
    ) -> Finding {
        new_finding(kind, severity, self.place(at), text).at(self.line(at), 0..0)
    }

    fn line_number(&self, at: usize) -> usize {
        self.code.get(..at).unwrap_or_default().matches('\n').count() + 1
    }

    /// Returns the line without comments and without the contents of string literals, which may be secrets.
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

    /// Returns the statement around a place: from the last `;`, `{` or `}` before it to its final `;`.
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

    /// Returns the innermost function around a place, with its signature. Outside of a function, returns the whole
    /// file.
    pub(crate) fn function(&self, at: usize) -> Range<usize> {
        let starts: Vec<usize> = self.find_all("fn ").take_while(|start| *start <= at).collect();
        // Searching backwards, the first function that has not ended yet is the innermost.
        for start in starts.into_iter().rev().take(MAX_FUNCTION_DEPTH) {
            let Some(open) = self.code.get(start..).and_then(|rest| rest.find(['{', ';'])) else { continue };
            if self.code.as_bytes().get(start + open) == Some(&b';') {
                continue;
            }
            let end = closing(&self.code, start + open);
            if end > at {
                // Includes `pub` and `async`.
                let head = self.code[..start].rfind(['\n', '}', ';']).map_or(0, |line| line + 1);
                return head..end;
            }
        }
        0..self.code.len()
    }

    pub(crate) fn code(&self, range: Range<usize>) -> &str {
        self.code.get(range).unwrap_or_default()
    }

    /// Returns the string literal directly after the first occurrence of a word in a range.
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

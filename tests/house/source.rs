//! The sources of all packages.

use std::fs;
use std::path::{Path, PathBuf};

use crate::strip;

/// The packages of the workspace, and where their sources are.
pub(crate) const PACKAGES: [&str; 4] = ["src/", "receiver/src/", "cli/src/", "http/src/"];

pub(crate) struct Source {
    /// Below the root of the repository, with `/`.
    pub(crate) path: String,
    /// Without comments, the contents of texts, and what only tests see.
    pub(crate) code: String,
    pub(crate) lines: usize,
}

/// Returns the root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the Rust files of all packages, as [`files_below`] does.
pub(crate) fn files() -> Vec<(String, String)> {
    files_below(&PACKAGES)
}

/// Returns the Rust files below these folders: their paths below the root of the repository, and their text.
pub(crate) fn files_below(folders: &[&str]) -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .map(|file| {
            let text = fs::read_to_string(&file).expect("a source");
            (file.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/"), text)
        })
        .collect()
}

/// The files that are not only for tests.
pub(crate) fn sources() -> Vec<Source> {
    files()
        .into_iter()
        .filter(|(path, _)| !path.contains("tests"))
        .map(|(path, text)| Source { path, code: strip::strip(&text).code, lines: text.lines().count() })
        .collect()
}

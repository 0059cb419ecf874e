//! Reads the files of a project that is not trusted: bounded, and never from a device or a pipe.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::Table;

/// A longer file is neither a manifest nor source code.
const MAX_BYTES: u64 = 16 << 20;

/// Reads a regular file of at most 16 MiB. A pipe without a writer and an endless file return an error instead of
/// blocking.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let io_error = |error: std::io::Error| format!("`{}`: {error}", path.display());
    let invalid = || format!("`{}` is not a regular file, or is longer than 16 MiB", path.display());
    // The type is checked before opening, because opening a device may have an effect, and afterwards, because the file
    // may have been replaced in between.
    if !std::fs::metadata(path).map_err(io_error)?.is_file() {
        return Err(invalid());
    }
    let mut options = std::fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.read(true).open(path).map_err(io_error)?;
    if !file.metadata().map_err(io_error)?.is_file() {
        return Err(invalid());
    }
    let mut text = String::new();
    // The length in the metadata may be wrong, so it is not relied on.
    let length = file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(io_error)?;
    if length as u64 > MAX_BYTES { Err(invalid()) } else { Ok(text) }
}

/// Why a TOML file was not read.
#[derive(Debug)]
pub(super) enum TomlError {
    Unreadable(String),
    Invalid(String),
}

pub(super) fn read_toml(path: &Path) -> Result<Table, TomlError> {
    let text = read(path).map_err(TomlError::Unreadable)?;
    text.parse::<Table>().map_err(|error| {
        let what = error.message().lines().next().unwrap_or_default().to_owned();
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        TomlError::Invalid(format!("`{}` is not valid TOML: line {line}: {what}", path.display()))
    })
}

/// Returns the Cargo.toml of this directory or of the nearest parent that has one.
pub(crate) fn find_manifest(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join("Cargo.toml")).find(|path| path.is_file())
}

/// Returns the lock file of the project, which is at the root of its workspace.
pub(super) fn find_lock_file(manifest: &Path) -> Option<PathBuf> {
    manifest.ancestors().skip(1).map(|folder| folder.join("Cargo.lock")).find(|path| path.is_file())
}

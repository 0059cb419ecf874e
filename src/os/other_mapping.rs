//! Platforms without file mappings: every attempt fails, and records stay in memory.

use std::fs::File;
use std::io;
use std::path::Path;

use super::types::FileFacts;

/// Cannot be created on this platform.
#[derive(Debug)]
pub(crate) enum Mapping {}

impl Mapping {
    pub(crate) fn new(_file: File, _length: usize) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn len(&self) -> usize {
        match *self {}
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match *self {}
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match *self {}
    }

    pub(crate) fn publish(&mut self, _at: usize, _value: u64) {
        match *self {}
    }

    pub(crate) fn populate(&mut self) {
        match *self {}
    }

    pub(crate) fn release_pages(&self) {
        match *self {}
    }

    pub(crate) fn shrink(&mut self, _length: usize) -> usize {
        match *self {}
    }
}

pub(crate) fn lock(_file: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn is_locked(_file: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn reserve(_file: &File, _length: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Cannot be opened on this platform.
#[derive(Debug)]
pub(crate) enum Directory {}

impl Directory {
    pub(crate) fn open(_path: &Path, _follow: bool) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn create(&self, _name: &str) -> io::Result<File> {
        match *self {}
    }

    pub(crate) fn open_unless(
        &self,
        _refusal: impl Fn(&FileFacts) -> Option<String>,
        _name: &str,
        _write: bool,
    ) -> io::Result<(File, FileFacts)> {
        match *self {}
    }

    pub(crate) fn look_at(&self, _name: &str) -> io::Result<FileFacts> {
        match *self {}
    }

    pub(crate) fn facts(&self) -> io::Result<FileFacts> {
        match *self {}
    }

    pub(crate) fn remove(&self, _name: &str) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn list(&self, _each: impl FnMut(&str) -> bool) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        match *self {}
    }
}

pub(crate) fn facts_of(_file: &File) -> io::Result<FileFacts> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn effective_user() -> u32 {
    0
}

pub fn open_named(path: &Path) -> io::Result<File> {
    // Checked first: opening a pipe or device may block forever.
    match std::fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

pub(crate) fn kind_of(_path: &Path) -> io::Result<&'static str> {
    Ok("no directory")
}

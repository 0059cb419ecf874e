//! Platforms where files cannot be memory: every attempt says so, and what was to be kept in files stays in memory.

use std::fs::File;
use std::io;
use std::path::Path;

/// There is none.
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

    pub(crate) fn let_go_of_pages(&self) {
        match *self {}
    }

    pub(crate) fn shrink(&mut self, _length: usize) -> usize {
        match *self {}
    }
}

pub(crate) fn page_size() -> usize {
    4096
}

pub(crate) fn lock(_file: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(feature = "cli")]
pub(crate) fn is_locked(_file: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn reserve(_file: &File, _length: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn open_regular(path: &Path, write: bool) -> io::Result<File> {
    File::options().read(true).write(write).open(path)
}

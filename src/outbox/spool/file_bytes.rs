//! Reads files that somebody else has left behind, no more of them than means anything.
//!
//! Constraint: whatever the head of a file says, no more is read than the file is long, than frames go on, and than any
//! file of a spool may hold. A file with holes is as long as somebody likes, and takes no room on the disk.

use std::fs::File;
use std::io::{self, Read as _};

use super::directory::Directory;
use super::format::{HEAD, SALT, used, word};
use crate::os::{self, FileId};
use crate::outbox::frame::{is_intact, read_frame};

/// Longer ones hold a record that no endpoint takes.
pub(super) const MOST_BYTES: u64 = 256 << 20;
/// How much is read before it is looked whether it goes on.
const PIECE: u64 = 1 << 20;

/// A file, as far as it means anything.
#[derive(Debug)]
pub(super) struct FileBytes {
    pub(super) bytes: Vec<u8>,
    /// How long the file is.
    pub(super) length: usize,
    pub(super) id: FileId,
}

/// What counts of a file. One that is no spool's may be of any length.
pub(super) fn read_file_bytes(directory: &Directory, opened: &os::Directory, name: &str) -> io::Result<FileBytes> {
    let (file, facts) = directory.open_file(opened, name, false)?;
    let mut bytes = Vec::with_capacity(HEAD);
    (&file).take(HEAD as u64).read_to_end(&mut bytes)?;
    if let Some(used) = bytes.first_chunk().and_then(used) {
        let end = used.min(facts.length);
        if end > MOST_BYTES {
            let why = format!("it is longer than any file of a spool ({} MiB)", MOST_BYTES >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        read_on(&file, &mut bytes, end)?;
    }
    Ok(FileBytes { bytes, length: usize::try_from(facts.length).unwrap_or(usize::MAX), id: facts.id })
}

/// Reads up to `end`, as long as what is read are frames.
fn read_on(file: &File, bytes: &mut Vec<u8>, end: u64) -> io::Result<()> {
    // `used` has checked that they are there.
    let start = bytes.get(12..16).and_then(|start| start.first_chunk()).map_or(0, |start| u32::from_le_bytes(*start));
    let salt = word(bytes, SALT) as u32;
    let mut at = start as usize;
    while (bytes.len() as u64) < end {
        let more = (end - bytes.len() as u64).min(PIECE);
        if file.take(more).read_to_end(bytes)? == 0 {
            // It has become shorter meanwhile.
            break;
        }
        if !goes_on(bytes, &mut at, salt) {
            break;
        }
    }
    Ok(())
}

/// Whether there may be frames behind these bytes. One that is damaged may stand between two that are not.
fn goes_on(bytes: &[u8], at: &mut usize, salt: u32) -> bool {
    let mut damaged = false;
    while let Some(rest) = bytes.get(*at..)
        && let Some(frame) = read_frame(rest)
    {
        let is_damaged = !is_intact(rest, &frame, salt);
        if is_damaged && damaged {
            return false;
        }
        damaged = is_damaged;
        *at += frame.length;
    }
    true
}

/// How the file begins.
pub(super) fn head_of(file: &File) -> io::Result<[u8; HEAD]> {
    let mut head = [0; HEAD];
    (&mut &*file).read_exact(&mut head)?;
    Ok(head)
}

//! Reads the used part of a file that another process wrote.
//!
//! Constraint: whatever the head of a file says, no more is read than its length, its run of valid frames, and the
//! maximum for a spool file. A file with holes can have any length and take no room on the disk.

use std::fs::File;
use std::io::{self, Read as _};

use super::directory::Directory;
use super::format::Head;
use crate::os::{self, FileId};
use crate::outbox::frame::{is_intact, read_frame};

/// The maximum length. A longer file holds a record that no endpoint accepts.
pub(super) const MAX_BYTES: u64 = 256 << 20;
/// The number of bytes read before the frames are checked.
const CHUNK: u64 = 1 << 20;

/// The used part of a file.
#[derive(Debug)]
pub(super) struct FileBytes {
    pub(super) bytes: Vec<u8>,
    /// The length of the file.
    pub(super) length: usize,
    pub(super) id: FileId,
}

/// Reads the used part of a file, or only the head if it is not a spool file.
pub(super) fn read_file_bytes(directory: &Directory, opened: &os::Directory, name: &str) -> io::Result<FileBytes> {
    let (file, facts) = directory.open_file(opened, name, false)?;
    let mut bytes = Vec::with_capacity(Head::LENGTH);
    (&file).take(Head::LENGTH as u64).read_to_end(&mut bytes)?;
    if let Some(head) = Head::of_file(&bytes)
        && let Some(used) = head.used()
    {
        let end = used.min(facts.length);
        if end > MAX_BYTES {
            let why = format!("it is longer than any spool file ({} MiB)", MAX_BYTES >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        read_on(&file, &head, &mut bytes, end)?;
    }
    Ok(FileBytes { bytes, length: usize::try_from(facts.length).unwrap_or(usize::MAX), id: facts.id })
}

/// Reads up to `end`, but stops after invalid frames.
fn read_on(file: &File, head: &Head, bytes: &mut Vec<u8>, end: u64) -> io::Result<()> {
    let (mut at, salt) = (head.frames_start(), head.salt());
    while (bytes.len() as u64) < end {
        let more = (end - bytes.len() as u64).min(CHUNK);
        if file.take(more).read_to_end(bytes)? == 0 {
            // The file has become shorter meanwhile.
            break;
        }
        if !may_continue(bytes, &mut at, salt) {
            break;
        }
    }
    Ok(())
}

/// Whether valid frames may follow these bytes. One damaged frame may lie between two intact ones.
fn may_continue(bytes: &[u8], at: &mut usize, salt: u32) -> bool {
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

/// Reads the head of a file.
pub(super) fn head_of(file: &File) -> io::Result<Head> {
    let mut bytes = [0; Head::LENGTH];
    (&mut &*file).read_exact(&mut bytes)?;
    Ok(Head::new(bytes))
}

//! A file of the spool that this process writes.

use std::io;
use std::sync::Arc;

use super::directory::PinnedDirectory;
use super::format::{COMMITTED, CONSUMED, Creator, GROUP, RECORDS, SALT, frames_start, magic, write_head};
use crate::os::{self, FileId, Mapping};
use crate::outbox::frame::{salt_frame, sequence_salt, set_sequence};

/// The file of a segment. Frames in it outlive the process.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    mapping: Mapping,
    directory: Arc<PinnedDirectory>,
    name: String,
    id: FileId,
    /// Where the frames start.
    start: usize,
    /// Bytes of frames.
    filled: usize,
    records: u64,
    /// Mixed into the checksums of the frames.
    salt: u32,
    /// The pages have been released.
    parked: bool,
}

impl SpoolFile {
    /// Creates an empty file of that length, with all its disk blocks reserved.
    pub(super) fn create(
        directory: Arc<PinnedDirectory>,
        name: String,
        length: usize,
        creator: Creator,
        resource: &[u8],
        salt: u32,
    ) -> io::Result<Self> {
        let (id, mapping) = create_mapping(&directory, &name, length)?;
        let start = frames_start(resource.len());
        let mut file = Self { mapping, directory, name, id, start, filled: 0, records: 0, salt, parked: false };
        if !write_head(file.mapping.bytes_mut(), creator, resource) {
            file.delete();
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the resource does not fit into a segment"));
        }
        file.mapping.publish(SALT, u64::from(salt));
        file.mapping.publish(0, magic());
        Ok(file)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.mapping.bytes().get(self.start..self.start + self.filled).unwrap_or_default()
    }

    /// Returns how many bytes of frames fit into the file.
    pub(crate) fn capacity(&self) -> usize {
        self.mapping.len() - self.start
    }

    /// Returns the length of the file.
    pub(crate) fn length(&self) -> usize {
        self.mapping.len()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Assigns the empty file to the group with this number.
    pub(crate) fn begin(&mut self, group: u64) {
        self.mapping.publish(GROUP, group);
    }

    /// Appends a frame, which must fit. Once this returns, the frame outlives the process.
    #[inline]
    pub(crate) fn push(&mut self, frame: &[u8], sequence: u16) {
        let at = self.start + self.filled;
        let Some(target) = self.mapping.bytes_mut().get_mut(at..at + frame.len()) else { return };
        target.copy_from_slice(frame);
        set_sequence(target, sequence);
        salt_frame(target, self.salt ^ sequence_salt(sequence));
        self.filled += frame.len();
        self.records += 1;
        self.mapping.publish(RECORDS, self.records);
        self.mapping.publish(COMMITTED, self.filled as u64);
    }

    /// Marks the first `bytes` of frames as done.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.mapping.publish(CONSUMED, bytes as u64);
    }

    /// Empties the file for reuse. Frames of the earlier use never count as frames of the new one.
    pub(crate) fn clear(&mut self) {
        self.mapping.publish(COMMITTED, 0);
        self.mapping.publish(CONSUMED, 0);
        self.mapping.publish(RECORDS, 0);
        self.salt = next_salt(self.salt);
        self.mapping.publish(SALT, u64::from(self.salt));
        (self.filled, self.records) = (0, 0);
    }

    /// Maps all pages now.
    pub(crate) fn populate(&mut self) {
        self.mapping.populate();
        self.parked = false;
    }

    /// Releases the pages. The kernel reads them back when needed.
    pub(crate) fn park(&mut self) {
        if !std::mem::replace(&mut self.parked, true) {
            self.mapping.release_pages();
        }
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.parked
    }

    /// Frees the disk blocks after the frames. No more frames fit into the file then.
    pub(crate) fn shrink(&mut self) {
        let before = self.mapping.len();
        let length = self.mapping.shrink(self.start + self.filled);
        if length < before
            && let Ok(file) = self.directory.open_again(&self.name, self.id)
        {
            // If this fails, the disk blocks stay until the file is deleted.
            let _stays_long = file.set_len(length as u64);
        }
    }

    /// Deletes the file, because all its records have an outcome.
    pub(crate) fn delete(self) {
        let _gone_already = self.directory.remove(&self.name);
    }
}

/// Creates a file and maps it. If there is not enough disk space for all of it, no file remains.
fn create_mapping(directory: &PinnedDirectory, name: &str, length: usize) -> io::Result<(FileId, Mapping)> {
    let opened = directory.open()?;
    let file = opened.create(name)?;
    let map = || {
        let id = os::facts_of(&file)?.id;
        os::reserve(&file, length)?;
        Ok(id)
    };
    let made = map().and_then(|id| Ok((id, Mapping::new(file, length)?)));
    made.inspect_err(|_| drop(opened.remove(name)))
}

/// Returns the next salt. Salts have no pattern that damage could imitate.
pub(super) fn next_salt(salt: u32) -> u32 {
    let mut mixed = salt.wrapping_add(0x9e37_79b9);
    mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x21f0_aaad);
    mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x735a_2d97);
    mixed ^ (mixed >> 15)
}

#[cfg(test)]
impl SpoolFile {
    pub(in crate::outbox) fn path(&self) -> std::path::PathBuf {
        self.directory.path(&self.name)
    }
}

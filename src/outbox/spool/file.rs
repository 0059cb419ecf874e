//! One file of the spool as this process writes it.

use std::io;
use std::sync::Arc;

use super::directory::Place;
use super::format::{COMMITTED, CONSUMED, GROUP, Origin, RECORDS, SALT, magic, start_behind, write_head};
use crate::os::{self, FileId, Mapping};
use crate::outbox::frame::{salt_frame, sequence_salt, set_sequence};

/// A segment's file: frames that are in it outlive the process.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    mapping: Mapping,
    place: Arc<Place>,
    name: String,
    id: FileId,
    /// Where the frames start.
    start: usize,
    /// How many bytes of frames there are.
    filled: usize,
    records: u64,
    /// What the checksums of the frames are mixed with.
    salt: u32,
    /// Its pages have been let go of.
    parked: bool,
}

impl SpoolFile {
    /// Makes a file of that length, with all its blocks reserved, that is empty.
    pub(super) fn create(
        place: Arc<Place>,
        name: String,
        length: usize,
        origin: Origin,
        resource: &[u8],
        salt: u32,
    ) -> io::Result<Self> {
        let (id, mapping) = create_mapping(&place, &name, length)?;
        let start = start_behind(resource.len());
        let mut file = Self { mapping, place, name, id, start, filled: 0, records: 0, salt, parked: false };
        if !write_head(file.mapping.bytes_mut(), origin, resource) {
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

    /// How many bytes of frames it can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.mapping.len() - self.start
    }

    /// How long the file is.
    pub(crate) fn length(&self) -> usize {
        self.mapping.len()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It serves a group of this number from now on. Nothing is in it yet.
    pub(crate) fn begin(&mut self, group: u64) {
        self.mapping.publish(GROUP, group);
    }

    /// Appends a frame that there is room for. Once this returns, it outlives the process.
    #[inline]
    pub(crate) fn push(&mut self, frame: &[u8], sequence: u16) {
        let at = self.start + self.filled;
        let Some(place) = self.mapping.bytes_mut().get_mut(at..at + frame.len()) else { return };
        place.copy_from_slice(frame);
        set_sequence(place, sequence);
        salt_frame(place, self.salt ^ sequence_salt(sequence));
        self.filled += frame.len();
        self.records += 1;
        self.mapping.publish(RECORDS, self.records);
        self.mapping.publish(COMMITTED, self.filled as u64);
    }

    /// The first `bytes` of frames have met their fates.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.mapping.publish(CONSUMED, bytes as u64);
    }

    /// Empties it, to be used again. What is left of the earlier use does not count any more, at no moment.
    pub(crate) fn clear(&mut self) {
        self.mapping.publish(COMMITTED, 0);
        self.mapping.publish(CONSUMED, 0);
        self.mapping.publish(RECORDS, 0);
        self.salt = next_salt(self.salt);
        self.mapping.publish(SALT, u64::from(self.salt));
        (self.filled, self.records) = (0, 0);
    }

    /// Has the kernel give its pages now.
    pub(crate) fn populate(&mut self) {
        self.mapping.populate();
        self.parked = false;
    }

    /// Lets go of its pages; they are read back where they are asked for.
    pub(crate) fn park(&mut self) {
        if !std::mem::replace(&mut self.parked, true) {
            self.mapping.release_pages();
        }
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.parked
    }

    /// Gives back the blocks behind what is filled. It can hold no more then.
    pub(crate) fn shrink(&mut self) {
        let before = self.mapping.len();
        let length = self.mapping.shrink(self.start + self.filled);
        if length < before
            && let Ok(file) = self.place.open_again(&self.name, self.id)
        {
            // Where that fails, the blocks stay until the file goes.
            let _stays_long = file.set_len(length as u64);
        }
    }

    /// Everything in it has met its fate.
    pub(crate) fn delete(self) {
        let _gone_already = self.place.remove(&self.name);
    }
}

/// A new file as memory. Where there was no room for all of it, nothing stays.
fn create_mapping(place: &Place, name: &str, length: usize) -> io::Result<(FileId, Mapping)> {
    let opened = place.open()?;
    let file = opened.create(name)?;
    let map = || {
        let id = os::facts_of(&file)?.id;
        os::reserve(&file, length)?;
        Ok(id)
    };
    let made = map().and_then(|id| Ok((id, Mapping::new(file, length)?)));
    made.inspect_err(|_| drop(opened.remove(name)))
}

/// Another number each time, without a pattern that damage could follow.
pub(super) fn next_salt(salt: u32) -> u32 {
    let mut mixed = salt.wrapping_add(0x9e37_79b9);
    mixed = (mixed ^ (mixed >> 16)).wrapping_mul(0x21f0_aaad);
    mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x735a_2d97);
    mixed ^ (mixed >> 15)
}

#[cfg(test)]
impl SpoolFile {
    pub(in crate::outbox) fn path(&self) -> std::path::PathBuf {
        self.place.path(&self.name)
    }
}

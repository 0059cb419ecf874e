//! The layout of a spool file, and how it is read. Pure.
//!
//! Constraints:
//! * A process may be killed between any two instructions. So frames are written before the word that commits them, and
//!   the magic number of the head is written last.
//! * Reading arbitrary bytes never panics and returns no record that was not written. The head and each frame have a
//!   checksum. A salt is mixed into the checksums of frames; it changes each time the file is reused, so that a frame
//!   of an earlier use never counts.
//! * Each file can be sent on its own, because it has the resource of the process that wrote it.
//!
//! Integers are little endian. Words that change are aligned and written in one piece:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic number |
//! | 8 | 4 | version of this layout |
//! | 12 | 4 | where the frames start |
//! | 16 | 4 | length of the resource |
//! | 20 | 4 | process id |
//! | 24 | 8 | when the file was created, in nanoseconds since 1970 |
//! | 32 | 4 | CRC-32 of bytes 8 to 32 and the resource |
//! | 64 | 8 | committed: bytes of frames that count |
//! | 72 | 8 | consumed: bytes of those frames whose records have an outcome |
//! | 80 | 8 | number of records committed |
//! | 88 | 8 | salt of the frames' checksums |
//! | 96 | 8 | number of the group that the frames belong to: earlier groups have smaller numbers |
//! | 128 | … | resource: the fields of `ResourceLogs` before its scopes |

use crate::outbox::frame::{HEADER, is_intact, read_frame};

const MAGIC: [u8; 8] = *b"\x89lgspool";
pub(super) const VERSION: u32 = 2;
const LAYOUT_VERSION: usize = 8;
const FRAMES_START: usize = 12;
const RESOURCE_LENGTH: usize = 16;
const PID: usize = 20;
const CREATED: usize = 24;
const CHECKSUM: usize = 32;
pub(super) const COMMITTED: usize = 64;
pub(super) const CONSUMED: usize = 72;
pub(super) const RECORDS: usize = 80;
pub(super) const SALT: usize = 88;
pub(super) const GROUP: usize = 96;
const RESOURCE: usize = 128;
/// Frames start at a multiple of this.
const ALIGNMENT: usize = 64;

/// The process that created a file, and when it did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Creator {
    pub(super) pid: u32,
    /// When the file was created, in nanoseconds since 1970.
    pub(super) created: u64,
}

/// Returns the magic number as a word.
pub(super) fn magic() -> u64 {
    u64::from_le_bytes(MAGIC)
}

/// Returns where the frames start after a resource of that length.
pub(super) fn frames_start(resource: usize) -> usize {
    (RESOURCE + resource).next_multiple_of(ALIGNMENT)
}

/// Writes the head except for the magic number. Returns `false` if it does not fit.
pub(super) fn write_head(bytes: &mut [u8], creator: Creator, resource: &[u8]) -> bool {
    let start = frames_start(resource.len());
    let (Ok(start_word), Ok(length)) = (u32::try_from(start), u32::try_from(resource.len())) else { return false };
    let Some(head) = bytes.get_mut(..start) else { return false };
    head.fill(0);
    let mut put = |at: usize, value: &[u8]| {
        if let Some(place) = head.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    put(LAYOUT_VERSION, &VERSION.to_le_bytes());
    put(FRAMES_START, &start_word.to_le_bytes());
    put(RESOURCE_LENGTH, &length.to_le_bytes());
    put(PID, &creator.pid.to_le_bytes());
    put(CREATED, &creator.created.to_le_bytes());
    put(RESOURCE, resource);
    let checksum = checksum(head, resource.len());
    if let Some(place) = head.get_mut(CHECKSUM..CHECKSUM + 4) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    true
}

/// Reads eight bytes as an integer. Returns 0 if there are fewer.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Reads four bytes as an integer. Returns 0 if there are fewer.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn checksum(head: &[u8], resource: usize) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head.get(LAYOUT_VERSION..CHECKSUM).unwrap_or_default());
    hasher.update(head.get(RESOURCE..).and_then(|rest| rest.get(..resource)).unwrap_or_default());
    hasher.finalize()
}

/// Why a file is completely unreadable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unreadable {
    /// Nothing was ever written to it.
    Empty,
    /// It is not a spool file, or its head is damaged.
    Damaged,
    /// Another version with another layout wrote it.
    Version(u32),
}

/// The unreadable part of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Damage {
    /// The number of lost records, as far as is known.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// The readable part of a file.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Contents<'a> {
    pub(super) creator: Creator,
    pub(super) group: u64,
    pub(crate) resource: &'a [u8],
    /// Mixed into the checksums of the frames.
    pub(super) salt: u32,
    /// The frames whose records have no outcome yet, each with its end, relative to the start of the frames.
    pub(super) frames: Vec<(&'a [u8], usize)>,
    pub(crate) damage: Option<Damage>,
}

/// Reads the contents of a file.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents<'_>, Unreadable> {
    let u64_at = |at| u64_at(bytes, at);
    let u32_at = |at| u32_at(bytes, at);
    if u64_at(0) != magic() {
        // The process was killed before the head was complete, so nothing can have been committed.
        let is_empty = u64_at(0) == 0 && u64_at(COMMITTED) == 0;
        return Err(if is_empty { Unreadable::Empty } else { Unreadable::Damaged });
    }
    if u32_at(LAYOUT_VERSION) != VERSION {
        return Err(Unreadable::Version(u32_at(LAYOUT_VERSION)));
    }
    let (start, length) = (u32_at(FRAMES_START) as usize, u32_at(RESOURCE_LENGTH) as usize);
    let resource = bytes.get(RESOURCE..).and_then(|rest| rest.get(..length)).ok_or(Unreadable::Damaged)?;
    if start != frames_start(length) || u32_at(CHECKSUM) != checksum(bytes, length) {
        return Err(Unreadable::Damaged);
    }
    let committed = usize::try_from(u64_at(COMMITTED)).unwrap_or(usize::MAX);
    let frame_bytes = bytes.get(start..).unwrap_or_default();
    let area = frame_bytes.get(..committed).unwrap_or(frame_bytes);
    // A number beyond the committed bytes is invalid.
    let consumed = usize::try_from(u64_at(CONSUMED)).ok().filter(|consumed| *consumed <= committed).unwrap_or(0);
    let mut walk = FrameWalker { area, at: 0, salt: u64_at(SALT) as u32, skipped: 0, skipped_bytes: 0 };
    let (mut frames, mut done) = (Vec::new(), 0);
    while let Some((frame, end)) = walk.next() {
        if end <= consumed {
            done += 1;
        } else {
            frames.push((frame, end));
        }
    }
    let unread = (committed - walk.at) as u64;
    let damage = (walk.skipped > 0 || unread > 0).then(|| {
        let whole = done + frames.len() as u64;
        // This word is written before the committed one, so it may count one record more. It may be damaged too.
        let written = Some(u64_at(RECORDS))
            .filter(|records| *records <= committed as u64 / HEADER as u64 && unread < MAX_PLAUSIBLE);
        let records = written.unwrap_or(0).saturating_sub(whole).max(walk.skipped).max(1);
        Damage { records, bytes: unread + walk.skipped_bytes }
    });
    let creator = Creator { pid: u32_at(PID), created: u64_at(CREATED) };
    let salt = u64_at(SALT) as u32;
    Ok(Contents { creator, group: u64_at(GROUP), resource, salt, frames, damage })
}

/// The head of a file, which may contain any bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head([u8; Self::LENGTH]);

impl Head {
    pub(super) const LENGTH: usize = RESOURCE;

    pub(super) fn new(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Returns the head of a file that begins with these bytes, or `None` if they are too few.
    pub(super) fn of_file(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied().map(Self)
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64_at(&self.0, at)
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32_at(&self.0, at)
    }

    /// Returns the version of the layout, or `None` if the file is not a spool file, or not one yet.
    pub(super) fn version(&self) -> Option<u32> {
        (self.u64_at(0) == magic()).then(|| self.u32_at(LAYOUT_VERSION))
    }

    /// Returns the length of the used part of the file, or `None` if the head does not say. Nothing after it is ever
    /// read.
    pub(super) fn used(&self) -> Option<u64> {
        let (start, resource) = (self.frames_start(), self.u32_at(RESOURCE_LENGTH) as usize);
        let is_valid = self.version() == Some(VERSION) && start == frames_start(resource);
        is_valid.then(|| (start as u64).saturating_add(self.u64_at(COMMITTED)))
    }

    /// Returns where the frames start.
    pub(super) fn frames_start(&self) -> usize {
        self.u32_at(FRAMES_START) as usize
    }

    /// Returns the salt of the frames.
    pub(super) fn salt(&self) -> u32 {
        self.u64_at(SALT) as u32
    }

    /// Whether the file certainly has no frames.
    pub(super) fn is_empty(&self) -> bool {
        self.u64_at(COMMITTED) == 0 && (self.u64_at(0) == 0 || self.used().is_some())
    }

    /// Returns the id of the process that created the file, or 0 if the head does not say.
    pub(super) fn creator_pid(&self) -> u32 {
        if self.used().is_some() { self.u32_at(PID) } else { 0 }
    }

    /// Returns the number of the group that the frames belong to, or 0 if the head does not say.
    pub(super) fn group(&self) -> u64 {
        if self.used().is_some() { self.u64_at(GROUP) } else { 0 }
    }

    /// Estimates how many records wait in the file.
    pub(super) fn estimate(&self) -> u64 {
        let (committed, records) = (self.u64_at(COMMITTED), self.u64_at(RECORDS));
        if self.u64_at(0) != magic() || committed == 0 || committed > MAX_PLAUSIBLE || records > committed {
            return 0;
        }
        let waiting = committed.saturating_sub(self.u64_at(CONSUMED));
        (u128::from(records) * u128::from(waiting)).div_ceil(u128::from(committed)) as u64
    }
}

/// The maximum length of any file. A larger number in a head is wrong.
const MAX_PLAUSIBLE: u64 = 1 << 40;

/// Walks over the frames. Skips a damaged frame if the next frame, or the end, is where its length says.
struct FrameWalker<'a> {
    area: &'a [u8],
    at: usize,
    salt: u32,
    skipped: u64,
    skipped_bytes: u64,
}

impl<'a> FrameWalker<'a> {
    fn next(&mut self) -> Option<(&'a [u8], usize)> {
        loop {
            let rest = self.area.get(self.at..)?;
            let frame = read_frame(rest)?;
            let end = self.at + frame.length;
            if is_intact(rest, &frame, self.salt) {
                self.at = end;
                return Some((rest.get(..frame.length)?, end));
            }
            let next = self.area.get(end..)?;
            let goes_on = read_frame(next).is_some_and(|frame| is_intact(next, &frame, self.salt));
            if !next.is_empty() && !goes_on {
                return None;
            }
            self.at = end;
            self.skipped += 1;
            self.skipped_bytes += frame.length as u64;
        }
    }
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;

//! How a file of the spool is laid out, and how one is read that somebody else has left behind. Pure.
//!
//! Constraints:
//! * A process may be killed between any two instructions: what is committed is written before the word that says so, and
//!   the magic number comes last of the head.
//! * Whatever the bytes are, reading them never panics, and gives no record that was not written: the head and each frame
//!   have a checksum. That of a frame is mixed with a number that changes each time the file is used again, so that a frame
//!   of an earlier use never counts.
//! * Each file can be sent on its own: it has the resource of the process that wrote it.
//!
//! Little endian; words that change are aligned and written in one piece:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic number |
//! | 8 | 4 | version of this layout |
//! | 12 | 4 | where the frames start |
//! | 16 | 4 | length of the resource |
//! | 20 | 4 | process id |
//! | 24 | 8 | when the file was made, in nanoseconds since 1970 |
//! | 32 | 4 | CRC-32 of bytes 8 to 32 and the resource |
//! | 64 | 8 | committed: how many bytes of frames count |
//! | 72 | 8 | consumed: how many of them have met their fates |
//! | 80 | 8 | how many records were committed |
//! | 88 | 8 | what the checksums of frames are mixed with |
//! | 96 | 8 | number of the group that the frames are of: a smaller one was begun earlier |
//! | 128 | … | resource: the fields of `ResourceLogs` in front of its scopes |

use crate::outbox::frame::{HEADER, is_intact, read_frame};

const MAGIC: [u8; 8] = *b"\x89lgspool";
pub(super) const VERSION: u32 = 2;
const CHANGES: usize = 64;
pub(super) const COMMITTED: usize = CHANGES;
pub(super) const CONSUMED: usize = CHANGES + 8;
pub(super) const RECORDS: usize = CHANGES + 16;
pub(super) const SALT: usize = CHANGES + 24;
pub(super) const GROUP: usize = CHANGES + 32;
const RESOURCE: usize = 128;
/// How much of a file says what [`estimate`] needs.
pub(super) const HEAD: usize = RESOURCE;
/// Frames start at a multiple of this.
const ALIGNMENT: usize = 64;

/// What the head of a file says of its origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Origin {
    pub(super) pid: u32,
    /// Nanoseconds since 1970.
    pub(super) made: u64,
}

/// The magic number as a word that is written last.
pub(super) fn magic() -> u64 {
    u64::from_le_bytes(MAGIC)
}

/// Where the frames start behind a resource of that length.
pub(super) fn frames_start(resource: usize) -> usize {
    (RESOURCE + resource).next_multiple_of(ALIGNMENT)
}

/// Writes the head but for the magic number. `false` where it does not fit.
pub(super) fn write_head(bytes: &mut [u8], origin: Origin, resource: &[u8]) -> bool {
    let start = frames_start(resource.len());
    let (Ok(start_word), Ok(length)) = (u32::try_from(start), u32::try_from(resource.len())) else { return false };
    let Some(head) = bytes.get_mut(..start) else { return false };
    head.fill(0);
    let mut put = |at: usize, value: &[u8]| {
        if let Some(place) = head.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    put(8, &VERSION.to_le_bytes());
    put(12, &start_word.to_le_bytes());
    put(16, &length.to_le_bytes());
    put(20, &origin.pid.to_le_bytes());
    put(24, &origin.made.to_le_bytes());
    put(RESOURCE, resource);
    let checksum = checksum(head, resource.len());
    if let Some(place) = head.get_mut(32..36) {
        place.copy_from_slice(&checksum.to_le_bytes());
    }
    true
}

/// The eight bytes there; 0 where there are fewer.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

/// The four bytes there; 0 where there are fewer.
fn half(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |half| u32::from_le_bytes(*half))
}

fn checksum(head: &[u8], resource: usize) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head.get(8..32).unwrap_or_default());
    hasher.update(head.get(RESOURCE..).and_then(|rest| rest.get(..resource)).unwrap_or_default());
    hasher.finalize()
}

/// Why nothing of a file can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unreadable {
    /// Nothing was ever in it.
    Empty,
    /// It is no file of a spool, or its head is damaged.
    Damaged,
    /// It was written by a version that has another layout.
    Version(u32),
}

/// What of a file cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Damage {
    /// How many records that cost, as far as it can be known.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// What could be read of a file.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Contents<'a> {
    pub(super) origin: Origin,
    pub(super) group: u64,
    pub(crate) resource: &'a [u8],
    /// What the checksums of the frames are mixed with.
    pub(super) salt: u32,
    /// The frames that have not met their fates, each with where it ends behind the start of the frames.
    pub(super) frames: Vec<(&'a [u8], usize)>,
    pub(crate) damage: Option<Damage>,
}

/// Reads a file.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents<'_>, Unreadable> {
    let word = |at| word(bytes, at);
    let half = |at| half(bytes, at);
    if word(0) != magic() {
        // Its maker was killed before the head was whole, and nothing can have been committed.
        let is_empty = word(0) == 0 && word(COMMITTED) == 0;
        return Err(if is_empty { Unreadable::Empty } else { Unreadable::Damaged });
    }
    if half(8) != VERSION {
        return Err(Unreadable::Version(half(8)));
    }
    let (start, length) = (half(12) as usize, half(16) as usize);
    let resource = bytes.get(RESOURCE..).and_then(|rest| rest.get(..length)).ok_or(Unreadable::Damaged)?;
    if start != frames_start(length) || half(32) != checksum(bytes, length) {
        return Err(Unreadable::Damaged);
    }
    let committed = usize::try_from(word(COMMITTED)).unwrap_or(usize::MAX);
    let behind = bytes.get(start..).unwrap_or_default();
    let area = behind.get(..committed).unwrap_or(behind);
    // Beyond what is committed it means nothing.
    let consumed = usize::try_from(word(CONSUMED)).ok().filter(|consumed| *consumed <= committed).unwrap_or(0);
    let mut walk = FrameWalker { area, at: 0, salt: word(SALT) as u32, skipped: 0, skipped_bytes: 0 };
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
        // Written before what is committed, so it may count one more; and damaged itself, perhaps.
        let written = Some(word(RECORDS))
            .filter(|records| *records <= committed as u64 / HEADER as u64 && unread < MAX_PLAUSIBLE);
        let records = written.unwrap_or(0).saturating_sub(whole).max(walk.skipped).max(1);
        Damage { records, bytes: unread + walk.skipped_bytes }
    });
    let (origin, salt) = (Origin { pid: half(20), made: word(24) }, word(SALT) as u32);
    Ok(Contents { origin, group: word(GROUP), resource, salt, frames, damage })
}

/// How much of a file with this head means anything; `None` where the head says nothing of that. Nothing behind it is ever
/// read.
pub(super) fn used(head: &[u8; HEAD]) -> Option<u64> {
    let word = |at| word(head, at);
    let half = |at| half(head, at);
    let (start, length) = (half(12) as usize, half(16) as usize);
    let is_ours = word(0) == magic() && half(8) == VERSION && start == frames_start(length);
    is_ours.then(|| (start as u64).saturating_add(word(COMMITTED)))
}

/// Whether nothing can be in a file with this head.
pub(super) fn is_empty(head: &[u8; HEAD]) -> bool {
    word(head, COMMITTED) == 0 && (word(head, 0) == 0 || used(head).is_some())
}

/// The process that has made a file with this head; 0 where the head does not say.
pub(super) fn maker(head: &[u8; HEAD]) -> u32 {
    if used(head).is_some() { half(head, 20) } else { 0 }
}

/// The number of the group that the frames of a file with this head are of.
pub(super) fn group(head: &[u8; HEAD]) -> u64 {
    if used(head).is_some() { word(head, GROUP) } else { 0 }
}

/// How many records wait in a file with this head, about.
pub(super) fn estimate(head: &[u8; HEAD]) -> u64 {
    let word = |at| word(head, at);
    let (committed, records) = (word(COMMITTED), word(RECORDS));
    if word(0) != magic() || committed == 0 || committed > MAX_PLAUSIBLE || records > committed {
        return 0;
    }
    let waiting = committed.saturating_sub(word(CONSUMED));
    (u128::from(records) * u128::from(waiting)).div_ceil(u128::from(committed)) as u64
}

/// Of which version a file with this head is; `None` where it is no file of a spool, or not one yet.
pub(super) fn version_of(head: &[u8; HEAD]) -> Option<u32> {
    (word(head, 0) == magic()).then(|| half(head, 8))
}

/// More than any file holds: a number that says so is wrong.
const MAX_PLAUSIBLE: u64 = 1 << 40;

/// Goes from frame to frame. One that is damaged is skipped where the next one, or the end, is where it says.
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

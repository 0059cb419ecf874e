//! Files of a spool, whole and damaged, the same ones for the same seed.
//!
//! Each record ends with a number that follows from the rest of it, so that one that nobody wrote is known wherever it
//! turns up. No change below repairs the checksum of a frame: what passes for a record must be one.

use fastrand::Rng;

use super::format::{COMMITTED, CONSUMED, Creator, GROUP, RECORDS, SALT, VERSION, frames_start, magic, write_head};
use crate::outbox::frame::{FrameBuffer, salt_frame, sequence_salt, set_sequence};

/// Words of the head, those that change and those that do not.
const WORDS: [usize; 11] = [0, 8, 12, 16, 20, 32, COMMITTED, CONSUMED, RECORDS, SALT, GROUP];
/// Numbers at which arithmetic goes wrong.
const EDGES: [u64; 9] = [0, 1, 127, 128, 1 << 31, u32::MAX as u64, 1 << 40, i64::MAX as u64, u64::MAX];

/// Whether a record is one that was written.
pub(super) fn is_genuine(scope: &[u8], record: &[u8]) -> bool {
    record.split_last_chunk().is_some_and(|(text, number)| u64::from_le_bytes(*number) == digest(scope, text))
}

/// FNV-1a: damage that CRC-32 does not see does not pass this by the same pattern.
fn digest(scope: &[u8], text: &[u8]) -> u64 {
    let bytes = scope.iter().chain(&[0]).chain(text);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// An endless row of files.
pub(crate) struct Files {
    rng: Rng,
    /// The one before, whole.
    last: Vec<u8>,
}

impl Files {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), last: Vec::new() }
    }

    fn random(&mut self, most: usize) -> Vec<u8> {
        let length = self.rng.usize(0..=most);
        std::iter::repeat_with(|| self.rng.u8(..)).take(length).collect()
    }

    fn frame(&mut self, salt: u32) -> Vec<u8> {
        let scope = self.random(40);
        let longest = if self.rng.u8(..) == 0 { 5_000 } else { 90 };
        let text = self.random(longest);
        let mut buffer = FrameBuffer::default();
        buffer.begin(|buf| buf.extend_from_slice(&scope));
        buffer.scratch().buf.extend_from_slice(&text);
        buffer.scratch().buf.extend_from_slice(&digest(&scope, &text).to_le_bytes());
        buffer.end(self.rng.u8(..), true);
        let mut frame = buffer.bytes().to_vec();
        let sequence = self.rng.u16(..);
        set_sequence(&mut frame, sequence);
        salt_frame(&mut frame, salt ^ sequence_salt(sequence));
        frame
    }

    /// A file as a process leaves it behind that was killed at any moment.
    fn file(&mut self) -> Vec<u8> {
        let (resource, salt) = (self.random(200), self.rng.u32(..));
        let frames: Vec<Vec<u8>> = (0..self.rng.usize(0..20)).map(|_| self.frame(salt)).collect();
        // What lies behind the frames: nothing, or frames of an earlier use.
        let older: Vec<Vec<u8>> = (0..self.rng.usize(0..3)).map(|_| self.frame(salt ^ 0x5a5a)).collect();
        let length = |frames: &[Vec<u8>]| frames.iter().map(Vec::len).sum::<usize>();
        let committed = self.rng.usize(frames.len() / 2..=frames.len());
        let consumed = self.rng.usize(0..=committed);
        let mut bytes = vec![0; frames_start(resource.len())];
        write_head(&mut bytes, Creator { pid: 7, created: 8 }, &resource);
        put(&mut bytes, 0, &magic().to_le_bytes());
        put(&mut bytes, COMMITTED, &length(&frames[..committed]).to_le_bytes());
        put(&mut bytes, CONSUMED, &length(&frames[..consumed]).to_le_bytes());
        // It may count one more: killed between the two words.
        put(&mut bytes, RECORDS, &(committed + usize::from(committed < frames.len())).to_le_bytes());
        put(&mut bytes, SALT, &u64::from(salt).to_le_bytes());
        frames.iter().chain(&older).for_each(|frame| bytes.extend_from_slice(frame));
        bytes.resize(bytes.len() + self.rng.usize(0..600), 0);
        bytes
    }

    fn number(&mut self, near: usize) -> u64 {
        match self.rng.u8(..4) {
            0 => self.rng.u64(..),
            1 => EDGES[self.rng.usize(..EDGES.len())],
            _ => self.rng.u64(0..=near as u64 + 1),
        }
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        let (one, other) = (self.rng.usize(0..=length), self.rng.usize(0..=length));
        let (at, end) = (one.min(other), one.max(other));
        match self.rng.u8(..10) {
            0 => bytes.truncate(at),
            1 => bytes.rotate_left(at),
            // A page that did not reach the disk.
            2 => bytes[at..end.min(at + 512)].fill(0),
            3 => bytes[at..end.min(at + 64)].fill_with(|| self.rng.u8(..)),
            // Part of another file.
            4 => {
                let from = self.rng.usize(0..=self.last.len());
                bytes.splice(at..end, self.last[from..].iter().copied());
            }
            // The same twice.
            5 => {
                let piece = bytes[at..end.min(at + 400)].to_vec();
                bytes.splice(at..at, piece);
            }
            6 => {
                let (word, value) = (WORDS[self.rng.usize(..WORDS.len())], self.number(length));
                put(bytes, word, &value.to_le_bytes());
            }
            7 => self.forge(bytes),
            // A length inside a frame, perhaps.
            8 => {
                let value = self.number(length) as u32;
                put(bytes, at, &value.to_le_bytes());
            }
            _ if at < length => bytes[at] ^= 1 << self.rng.u8(..8),
            _ => bytes.push(self.rng.u8(..)),
        }
    }

    /// A head as somebody would write it who knows how: lengths of any size under a good checksum.
    fn forge(&mut self, bytes: &mut [u8]) {
        let resource = self.number(bytes.len()) as u32;
        let start =
            if self.rng.bool() { frames_start(resource as usize) as u32 } else { self.number(bytes.len()) as u32 };
        put(bytes, 0, &magic().to_le_bytes());
        put(bytes, 8, &VERSION.to_le_bytes());
        put(bytes, 12, &start.to_le_bytes());
        put(bytes, 16, &resource.to_le_bytes());
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(bytes.get(8..32).unwrap_or_default());
        hasher.update(bytes.get(128..).and_then(|rest| rest.get(..resource as usize)).unwrap_or_default());
        put(bytes, 32, &hasher.finalize().to_le_bytes());
    }
}

impl Iterator for Files {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = match self.rng.u8(..16) {
            0 => self.random(600),
            _ => self.file(),
        };
        let whole = bytes.clone();
        for _ in 0..self.rng.usize(0..5) {
            self.change(&mut bytes);
        }
        self.last = whole;
        Some(bytes)
    }
}

/// Writes there, where that fits.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

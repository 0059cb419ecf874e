//! Reading arbitrary bytes never panics, and returns no record that was not written.

use std::collections::HashSet;

use super::*;
use crate::outbox::frame::{FrameBuffer, salt_frame};

const SALT_NUMBER: u32 = 0xdead_beef;

/// A frame as it is stored in a file.
fn frame(scope: &[u8], record: &[u8]) -> Vec<u8> {
    let mut buffer = FrameBuffer::default();
    buffer.begin(|buf| buf.extend_from_slice(scope));
    buffer.scratch().buf.extend_from_slice(record);
    buffer.end(9, true);
    let mut frame = buffer.bytes().to_vec();
    salt_frame(&mut frame, SALT_NUMBER);
    frame
}

/// A file as a process leaves it.
fn file(frames: &[Vec<u8>], consumed: usize, resource: &[u8]) -> Vec<u8> {
    let start = frames_start(resource.len());
    let mut bytes = vec![0xa5; start + 4096 + frames.iter().map(Vec::len).sum::<usize>()];
    assert!(write_head(&mut bytes, Creator { pid: 7, created: 8 }, resource));
    let mut word = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    word(0, magic());
    word(COMMITTED, frames.iter().map(Vec::len).sum::<usize>() as u64);
    word(CONSUMED, frames[..consumed].iter().map(Vec::len).sum::<usize>() as u64);
    word(RECORDS, frames.len() as u64);
    word(SALT, u64::from(SALT_NUMBER));
    let mut at = start;
    for frame in frames {
        bytes[at..at + frame.len()].copy_from_slice(frame);
        at += frame.len();
    }
    bytes
}

fn numbered(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| frame(b"scope", format!("record {n} {}", "x".repeat(n % 50)).as_bytes())).collect()
}

#[test]
fn what_was_written_is_read_and_what_was_sent_is_not() {
    let frames = numbered(10);
    for consumed in 0..=10 {
        let bytes = file(&frames, consumed, b"resource");
        let contents = read(&bytes).expect("a file");
        assert_eq!(contents.frames.iter().map(|(frame, _)| frame.to_vec()).collect::<Vec<_>>(), frames[consumed..]);
        assert_eq!((contents.resource, contents.damage, contents.creator.pid), (&b"resource"[..], None, 7));
        let estimated = Head::of_file(&bytes).expect("a head").estimate();
        assert!(estimated.abs_diff(10 - consumed as u64) <= 2, "{estimated} {consumed}");
    }
}

#[test]
fn nothing_of_a_file_that_was_being_made_counts() {
    assert_eq!(read(&[]), Err(Unreadable::Empty));
    assert_eq!(read(&[0; 4096]), Err(Unreadable::Empty));
    let mut bytes = vec![0; 4096];
    write_head(&mut bytes, Creator { pid: 1, created: 1 }, b"resource");
    assert_eq!(read(&bytes), Err(Unreadable::Empty), "the magic number comes last");
    bytes[..8].copy_from_slice(&MAGIC);
    assert_eq!(read(&bytes).map(|contents| contents.frames.len()), Ok(0));
    for other in [1, 3] {
        bytes[8] = other;
        assert_eq!(read(&bytes), Err(Unreadable::Version(other.into())));
    }
    assert_eq!(read(b"somebody's notes, which are no spool"), Err(Unreadable::Damaged));
}

#[test]
fn a_torn_frame_is_not_read_and_those_before_it_are() {
    let frames = numbered(3);
    let bytes = file(&frames, 0, b"");
    let start = frames_start(0);
    let whole: usize = frames.iter().map(Vec::len).sum();
    for length in 0..whole {
        let contents = read(&bytes[..start + length]).expect("the head is whole");
        let fit = frames
            .iter()
            .scan(0, |sum, frame| {
                *sum += frame.len();
                Some(*sum)
            })
            .filter(|end| *end <= length);
        let fit = fit.count();
        assert_eq!(contents.frames.len(), fit);
        assert_eq!(contents.damage.map(|damage| damage.records), Some(3 - fit as u64), "{length}");
    }
}

#[test]
fn one_damaged_record_costs_one_record() {
    let frames = numbered(10);
    let bytes = file(&frames, 0, b"resource");
    let start = frames_start(8);
    let second = start + frames[0].len();
    let mut damaged = bytes.clone();
    damaged[second + HEADER + 3] ^= 0x40;
    let contents = read(&damaged).expect("the head is whole");
    assert_eq!(contents.frames.len(), 9);
    assert_eq!(contents.damage, Some(Damage { records: 1, bytes: frames[1].len() as u64 }));
    // The lengths are damaged, so the following frames cannot be found.
    let mut damaged = bytes;
    damaged[second + 4] ^= 0x40;
    let contents = read(&damaged).expect("the head is whole");
    assert_eq!(contents.frames.len(), 1);
    assert_eq!(contents.damage.map(|damage| damage.records), Some(9));
}

#[test]
fn frames_of_an_earlier_use_never_count() {
    let frames = numbered(4);
    let mut bytes = file(&frames, 0, b"");
    // The file is reused, and a power loss occurs when only the head is on the disk.
    bytes[SALT..SALT + 8].copy_from_slice(&77_u64.to_le_bytes());
    let contents = read(&bytes).expect("the head is whole");
    assert_eq!(contents.frames.len(), 0);
    assert!(contents.damage.is_some());
}

/// All kinds of changes to a file: bits, pages of zeros, pages of another file, truncation, words of the head.
#[test]
fn no_damage_makes_a_record_that_was_not_written() {
    let mut random = fastrand::Rng::with_seed(20_261_121);
    for round in 0..20_000 {
        let frames = numbered(random.usize(0..20));
        let known: HashSet<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let mut bytes = file(&frames, random.usize(0..=frames.len()), b"resource");
        for _ in 0..random.usize(0..4) {
            let at = random.usize(0..bytes.len().max(1));
            match random.u8(0..6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << random.u8(0..8),
                1 => {
                    let end = (at + random.usize(0..600)).min(bytes.len());
                    bytes[at.min(end)..end].fill(random.u8(..));
                }
                2 => bytes.truncate(at),
                3 => {
                    let word = [8, 12, 16, COMMITTED, CONSUMED, RECORDS, SALT][random.usize(..7)];
                    let value = if random.bool() { random.u64(..) } else { random.u64(..5_000) };
                    if let Some(place) = bytes.get_mut(word..word + 8) {
                        place.copy_from_slice(&value.to_le_bytes());
                    }
                }
                4 => bytes.rotate_left(at),
                _ => bytes.extend(std::iter::repeat_with(|| random.u8(..)).take(100)),
            }
        }
        if let Ok(contents) = read(&bytes) {
            for (frame, _) in contents.frames {
                assert!(known.contains(frame), "round {round}");
            }
        }
        if let Some(head) = Head::of_file(&bytes) {
            head.estimate();
        }
    }
}

//! Files of the spool: whatever the bytes are, no panic, and no record that was not written.

mod files;
#[path = "../../../src/outbox/spool/format.rs"]
#[allow(dead_code)] // As above.
mod format;

pub(crate) use files::Files;

use files::is_genuine;

use super::frame::read_frame;

pub(crate) fn run(bytes: &[u8]) {
    let word = |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |w| u64::from_le_bytes(*w));
    if let Some(head) = format::Head::of_file(bytes) {
        let estimated = head.estimate();
        assert!(estimated <= word(format::RECORDS), "{estimated} records are more than were ever there");
    }
    let Ok(contents) = format::read(bytes) else { return };
    let start = format::frames_start(contents.resource.len());
    let committed = word(format::COMMITTED);
    let consumed = Some(word(format::CONSUMED)).filter(|consumed| *consumed <= committed).unwrap_or(0);
    let (mut before, mut whole) = (0, 0);
    for (frame, end) in &contents.frames {
        let begin = end.checked_sub(frame.len()).expect("a frame ends behind its own start");
        assert!(begin >= before, "two records share bytes at {begin}");
        assert_eq!(bytes.get(start + begin..start + end), Some(*frame), "it lies where it says");
        assert!(*end as u64 <= committed, "a record beyond what was committed, at {begin}");
        assert!(*end as u64 > consumed, "a record that was sent, at {begin}");
        let read = read_frame(frame).expect("a frame");
        assert_eq!(read.length, frame.len());
        assert!(is_genuine(read.scope, read.record), "a record that nobody wrote, at {begin}");
        (before, whole) = (*end, whole + frame.len() as u64);
    }
    match contents.damage {
        // Not a byte is unaccounted for: what was sent, and what is given now.
        None => assert!(consumed + whole >= committed, "{consumed} + {whole} of {committed} bytes, and no damage"),
        Some(damage) => {
            assert!(damage.records > 0 && damage.bytes > 0 && damage.bytes <= committed, "{damage:?} of {committed}");
        }
    }
}

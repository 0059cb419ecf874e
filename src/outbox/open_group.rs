//! The group that a shard is filling.

use super::segment::Segment;

/// The unsealed segments of both lanes of a shard.
#[derive(Debug, Default)]
pub(super) struct OpenGroup {
    /// By lane.
    pub(super) segments: [Option<Segment>; 2],
    /// Frames in both lanes: the sequence number of the next one.
    pub(super) frames: u16,
    /// The group's number among all groups ever begun, from 1 on.
    pub(super) number: u64,
}

impl OpenGroup {
    /// Appends a frame. Returns `false` if the lane has no segment with room for it.
    #[inline(always)] // Part of each log call.
    pub(super) fn push(&mut self, lane: usize, frame: &[u8], max_records: u64) -> bool {
        match &mut self.segments[lane] {
            Some(segment)
                if segment.room() >= frame.len() && self.frames < u16::MAX && segment.records < max_records =>
            {
                segment.push(frame, self.frames);
                self.frames += 1;
                true
            }
            _ => false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.iter().all(Option::is_none)
    }
}

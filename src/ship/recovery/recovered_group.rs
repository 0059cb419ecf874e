//! The segments that another process filled together.

use crate::outbox::{RecoveredRun, RecoveredSegment, Segment};

/// The segments of one or both lanes of a group. The sequence numbers of their frames give the order.
pub(super) struct RecoveredGroup {
    /// In the order in which they were read.
    pub(super) lanes: [Option<RecoveredSegment>; 2],
    /// The run, if this is its last group.
    pub(super) run: Option<RecoveredRun>,
}

impl RecoveredGroup {
    pub(super) fn new(segment: RecoveredSegment) -> Self {
        Self { lanes: [Some(segment), None], run: None }
    }

    pub(super) fn lanes(&self) -> [Option<&Segment>; 2] {
        self.lanes.each_ref().map(|recovered| recovered.as_ref().map(|recovered| &recovered.segment))
    }

    pub(super) fn first(&self) -> Option<&RecoveredSegment> {
        self.lanes.iter().flatten().next()
    }

    /// Adds the segment of the other lane. Returns the segment if it does not belong to this group.
    pub(super) fn join(&mut self, segment: RecoveredSegment) -> Option<RecoveredSegment> {
        match &mut self.lanes {
            [Some(first), other @ None]
                if self.run.is_none() && first.group == segment.group && first.resource == segment.resource =>
            {
                other.replace(segment)
            }
            _ => Some(segment),
        }
    }
}

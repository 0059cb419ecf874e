//! What the sources in `outbox` ask of their surroundings.

/// Where a frame is written: of the crate's own, which knows records too, only the buffer is needed here.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) buf: Vec<u8>,
}

impl Scratch {
    /// No record of a fuzz target is in a trace.
    pub(crate) fn is_traced(&self) -> bool {
        false
    }
}

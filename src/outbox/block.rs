//! The storage of a segment's frames: memory of the process, or a file of the spool.

use super::frame::set_sequence;
use super::spool::SpoolFile;

/// Storage for the frames of one segment.
#[derive(Debug)]
pub(super) enum Block {
    Heap(Vec<u8>),
    File(SpoolFile),
}

impl Block {
    /// Returns the bytes of all frames.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Heap(buf) => buf,
            Self::File(file) => file.bytes(),
        }
    }

    /// Returns how many bytes of frames fit into the block.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Heap(buf) => buf.capacity(),
            Self::File(file) => file.capacity(),
        }
    }

    /// Returns how many bytes of the bound the block takes.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Heap(buf) => buf.capacity(),
            Self::File(file) => file.length(),
        }
    }

    /// Appends a frame with its sequence number in the group. The frame must fit.
    #[inline]
    pub(super) fn push(&mut self, frame: &[u8], sequence: u16) {
        match self {
            Self::Heap(buf) => {
                let at = buf.len();
                buf.extend_from_slice(frame);
                if let Some(frame) = buf.get_mut(at..) {
                    set_sequence(frame, sequence);
                }
            }
            Self::File(file) => file.push(frame, sequence),
        }
    }

    /// Assigns an empty block to the group with this number.
    pub(super) fn begin(&mut self, group: u64) {
        if let Self::File(file) = self {
            file.begin(group);
        }
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

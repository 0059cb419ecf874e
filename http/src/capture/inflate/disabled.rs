//! Without the feature `gzip`, compressed bodies are not captured.

use super::content::Coding;

#[derive(Debug)]
pub(super) enum Inflate {}

impl Inflate {
    pub(super) fn new(_coding: Coding) -> Option<Self> {
        None
    }

    pub(super) fn push(&mut self, _data: &[u8], _text: &mut Vec<u8>, _limit: usize) -> bool {
        match *self {}
    }
}

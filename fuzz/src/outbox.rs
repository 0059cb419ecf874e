//! The sources of the crate that read files of the spool: nobody else is to call them, so they are not reached through it.

#[path = "../../src/outbox/frame.rs"]
#[allow(dead_code)] // Not all of it is needed to read.
mod frame;
pub(crate) mod spool;

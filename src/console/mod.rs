//! What a person sees: console lines, and the debug mirror.

mod mirror;
mod stream;
mod terminal;

pub(crate) use mirror::MirrorPrinter;
pub(crate) use stream::is_in_pipe;
pub(crate) use terminal::{Printed, Terminal};

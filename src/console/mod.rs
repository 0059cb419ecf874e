//! The console and the debug mirror.

mod mirror;
mod sink;
mod terminal;

pub(crate) use mirror::MirrorPrinter;
pub(crate) use sink::is_in_custom_writer;
pub(crate) use terminal::{PrintResult, Terminal};

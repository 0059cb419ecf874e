//! The builder: configures logbridge and installs it.

mod configure;
mod format;
mod install;
mod levels;

pub use configure::Builder;
pub use install::post_fork;

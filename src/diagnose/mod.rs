//! Why a record is where it is, or is not.

mod canary;
mod explain;
mod facades;
#[cfg(feature = "cli")]
mod filter;
mod findings;
mod report;
mod setting;

pub(crate) use canary::check;
pub use canary::{Canary, Check, Facade, Place};
pub(crate) use explain::explain;
pub use explain::{Explanation, Gate};
#[cfg(feature = "cli")]
pub(crate) use filter::explain_filter;
pub use report::{Configuration, Cut, Dropped, Report, Traced};
#[cfg(feature = "cli")]
pub(crate) use report::{Images, prepare_images, put_report, read_images, replace_report};
pub(crate) use report::{begin_image, give as give_report};

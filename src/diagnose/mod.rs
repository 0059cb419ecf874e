//! Why a record is where it is, or is not.

mod canary;
mod explain;
mod facades;
mod filter;
mod findings;
mod report;
mod setting;

pub(crate) use canary::check;
pub use canary::{Canary, Check, Facade, Place};
pub(crate) use explain::explain;
pub use explain::{Explanation, Gate};
pub use filter::explain_filter;
pub use report::Images;
pub use report::prepare_images;
pub use report::put_report;
pub use report::read_images;
pub use report::replace_report;
pub use report::{Configuration, Cut, Dropped, Report, Traced};
pub(crate) use report::{begin_image, give as give_report};

//! The pipeline that `init` installed, for code without a handle: the logger, the root subscriber, hooks and handlers.

use std::panic::Location;
use std::sync::Arc;

use super::pipeline::Pipeline;
use crate::os::OnceBox;

static INSTALLED: OnceBox<Installed> = OnceBox::new();

#[derive(Debug)]
struct Installed {
    pipeline: Arc<Pipeline>,
    at: &'static Location<'static>,
}

/// Returns the installed pipeline; `None` before a successful `init`.
#[inline]
pub(crate) fn pipeline() -> Option<&'static Pipeline> {
    INSTALLED.get().map(|installed| &*installed.pipeline)
}

pub(crate) fn shared() -> Option<Arc<Pipeline>> {
    INSTALLED.get().map(|installed| Arc::clone(&installed.pipeline))
}

/// Returns where the pipeline was installed.
pub(crate) fn location() -> Option<&'static Location<'static>> {
    INSTALLED.get().map(|installed| installed.at)
}

/// Installs the pipeline.
///
/// # Errors
///
/// Returns the location of the earlier installation if there was one.
pub(crate) fn install(
    pipeline: Arc<Pipeline>,
    at: &'static Location<'static>,
) -> Result<(), &'static Location<'static>> {
    INSTALLED.set(Installed { pipeline, at }).map_err(|_| location().unwrap_or(at))
}

//! Propagates the current context to another thread.

use tracing_core::Dispatch;
use tracing_core::dispatcher;
use tracing_core::span::Id;

use crate::source::current_context;

/// Wraps a closure so that it runs in the current trace context of the caller.
///
/// Records written by the closure carry the ids of the span that is active now, and its spans are children of that
/// span. Without this function, a new thread starts without a context.
///
/// Use it for anything that takes a closure: threads, `spawn_blocking`, or jobs of rayon. For futures, use
/// `opentelemetry::context::FutureExt::with_current_context` or tracing's `in_current_span`.
///
/// # Examples
///
/// ```
/// let thread = std::thread::spawn(logbridge::carry_context(|| {
///     log::info!("written on another thread, in the same span");
/// }));
/// # thread.join().unwrap();
/// ```
pub fn carry_context<F, T>(run: F) -> impl FnOnce() -> T
where
    F: FnOnce() -> T,
{
    // A thread that is ending has no context and cannot attach one.
    let context = current_context();
    let span = context.as_ref().and_then(|_| CarriedSpan::current());
    move || {
        let _carried = context.filter(|_| current_context().is_some()).map(|context| {
            let entered = span.as_ref().map(CarriedSpan::enter);
            // Attached last and detached first, because it may be a descendant of tracing's span.
            (context.attach(), entered)
        });
        run()
    }
}

/// The current tracing span, kept open until the closure has run.
struct CarriedSpan {
    dispatch: Dispatch,
    id: Id,
}

impl CarriedSpan {
    fn current() -> Option<Self> {
        dispatcher::get_default(|dispatch| {
            let id = dispatch.current_span().id().map(|id| dispatch.clone_span(id))?;
            Some(Self { dispatch: dispatch.clone(), id })
        })
    }

    fn enter(&self) -> Entered<'_> {
        self.dispatch.enter(&self.id);
        Entered(self)
    }
}

impl Drop for CarriedSpan {
    fn drop(&mut self) {
        self.dispatch.try_close(self.id.clone());
    }
}

struct Entered<'a>(&'a CarriedSpan);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.dispatch.exit(&self.0.id);
    }
}

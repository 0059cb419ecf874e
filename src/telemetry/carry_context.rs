//! Handing the current context over to another thread.

use tracing_core::Dispatch;
use tracing_core::dispatcher;
use tracing_core::span::Id;

use crate::source::current_context;

/// Wraps a closure so that it runs in the context of the caller: records in it carry the ids of the span that is active
/// now, and spans in it are its children. A thread does not inherit them.
///
/// For a thread, `spawn_blocking`, a job of rayon's: whatever takes a closure. A future has
/// `opentelemetry::context::FutureExt::with_current_context` and tracing's `in_current_span`.
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
    // A thread that is ending has none any more, and cannot take one on.
    let context = current_context();
    let span = context.as_ref().and_then(|_| CarriedSpan::current());
    move || {
        let _carried = context.filter(|_| current_context().is_some()).map(|context| {
            let entered = span.as_ref().map(CarriedSpan::enter);
            // On top: it may be deeper than tracing's span. It is left first.
            (context.attach(), entered)
        });
        run()
    }
}

/// tracing's current span, kept open while it is carried.
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

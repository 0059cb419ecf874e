//! Handing the current context over to another thread.

use opentelemetry::Context;

/// Wraps a closure so that it runs in the context of the caller: records in it carry the ids of the span that is
/// active now. A thread does not inherit them.
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
    let context = Context::current();
    move || {
        let _attached = context.attach();
        run()
    }
}

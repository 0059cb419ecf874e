//! Propagates the current context to another program.

use std::process::Command;

use opentelemetry::propagation::Injector;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, global};
use tracing_core::dispatcher;

use super::inherited_context::with_inherited_parent;
use crate::config::propagation_variable;
use crate::source::current_context;
use crate::thread::catch_expected_panic;

/// Passes the current trace context to a program in the variables `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`.
///
/// This follows OpenTelemetry's specification "Environment Variables as Context Propagation Carriers". A program that
/// uses logbridge joins the trace if [`Builder::trace_context_from_env`](crate::Builder::trace_context_from_env) or
/// `LOGBRIDGE_TRACE_CONTEXT_FROM_ENV` is set.
///
/// The context is the first one that exists of:
///
/// 1. OpenTelemetry's current context, if it has a span;
/// 2. the current tracing span;
/// 3. the context that this process itself received from its environment.
///
/// If there is none, **the variables are removed from the command**. Otherwise, a program that is started outside of
/// every span would inherit an outdated parent from the environment of this process.
///
/// The global propagators write the variables; [`init`](crate::init) sets them according to `OTEL_PROPAGATORS`. If none
/// are set, the command is not changed.
///
/// Call this function while the span is active, and after `env_clear`. For a `tokio::process::Command`, use its
/// `as_std_mut`.
///
/// # Examples
///
/// ```
/// use std::process::Command;
///
/// let mut command = Command::new("import-orders");
/// logbridge::carry_context_to(command.arg("--all"));
/// // command.spawn()
/// ```
pub fn carry_context_to(command: &mut Command) -> &mut Command {
    let context = context_to_carry();
    global::get_text_map_propagator(|propagator| {
        // The propagator does not write fields without a value, so old ones are removed first.
        for field in propagator.fields() {
            command.env_remove(propagation_variable(field));
        }
        propagator.inject_context(&context, &mut Variables(command));
    });
    command
}

fn context_to_carry() -> Context {
    // A thread that is ending has no context.
    let current = current_context();
    let here = current.clone().unwrap_or_default();
    if here.span().span_context().is_valid() {
        return here;
    }
    let of_tracing = current.and_then(|_alive| context_of_current_span());
    of_tracing.or_else(|| with_inherited_parent(&here)).unwrap_or(here)
}

/// Returns the context of the current tracing span, for a layer that does not activate it as OpenTelemetry's context.
fn context_of_current_span() -> Option<Context> {
    dispatcher::get_default(|dispatch| {
        let current = dispatch.current_span();
        // tracing-opentelemetry panics if the span closes at the same moment.
        let context =
            catch_expected_panic(|| tracing_opentelemetry::get_otel_context(current.id()?, dispatch)).flatten();
        context.filter(|context| context.span().span_context().is_valid())
    })
}

struct Variables<'a>(&'a mut Command);

impl Injector for Variables<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty value has no meaning, and a NUL would make the start of the program fail.
        if !value.is_empty() && !value.contains('\0') {
            self.0.env(propagation_variable(key), value);
        }
    }
}

//! Handing the current context over to another program.

use std::process::Command;

use opentelemetry::propagation::Injector;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, global};
use tracing_core::dispatcher;

use super::root::under_root;
use crate::config::variable_of;
use crate::source::current_context;
use crate::thread::catch_expected_panic;

/// Hands the current context over to a program that is about to be started, in the variables `TRACEPARENT`, `TRACESTATE` and
/// `BAGGAGE`, as OpenTelemetry's specification of environment variables as carriers has it.
///
/// A program with logbridge joins the trace where
/// [`Builder::trace_context_from_env`](crate::Builder::trace_context_from_env) or `LOGBRIDGE_TRACE_CONTEXT_FROM_ENV` asks for
/// it; other programs have ways of their own.
///
/// The context is OpenTelemetry's current one; where that has no span, tracing's current span; where there is none either,
/// what this process was handed down itself, if it asked for that. Where there is no context at all, **the variables are
/// removed from the command**: a program that is started outside of every span must not inherit, from the environment of
/// this process, a parent that is long over.
///
/// The propagators are the global ones, which `init` sets as `OTEL_PROPAGATORS` says; where none are set, nothing is touched.
/// Call it after `env_clear` and where the span is active. A `tokio::process::Command` has `as_std_mut`.
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
        // The injector writes only what there is.
        for field in propagator.fields() {
            command.env_remove(variable_of(field));
        }
        propagator.inject_context(&context, &mut Variables(command));
    });
    command
}

fn context_to_carry() -> Context {
    // A thread that is ending has none any more.
    let current = current_context();
    let here = current.clone().unwrap_or_default();
    if here.span().span_context().is_valid() {
        return here;
    }
    let of_tracing = current.and_then(|_alive| context_of_current_span());
    of_tracing.or_else(|| under_root(&here)).unwrap_or(here)
}

/// That of tracing's current span, for a registry whose layer does not make it OpenTelemetry's current one.
fn context_of_current_span() -> Option<Context> {
    dispatcher::get_default(|dispatch| {
        let current = dispatch.current_span();
        // tracing-opentelemetry panics where a span closes at this very moment.
        let context =
            catch_expected_panic(|| tracing_opentelemetry::get_otel_context(current.id()?, dispatch)).flatten();
        context.filter(|context| context.span().span_context().is_valid())
    })
}

struct Variables<'a>(&'a mut Command);

impl Injector for Variables<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty value says nothing, and one with a NUL would keep the program from being started.
        if !value.is_empty() && !value.contains('\0') {
            self.0.env(variable_of(key), value);
        }
    }
}

//! A trace across processes: the context that a program receives in variables, and the context that it passes on.

use std::process::Command;

use logbridge::testing::{ReceivedLog, ReceivedSpan, Receiver};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::runner::{Group, named};
use crate::support::{Child, Finished, SLACK, receiver};

pub(crate) const GROUP: Group = Group {
    name: "carriers",
    tests: named![
        a_given_provider_makes_children_of_the_parent_too,
        a_job_is_part_of_the_trace_it_was_started_in,
        a_job_that_does_not_ask_begins_its_own_trace,
        a_parent_that_was_not_sampled_samples_nobody,
        code_asks_too_also_without_the_environment,
        every_front_tells_the_parent,
        inherited_variables_are_removed_outside_of_spans,
        nonsense_is_said_and_ignored,
        tracings_current_span_counts_where_opentelemetry_has_none,
        what_is_handed_down_goes_on_to_the_next,
        while_a_thread_ends_what_the_process_was_handed_down_goes_on,
        without_propagators_nothing_is_touched,
    ],
    scenarios: named![
        job,
        job_of_given_provider,
        job_through_a_front,
        job_without_environment,
        own_registry,
        service,
        start_in_destructor
    ],
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const ASKED: &str = "LOGBRIDGE_TRACE_CONTEXT_FROM_ENV";

fn parent() -> String {
    format!("00-{TRACE}-{SPAN}-01")
}

/// A job that was started by somebody.
fn job(_: &[String]) {
    logbridge::init();
    work();
}

fn job_without_environment(_: &[String]) {
    let (_, endpoint) = std::env::vars().find(|(name, _)| name == "OTEL_EXPORTER_OTLP_ENDPOINT").expect("an endpoint");
    let mut builder = logbridge::Builder::new();
    builder.otlp(logbridge::Otlp::to(endpoint)).service_name("job").filter_level(logbridge::LevelFilter::Info);
    builder.trace_context_from_env(true).init();
    work();
}

fn work() {
    log::info!("outside of log");
    tracing::info!("outside of tracing");
    std::thread::spawn(|| {
        log::info!("outside on a thread");
        tracing::info_span!("on a thread").in_scope(|| log::info!("inside on a thread"));
    })
    .join()
    .expect("no panic");
    tracing::info_span!("outer").in_scope(|| {
        tracing::info_span!("inner").in_scope(|| {
            log::info!("inside");
            let baggage = Context::map_current(|context| context.baggage().get("tenant").map(ToString::to_string));
            println!("tenant {}", baggage.unwrap_or_default());
        });
    });
    global::tracer("api").start("by the api").end();
    tracing::info_span!(parent: None, "apart").in_scope(|| log::info!("inside apart"));
    tracing::info!(parent: None, "apart");
}

/// A service that starts a job; the arguments say where.
fn service(arguments: &[String]) {
    logbridge::init();
    let start = || {
        let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
        command.args(["child", &arguments[1]]).env("OTEL_SERVICE_NAME", "job").args(&arguments[2..]);
        let status = logbridge::carry_context_to(&mut command).status().expect("a job");
        assert!(status.success(), "{status}");
    };
    match arguments[0].as_str() {
        "in a tracing span" => tracing::info_span!("request").in_scope(start),
        "in a span of the api" => {
            let context = Context::current_with_span(global::tracer("api").start("request"));
            let _attached = context.with_baggage([KeyValue::new("tenant", "a b")]).attach();
            start();
        }
        "in no span" => start(),
        other => panic!("no such place: {other}"),
    }
}

fn logs_of(receiver: &Receiver, service: &str) -> Vec<ReceivedLog> {
    receiver.logs().into_iter().filter(|log| log.service_name() == service).collect()
}

fn span_of(receiver: &Receiver, service: &str, name: &str) -> ReceivedSpan {
    let found: Vec<_> =
        receiver.spans().into_iter().filter(|span| span.service_name() == service && span.name == name).collect();
    assert_eq!(found.len(), 1, "spans called {name} of {service}: {found:#?}");
    found.into_iter().next().expect("one")
}

/// All that [`work`] leaves, under that parent.
#[track_caller]
fn assert_under(receiver: &Receiver, trace_id: &str, span_id: &str, child: &Finished) {
    let logs = logs_of(receiver, "job");
    let ids = |message: &str| {
        let found: Vec<_> = logs.iter().filter(|log| log.message() == message).collect();
        assert_eq!(found.len(), 1, "{message}: {logs:#?}; {child}");
        (found[0].trace_id.clone(), found[0].span_id.clone())
    };
    let span = |name| span_of(receiver, "job", name);
    let under = |name| (span(name).trace_id, span(name).parent_span_id);
    let handed_down = (trace_id.to_owned(), span_id.to_owned());
    for message in ["outside of log", "outside of tracing", "outside on a thread"] {
        assert_eq!(ids(message), handed_down, "{message}");
    }
    for name in ["on a thread", "outer", "by the api"] {
        assert_eq!(under(name), handed_down, "{name}");
    }
    assert_eq!(under("inner"), (trace_id.to_owned(), span("outer").span_id));
    assert_eq!(ids("inside"), (trace_id.to_owned(), span("inner").span_id));
    assert_eq!(ids("inside on a thread"), (trace_id.to_owned(), span("on a thread").span_id));
    // What was meant to be apart is.
    let apart = span("apart");
    assert!(apart.trace_id != trace_id && apart.parent_span_id.is_empty(), "{apart:#?}");
    assert_eq!(ids("inside apart"), (apart.trace_id, apart.span_id));
    assert_eq!(ids("apart"), (String::new(), String::new()));
}

/// All that [`work`] leaves, where it was started by nobody.
#[track_caller]
fn assert_alone(receiver: &Receiver, child: &Finished) {
    let logs = logs_of(receiver, "job");
    assert_eq!(logs.len(), 7, "{child}");
    for log in logs.iter().filter(|log| log.message().starts_with("outside")) {
        assert_eq!((log.trace_id.as_str(), log.span_id.as_str()), ("", ""), "{log}");
    }
    for name in ["on a thread", "outer", "by the api", "apart"] {
        assert_eq!(span_of(receiver, "job", name).parent_span_id, "", "{name}: {child}");
    }
}

fn a_job_is_part_of_the_trace_it_was_started_in() {
    for place in ["in a tracing span", "in a span of the api"] {
        let receiver = receiver();
        let child = Child::new("service").arg(place).arg("job").env(ASKED, "true").env("TRACESTATE", "stale=1");
        let child = child.to(&receiver).run().success().quiet().within(2 * SLACK);
        let request = span_of(&receiver, "child", "request");
        assert_under(&receiver, &request.trace_id, &request.span_id, &child);
        // Baggage goes along, and a state that belongs to another trace does not.
        let tenant = if place == "in a tracing span" { "tenant \n" } else { "tenant a b\n" };
        assert!(child.stdout.contains(tenant), "{child}");
        assert_eq!(span_of(&receiver, "job", "outer").trace_state, "");
    }
}

fn what_is_handed_down_goes_on_to_the_next() {
    let receiver = receiver();
    let child = Child::new("service").arg("in no span").arg("job").env(ASKED, "true");
    let child = child.env("TRACEPARENT", parent()).env("TRACESTATE", "vendor=1").env("BAGGAGE", "tenant=x");
    let child = child.to(&receiver).run().success().quiet().within(2 * SLACK);
    assert_under(&receiver, TRACE, SPAN, &child);
    assert_eq!(span_of(&receiver, "job", "outer").trace_state, "vendor=1");
    assert!(child.stdout.contains("tenant x\n"), "{child}");
}

fn inherited_variables_are_removed_outside_of_spans() {
    let receiver = receiver();
    // The service does not ask: what it was started in is none of its business. The job does, and is alone.
    let child = Child::new("service").arg("in no span").arg("job_without_environment");
    let child = child.env("TRACEPARENT", parent()).env("BAGGAGE", "tenant=x").to(&receiver).run();
    let child = child.success().quiet().within(2 * SLACK);
    assert_alone(&receiver, &child);
    assert!(child.stdout.contains("tenant \n"), "{child}");
}

fn without_propagators_nothing_is_touched() {
    let receiver = receiver();
    let child = Child::new("service").arg("in a tracing span").arg("job_without_environment");
    let child = child.env("OTEL_PROPAGATORS", "none").env("TRACEPARENT", parent()).to(&receiver).run();
    // The job reads no variable but those of the trace, so it has all propagators.
    assert_under(&receiver, TRACE, SPAN, &child.success().quiet().within(2 * SLACK));
}

fn code_asks_too_also_without_the_environment() {
    let receiver = receiver();
    let child = Child::new("job_without_environment").env("TRACEPARENT", parent()).to(&receiver).run();
    assert_under(&receiver, TRACE, SPAN, &child.success().quiet().within(SLACK));
}

fn a_job_that_does_not_ask_begins_its_own_trace() {
    let receiver = receiver();
    let child = Child::new("job").to(&receiver).env("OTEL_SERVICE_NAME", "job").env("TRACEPARENT", parent());
    assert_alone(&receiver, &child.run().success().quiet().within(SLACK));
}

fn nonsense_is_said_and_ignored() {
    for nonsense in ["nonsense", "00-4bf92f35-00f067aa0ba902b7-01", "\u{1b}[2J", "00-é-é-é"] {
        let receiver = receiver();
        let child = Child::new("job").to(&receiver).env("OTEL_SERVICE_NAME", "job").env(ASKED, "yes");
        let child = child.env("TRACEPARENT", nonsense).run().success().warned(1).within(SLACK);
        let child = child.said("logbridge: error[LB042]: TRACEPARENT: `").said("is not a W3C trace context");
        assert_alone(&receiver, &child);
    }
    let receiver = receiver();
    let child = Child::new("job").to(&receiver).env("OTEL_SERVICE_NAME", "job").env(ASKED, "yes");
    let child = child.env("TRACEPARENT", parent()).env("TRACESTATE", "nonsense").env("BAGGAGE", "nonsense").run();
    let child = child.success().warned(2).said("error[LB042]: TRACESTATE: ").said("error[LB042]: BAGGAGE: ");
    assert_under(&receiver, TRACE, SPAN, &child);
}

fn a_parent_that_was_not_sampled_samples_nobody() {
    let receiver = receiver();
    let child = Child::new("job").to(&receiver).env("OTEL_SERVICE_NAME", "job").env(ASKED, "true");
    let child = child.env("TRACEPARENT", format!("00-{TRACE}-{SPAN}-00")).run().success().quiet().within(SLACK);
    let names: Vec<_> = receiver.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["apart"], "{child}");
    let outside: Vec<_> =
        logs_of(&receiver, "job").into_iter().filter(|log| log.message().starts_with("outside")).collect();
    assert!(
        outside.len() == 3 && outside.iter().all(|log| log.trace_id == TRACE && log.flags & 1 == 0),
        "{outside:#?}"
    );
}

fn job_of_given_provider(_: &[String]) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    logbridge::builder().tracer_provider(&provider).init();
    log::info!("outside");
    tracing::info_span!("work").in_scope(|| log::info!("inside"));
    let span = exporter.get_finished_spans().expect("spans").remove(0);
    assert_eq!(
        (span.span_context.trace_id().to_string(), span.parent_span_id.to_string()),
        (TRACE.into(), SPAN.into())
    );
    assert!(span.parent_span_is_remote);
}

fn a_given_provider_makes_children_of_the_parent_too() {
    let receiver = receiver();
    let child = Child::new("job_of_given_provider").to(&receiver).env(ASKED, "true").env("TRACEPARENT", parent());
    let child = child.run().success().quiet().within(SLACK);
    let logs = receiver.logs();
    assert!(logs.len() == 2 && logs.iter().all(|log| log.trace_id == TRACE), "{logs:#?}; {child}");
}

/// Adds nothing.
#[derive(Debug)]
struct Nothing;

impl opentelemetry_sdk::logs::LogProcessor for Nothing {
    fn emit(&self, _: &mut opentelemetry_sdk::logs::SdkLogRecord, _: &opentelemetry::InstrumentationScope) {}

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: std::time::Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

fn job_through_a_front(arguments: &[String]) {
    let mut builder = logbridge::builder();
    match arguments[0].as_str() {
        "processors" => builder.log_processor(Nothing),
        _ => builder.official_appenders(),
    };
    builder.init();
    log::info!("outside");
    tracing::info!("outside");
    tracing::info_span!("work").in_scope(|| log::info!("inside"));
    if arguments[0] == "processors" {
        tracing::info!(parent: None, "apart");
    }
}

fn every_front_tells_the_parent() {
    for front in ["processors", "official"] {
        let receiver = receiver();
        let child = Child::new("job_through_a_front").arg(front).to(&receiver).env(ASKED, "true");
        let child = child.env("TRACEPARENT", parent()).run().success().quiet().within(SLACK);
        let work = span_of(&receiver, "child", "work");
        assert_eq!((work.trace_id.as_str(), work.parent_span_id.as_str()), (TRACE, SPAN));
        let outside: Vec<_> = receiver.logs().into_iter().filter(|log| log.message() == "outside").collect();
        assert_eq!(outside.len(), 2, "{child}");
        assert!(outside.iter().all(|log| log.trace_id == TRACE && log.span_id == SPAN), "{front}: {outside:#?}");
        let inside: Vec<_> = receiver.logs().into_iter().filter(|log| log.message() == "inside").collect();
        assert!(inside.iter().all(|log| log.trace_id == TRACE && log.span_id == work.span_id), "{front}: {inside:#?}");
        let apart: Vec<_> = receiver.logs().into_iter().filter(|log| log.message() == "apart").collect();
        assert!(apart.iter().all(|log| log.trace_id.is_empty()), "{front}: {apart:#?}");
    }
}

/// What the command says of `TRACEPARENT`: `None` for nothing, `Some(None)` for its removal.
fn handed_to(command: &Command) -> Option<Option<String>> {
    let (_, value) = command.get_envs().find(|(name, _)| *name == "TRACEPARENT")?;
    Some(value.map(|value| value.to_string_lossy().into_owned()))
}

/// A registry of the application's, whose layer leaves OpenTelemetry's current context alone.
fn own_registry(_: &[String]) {
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("own")).with_context_activation(false);
    let mut command = Command::new("never started");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let span = tracing::info_span!("request");
        span.in_scope(|| {
            logbridge::carry_context_to(&mut command);
            assert_eq!(handed_to(&command), None, "no propagators are set");
            global::set_text_map_propagator(TraceContextPropagator::new());
            logbridge::carry_context_to(&mut command);
            let value = handed_to(&command).flatten().expect("a value");
            let context = span.context();
            assert!(value.contains(&context.span().span_context().span_id().to_string()), "{value}");
        });
        logbridge::carry_context_to(&mut command);
        assert_eq!(handed_to(&command), Some(None), "it is removed");
    });
}

fn tracings_current_span_counts_where_opentelemetry_has_none() {
    Child::new("own_registry").run().success().quiet().within(SLACK);
}

struct StartsWhenDropped;

impl Drop for StartsWhenDropped {
    fn drop(&mut self) {
        let mut command = Command::new("never started");
        println!("handed={}", handed_to(logbridge::carry_context_to(&mut command)).flatten().unwrap_or_default());
    }
}

thread_local! {
    static LAST: StartsWhenDropped = const { StartsWhenDropped };
}

fn start_in_destructor(_: &[String]) {
    logbridge::init();
    let thread = std::thread::spawn(|| {
        LAST.with(|_| ());
        tracing::info_span!("over").in_scope(|| log::info!("alive"));
    });
    thread.join().expect("no panic");
}

fn while_a_thread_ends_what_the_process_was_handed_down_goes_on() {
    let receiver = receiver();
    let child = Child::new("start_in_destructor").env(ASKED, "true").env("TRACEPARENT", parent()).to(&receiver).run();
    let child = child.success().quiet().within(SLACK);
    assert!(child.stdout.contains(&format!("handed={}\n", parent())), "{child}");
}

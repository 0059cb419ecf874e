//! Kinds of findings about what arrived, as `logbridge run` sees it: LB091 to LB099.

super::kinds! {
    NOTHING_ARRIVED = "LB091" "nothing-arrived" NeverCreated "no log record arrived from the program",
        "The program has no exporter, it has one that does not read the variables (its endpoint stands in code), its levels let nothing through, it is switched off by a variable, or it ended before its exporter sent the first batch: SDKs wait 1 to 5 seconds, and a process that is killed or calls `exit` sends nothing of that.",
        "initialize logbridge (or an SDK) in `main`, let OTEL_EXPORTER_OTLP_ENDPOINT name the endpoint, set RUST_LOG=info, and flush before the end: logbridge does so by itself on return from `main`.";
    ONLY_SEVERE = "LB092" "only-severe" Filtered "only log records of WARN and above arrived",
        "Nothing below WARN came in. Where nobody sets a level, WARN is the usual default (of logbridge, of Python's logging, of the `log` crate's users), so INFO and DEBUG are cut in the program before anybody counts them as lost.",
        "RUST_LOG=info for programs in Rust; else the level of the root logger.";
    LOGS_WITHOUT_TRACE = "LB093" "logs-without-trace" HardToFind "spans arrived, but no log record has a trace id",
        "A record has the ids of the span in which it is logged. Here spans were made, and yet no record was logged inside one: the spans are never entered, the records come from threads or tasks that the context does not reach, or the bridge of the logs does not know the tracer's context.",
        "use `#[tracing::instrument]` or `.instrument(span)` on futures, `logbridge::carry_context` for threads, and one `init` for both logs and spans.";
    SPAN_MISSING = "LB094" "span-missing" HardToFind "log records name traces of which no span arrived",
        "A record shows a trace id, and nothing can be found under it: the span was not ended when the program ended, was not sampled, was refused, or its exporter sends elsewhere than that of the logs.",
        "end spans before the process ends (drop the guard), shut the tracer provider down, and sample logs with their traces.";
    TIME_ZERO = "LB095" "time-zero" HardToFind "log records have no time",
        "`time_unix_nano` is 0. Many stores take that for 1970: the record lies outside every time range that one looks at, and rules for old data delete it. The official appenders leave the time to the receiver.",
        "let the sender set the event time (logbridge always does), or have the collector copy the observed time.";
    SERVICE_UNKNOWN = "LB096" "service-unknown" HardToFind "what arrived has no service name",
        "`service.name` is missing or begins with `unknown_service`, which SDKs make up. Everything lands under a name that nobody looks for, together with all other programs without one.",
        "set OTEL_SERVICE_NAME, or `Builder::service_name` in code.";
    UNREADABLE_RECORD = "LB097" "unreadable-record" HardToFind "log records have no message, or the same attribute key twice",
        "A record without a body shows as an empty line: its text went into an attribute, or a tracing event had fields only. Of an attribute key that comes twice, each store keeps another one, and some refuse the record.",
        "give each event a message, and each attribute a name of its own; a field called `message` is the message.";
    BRIDGED_TWICE = "LB098" "bridged-twice" HardToFind "log records arrived twice, or by way of a second bridge",
        "The same message with the same time came more than once, or records have the target `log` and their real one in the attribute `log.target`. Something passes records of `log` on to tracing (`tracing_log::LogTracer`) beside the bridge, tracing's feature `log-always` passes events on to `log`, or two exporters are installed.",
        "remove `LogTracer::init` and the feature `log-always`; install one bridge: `logbridge::init()` takes records of both facades.";
    FEEDBACK_LOOP = "LB099" "feedback-loop" HardToFind "most log records come from the HTTP client that sends them",
        "At DEBUG and TRACE, h2, hyper, reqwest, rustls and tonic log about each request. Where the exporter sends by them, each batch makes the records of the next one, for ever, and what one looks for drowns. (logbridge suppresses its own, so these are those of another exporter or of the program's own requests.)",
        "RUST_LOG=debug,h2=off,hyper=off,hyper_util=off,reqwest=off,rustls=off,tonic=off.";
}

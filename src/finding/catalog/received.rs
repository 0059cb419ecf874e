//! Kinds of findings about received telemetry, as `logbridge run` sees it: LB091 to LB099, then LB205 to LB219.

super::definition::kinds! {
    NOTHING_ARRIVED = "LB091" "nothing-arrived" NeverCreated {
        title: "no log record arrived from the program",
        effect: "The backend has no log record of the program either.",
        cause: "The program has no exporter, its exporter does not read the variables, its levels filter everything, \
                or a variable turns it off. Or it ended before the first batch: SDKs wait 1 to 5 seconds, and a \
                process that is killed or calls `exit` sends nothing.",
        fix: "Initialize logbridge or an SDK in `main`, set OTEL_EXPORTER_OTLP_ENDPOINT and RUST_LOG, and flush before \
              the end. logbridge flushes on return from `main`.",
        example: "`OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 RUST_LOG=info ./app`",
    }
    ONLY_SEVERE = "LB092" "only-severe" Filtered {
        title: "only log records of WARN and above arrived",
        effect: "Records of INFO and DEBUG are filtered in the program, and no counter of losses shows them.",
        cause: "If no level is set, WARN is the usual default: of logbridge, of Python's logging, and of many users of \
                `log`.",
        fix: "Set the level: RUST_LOG for Rust programs, and the level of the root logger elsewhere.",
        example: "`RUST_LOG=info`",
    }
    LOGS_WITHOUT_TRACE = "LB093" "logs-without-trace" HardToFind {
        title: "there are spans, but no log record has a trace id, or many have none",
        effect: "The records cannot be found by their trace.",
        cause: "A record gets the ids of the span in which it is logged, and these were not logged inside a span. The \
                spans are never entered, or the context does not reach the threads or tasks that log. Or the log \
                bridge does not know the tracer's context. If only a part of the records has no ids, the report names \
                the targets and threads in a note: records of startup and of background work need no ids.",
        fix: "Use `#[tracing::instrument]`, or `.instrument(span)` on futures. Use `logbridge::carry_context` for \
              threads, and a single `init` for logs and spans.",
        example: "Instead of `tokio::spawn(work())`, write `tokio::spawn(work().instrument(Span::current()))`.",
    }
    SPAN_MISSING = "LB094" "span-missing" HardToFind {
        title: "log records have trace ids, but no span of these traces arrived",
        effect: "A record shows a trace id, but the trace cannot be opened.",
        cause: "The span was still open when the program ended, was not sampled, was rejected, or its exporter uses \
                another endpoint than the logs.",
        fix: "End spans before the process ends (drop the guard), shut down the tracer provider, and sample logs with \
              their traces.",
        example: "`OTEL_TRACES_SAMPLER=parentbased_always_on`",
    }
    TIME_ZERO = "LB095" "time-zero" HardToFind {
        title: "log records have no time",
        effect: "Many stores read the time as 1970. The record is outside every time range that is searched, and \
                 retention rules delete it.",
        cause: "`time_unix_nano` is 0. The official appenders leave the time to the receiver.",
        fix: "Let the sender set the event time, as logbridge always does, or let the collector copy the observed \
              time.",
        example: "In a transform processor: `set(log.time, log.observed_time) where log.time_unix_nano == 0`",
    }
    SERVICE_UNKNOWN = "LB096" "service-unknown" HardToFind {
        title: "telemetry arrived without a service name",
        effect: "The records are stored under a name that nobody searches for, together with the records of other \
                 unnamed programs.",
        cause: "`service.name` is missing, or begins with `unknown_service`, the default of SDKs.",
        fix: "Set OTEL_SERVICE_NAME, or call `Builder::service_name`.",
        example: "`OTEL_SERVICE_NAME=shop`",
    }
    UNREADABLE_RECORD = "LB097" "unreadable-record" HardToFind {
        title: "log records have no message, or have an attribute key twice",
        effect: "A record without a body is shown as an empty line. If a key is repeated, stores differ in which value \
                 they keep, and some reject the record.",
        cause: "The text is in an attribute, or a tracing event has fields only. Or a record has two attributes of the \
                same name.",
        fix: "Give each event a message, and each attribute a name of its own. A field called `message` is the \
              message.",
        example: "Instead of `info!(user = 42)`, write `info!(user = 42, \"order placed\")`.",
    }
    BRIDGED_TWICE = "LB098" "bridged-twice" HardToFind {
        title: "log records arrived twice, or through a second bridge",
        effect: "The same message arrives more than once with the same time. Or records have the target `log`, and \
                 their real target in the attribute `log.target`.",
        cause: "`tracing_log::LogTracer` forwards records of `log` to tracing beside the bridge, the feature \
                `log-always` of tracing forwards events to `log`, or two exporters are installed.",
        fix: "Remove `LogTracer::init` and the feature `log-always`, and install one bridge. `logbridge::init()` takes \
              records of both facades.",
        example: "Instead of `LogTracer::init()` and `logbridge::init()`, write `logbridge::init()`.",
    }
    FEEDBACK_LOOP = "LB099" "feedback-loop" HardToFind {
        title: "most log records come from the HTTP client that sends them",
        effect: "Sending a batch creates records for the next batch, endlessly, and other records are hard to find \
                 among them.",
        cause: "At DEBUG and TRACE, h2, hyper, reqwest, rustls and tonic log each request of an exporter that uses \
                them. logbridge suppresses its own, so these come from another exporter or from requests of the \
                program.",
        fix: "Turn off the targets of the HTTP client.",
        example: "`RUST_LOG=debug,h2=off,hyper=off,hyper_util=off,reqwest=off,rustls=off,tonic=off`",
    }
}

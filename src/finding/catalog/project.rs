//! Kinds of findings about a project, before it runs: LB045 to LB062, then LB145 to LB169.

super::definition::kinds! {
    LEVEL_COMPILED_OUT = "LB045" "level-compiled-out" NeverCreated {
        title: "a feature of `log` or tracing removes levels at compile time",
        effect: "Log calls below the level do not exist in the program, often in release builds only. RUST_LOG cannot \
                 bring them back.",
        cause: "`max_level_*` and `release_max_level_*` are Cargo features, and features of all crates in a build add \
                up. A single dependency affects the whole program.",
        fix: "Remove the feature where the finding shows it, or patch the crate that enables it. Libraries should \
              leave this choice to programs.",
        example: "In the dependency: instead of `log = { version = \"0.4\", features = [\"release_max_level_warn\"] \
                  }`, write `log = \"0.4\"`.",
    }
    TWO_VERSIONS = "LB046" "two-versions" HardToFind {
        title: "a crate is present in two versions, or versions do not match",
        effect: "Records reach a logger that is never set, or have no trace id because the span is in the context of \
                 the other version.",
        cause: "`log`, tracing and opentelemetry keep their logger, subscriber or context in statics, and each version \
                or source has its own. tracing-opentelemetry 0.N needs opentelemetry 0.(N-1).",
        fix: "Use one version of the crate everywhere. `cargo tree -i CRATE@VERSION` shows which crates depend on a \
              version.",
        example: "tracing-opentelemetry 0.34 fits opentelemetry 0.33. With opentelemetry 0.32 beside it, records have \
                  no trace id.",
    }
    KNOWN_BAD_VERSION = "LB047" "known-bad-version" Dropped {
        title: "a version has a known fault that loses records",
        effect: "The fault loses records: for example, a failed request is not retried, flush and shutdown race, or \
                 the stack overflows.",
        cause: "The lock file contains a version of a telemetry crate with this fault.",
        fix: "Upgrade as the finding says, with `cargo update` or a newer requirement in Cargo.toml.",
        example: "`cargo update -p opentelemetry_sdk`",
    }
    ASYNC_CLIENT = "LB048" "async-client" Dropped {
        title: "the export thread of the stock SDK uses an HTTP client that needs a runtime",
        effect: "The client panics with \"there is no reactor running\", the export thread ends, and nothing is sent.",
        cause: "If the feature `reqwest-client` or `hyper-client` of opentelemetry-otlp is on, its exporter uses that \
                async client. Any crate of the build can enable the feature. The batch thread has no runtime.",
        fix: "Pass a blocking client with `.with_http_client(…)`, or disable the feature.",
        example: "`LogExporter::builder().with_http().with_http_client(reqwest::blocking::Client::new())`",
    }
    MISSING_FEATURE = "LB049" "missing-feature" Dropped {
        title: "an exporter is built without a Cargo feature that it needs",
        effect: "Every export fails, often with \"network error\" or without any message.",
        cause: "The crate opentelemetry-otlp has features for TLS (one per transport, and one for roots with gRPC), \
                for each compression, and for its own messages (`internal-logs`). The build lacks one that the \
                exporter needs.",
        fix: "Add the feature that the finding names to Cargo.toml.",
        example: "For an `https://` endpoint over HTTP: `opentelemetry-otlp = { version = \"0.33\", features = \
                  [\"reqwest-rustls\"] }`",
    }
    LOG_RECORDS = "LB050" "log-records" NeverCreated {
        title: "records of `log` reach the tracing subscriber incomplete, or not at all",
        effect: "Records of crates that use `log` are missing, or arrive without key-values.",
        cause: "A subscriber gets records of `log` only through LogTracer. `.init()` of tracing-subscriber installs it \
                if the feature `tracing-log` is on; `set_global_default` does not. LogTracer omits key-values, and the \
                appender for tracing omits `valuable` values.",
        fix: "Install LogTracer, or use the appender for `log` beside the appender for tracing.",
        example: "`tracing_log::LogTracer::init()` before `set_global_default(subscriber)`",
    }
    TRACING_INTO_LOG = "LB051" "tracing-into-log" HardToFind {
        title: "a feature of tracing makes events arrive twice or not at all",
        effect: "Events arrive twice, or not at all once a subscriber is set.",
        cause: "The feature `log` of tracing forwards events only while there is no subscriber. The feature \
                `log-always` always forwards them, so that an event arrives directly and once more through LogTracer.",
        fix: "Remove the feature, and let either a subscriber or a logger receive the events.",
        example: "Instead of `tracing = { version = \"0.1\", features = [\"log-always\"] }`, write `tracing = \
                  \"0.1\"`.",
    }
    PROBED_FILTER = "LB052" "probed-filter" Filtered {
        title: "a per-layer filter drops the event that follows a `log_enabled!` check",
        effect: "The next event of an always-enabled callsite is lost on the layer with the filter.",
        cause: "All releases of tracing-subscriber up to 0.3.23 keep the answers of per-layer filters in a \
                thread-local. A crate that checks `log_enabled!` or `enabled!` without logging (sqlx, ureq) leaves its \
                answer there.",
        fix: "Use one filter for the whole subscriber, or no filter on the layer for OpenTelemetry.",
        example: "Instead of `.with(otel.with_filter(filter))`, write `.with(otel).with(filter)`.",
    }
    SHARED_OBJECT = "LB053" "shared-object" NeverCreated {
        title: "a shared library has a logger of its own that is never set",
        effect: "Records that the library logs reach no logger.",
        cause: "Each cdylib, dylib, plugin or Python module has its own copy of the statics of `log` and tracing. The \
                setup of the program does not apply there.",
        fix: "Initialize logging inside each shared object.",
        example: "Call `logbridge::try_init()` in the `#[pymodule]` function of a Python module.",
    }
    SWITCHED_OFF = "LB054" "switched-off" NeverCreated {
        title: "the export of logs is turned off",
        effect: "No record is exported.",
        cause: "The exporting crates are behind a Cargo feature that the build does not enable. Or nothing turns the \
                export on, or OTEL_SDK_DISABLED or OTEL_LOGS_EXPORTER=none turns it off.",
        fix: "Enable the feature (`--features`, or `default`), set OTEL_EXPORTER_OTLP_ENDPOINT, or unset the variable \
              that turns it off.",
        example: "`unset OTEL_SDK_DISABLED`, or `cargo build --release --features otel`",
    }
    NO_BRIDGE = "LB055" "no-bridge" NeverCreated {
        title: "a logger provider is built, but nothing forwards records to it",
        effect: "The provider gets no records.",
        cause: "The SDK has no global logger provider. Only an appender forwards records to it: \
                opentelemetry-appender-log as a logger, or the layer of opentelemetry-appender-tracing.",
        fix: "Add one of the appenders, and construct it with the provider.",
        example: "`tracing_subscriber::registry().with(OpenTelemetryTracingBridge::new(&provider)).init()`",
    }
    NO_INIT = "LB056" "no-init" NeverCreated {
        title: "a binary sets no logger, or sets one for a single thread only",
        effect: "Records of the binary, or of all other threads, are discarded.",
        cause: "Each binary of a project needs its own initialization. `set_default` and `with_default` apply to the \
                calling thread only, not to spawned threads or tokio's workers.",
        fix: "Initialize globally, in the first line of each `main`.",
        example: "Instead of `let _guard = tracing::subscriber::set_default(subscriber)`, write \
                  `tracing::subscriber::set_global_default(subscriber)?`.",
    }
    MAX_LEVEL_OFF = "LB057" "max-level-off" NeverCreated {
        title: "a logger is installed, but `log::max_level()` is off",
        effect: "Not even errors are logged.",
        cause: "`log::set_boxed_logger` installs a logger but leaves `log::max_level()` at its initial value, Off. The \
                example in the documentation of opentelemetry-appender-log omits the second call.",
        fix: "Call `log::set_max_level` after installing the logger.",
        example: "`log::set_max_level(log::LevelFilter::Info)`",
    }
    SWALLOWED_ERROR = "LB058" "swallowed-error" NeverCreated {
        title: "the error of an initialization is discarded",
        effect: "The program runs without a logger or exporter, and nothing reports it.",
        cause: "A second logger or subscriber is rejected, or an exporter cannot be built, and `.ok()`, `let _ =` or \
                `if let Ok(…)` discards the error. `try_init` may also have set the subscriber and failed for `log` \
                only.",
        fix: "Call `.expect(…)`, or print the error.",
        example: "Instead of `let _ = tracing_subscriber::fmt().try_init()`, write `tracing_subscriber::fmt().init()`.",
    }
    DROPPED_GUARD = "LB059" "dropped-guard" Dropped {
        title: "a guard that stops the export is dropped at once",
        effect: "The exporter or writer shuts down immediately, and later records are lost.",
        cause: "`let _ =` drops its value on the same line. When a guard is dropped, it shuts down its exporter or \
                writer (tracing_appender).",
        fix: "Bind the guard to a name, and keep it until the end of `main`.",
        example: "Instead of `let _ = init()`, write `let _guard = init()`.",
    }
    LOST_AT_EXIT = "LB060" "lost-at-exit" Dropped {
        title: "the program can end or fork before its last records are sent",
        effect: "Records that wait in the batch processor are lost.",
        cause: "The stock batch processor sends once a second from a thread, and returning from `main` does not flush \
                it. Neither do `process::exit`, a panic with `panic = \"abort\"` or an unhandled SIGTERM. A forked \
                child has no such thread.",
        fix: "Call `shutdown` on the provider on every exit path, after the last record. Build the provider after a \
              fork.",
        example: "`provider.shutdown()?` as the last line of `main`",
    }
    WRONG_CONTEXT = "LB061" "wrong-context" Dropped {
        title: "an exporter is built or called where it cannot work",
        effect: "The exporter panics or fails, or each log call waits for the endpoint.",
        cause: "The gRPC client, tonic, needs a tokio runtime while it is built and while it sends. The simple \
                processor sends on the thread that logs; with the blocking client it panics inside async code.",
        fix: "Build gRPC exporters inside a runtime that outlives them, and use the batch processor.",
        example: "Instead of `.with_simple_exporter(exporter)`, write `.with_batch_exporter(exporter)`.",
    }
    FILTER_IN_CODE = "LB062" "filter-in-code" Filtered {
        title: "a filter in code is stricter than RUST_LOG or the layer's own filter",
        effect: "Records are filtered although RUST_LOG or another layer allows them.",
        cause: "`EnvFilter::new(\"info\")` does not read RUST_LOG. A filter that is added to a subscriber as a layer \
                applies to all layers, in addition to their own filters.",
        fix: "Read RUST_LOG with `EnvFilter::builder().from_env_lossy()`. Attach a filter that is meant for one layer \
              to that layer.",
        example: "Instead of `EnvFilter::new(\"info\")`, write \
                  `EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy()`.",
    }
    TWO_SERVER_LAYERS = "LB145" "two-server-layers" HardToFind {
        title: "a router has two layers that make a span for each request",
        effect: "A request has two spans. Records have the ids of the inner one, which may be in another trace than the \
                 outer one, and backends count the request twice.",
        cause: "`TraceLayer`, `OtelAxumLayer`, the layer of opentelemetry-instrumentation-tower and `ServerLayer` of \
                logbridge-http each make a span. logbridge leaves out the span of `TraceLayer` inside `ServerLayer`, \
                but no other one. `TraceLayer` alone does not continue the trace of the caller.",
        fix: "Keep one of them. If `TraceLayer` should stay beside `ServerLayer`, put `ServerLayer` outside of it.",
        example: "Instead of `.layer(ServerLayer::new()).layer(TraceLayer::new_for_http())`, write \
                  `.layer(TraceLayer::new_for_http()).layer(ServerLayer::new())`: the last call is the outermost.",
    }
}

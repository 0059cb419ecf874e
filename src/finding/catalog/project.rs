//! Kinds of findings about a project, before it runs: LB045 to LB062.

super::kinds! {
    LEVEL_COMPILED_OUT = "LB045" "level-compiled-out" NeverCreated "a feature of `log` or tracing compiles levels out",
        "`max_level_*` and `release_max_level_*` are features of `log` and tracing, and features of all crates of a build add up: one dependency that asks for `release_max_level_warn` removes every `info!` of the whole program, in release builds only. RUST_LOG cannot bring them back.",
        "remove the feature where the finding says it is asked for, or patch the crate that asks; libraries should leave it to programs.";
    TWO_VERSIONS = "LB046" "two-versions" HardToFind "a crate that must be there once is there twice, or versions do not fit",
        "`log`, tracing and opentelemetry each keep their logger, subscriber or context in statics. Of two versions (or sources) each has its own: records go to a logger that nobody has set, and logs have no trace id since the span is in the other one's context. tracing-opentelemetry 0.N is for opentelemetry 0.(N-1).",
        "bring all to one version; `cargo tree -i CRATE@VERSION` shows who pulls a version in.";
    KNOWN_BAD_VERSION = "LB047" "known-bad-version" Dropped "a version with a known fault that loses records",
        "The lock file holds a version of a telemetry crate in which records are known to get lost: without a retry, in a race of flush and shutdown, by an overflow of the stack.",
        "upgrade as the finding says: `cargo update -p CRATE`, or a newer requirement in Cargo.toml.";
    ASYNC_CLIENT = "LB048" "async-client" Dropped "the export thread of the stock SDK has an HTTP client that needs a runtime",
        "Where the features `reqwest-client` or `hyper-client` of opentelemetry-otlp are on, even by another crate's wish, its exporter takes that async client. The batch thread has no runtime: the client panics with \"there is no reactor running\", the thread is dead, and nothing is sent.",
        "pass a blocking client by `.with_http_client(…)`, or switch the feature off.";
    MISSING_FEATURE = "LB049" "missing-feature" Dropped "the stock exporter is built without something that is asked of it",
        "opentelemetry-otlp needs a feature for TLS (one for each transport, and for roots with gRPC), for each compression, and for its own voice (`internal-logs`). Without them every export fails, often as \"network error\", or fails in silence.",
        "add the feature that the finding names to Cargo.toml.";
    LOG_RECORDS = "LB050" "log-records" NeverCreated "records of `log` do not reach the subscriber of tracing, or not whole",
        "A subscriber sees records of `log` only by LogTracer, which the feature `tracing-log` and `.init()` of tracing-subscriber install, and `set_global_default` does not. LogTracer leaves out key-values; the appender for tracing leaves out `valuable` values.",
        "install LogTracer, or use the appender for `log` beside the one for tracing.";
    TRACING_INTO_LOG = "LB051" "tracing-into-log" HardToFind "tracing forwards its events to `log`, twice or not at all",
        "The feature `log` of tracing forwards events only while there is no subscriber; `log-always` does always, so that an event comes directly and once more through LogTracer.",
        "remove the feature; let one subscriber or one logger own the events.";
    PROBED_FILTER = "LB052" "probed-filter" Filtered "a filter of one layer keeps the answer to a question that no event followed",
        "tracing-subscriber keeps what the filters of single layers said in a thread-local. A crate that asks `log_enabled!` or `enabled!` without logging (sqlx, ureq) leaves its answer there, and the next event of a callsite that is always on is lost on that layer. All releases up to 0.3.23 do.",
        "use one filter for the whole subscriber, or none on the layer to OpenTelemetry.";
    SHARED_OBJECT = "LB053" "shared-object" NeverCreated "a shared library logs with a logger of its own that nobody has set",
        "Each cdylib, dylib, plugin or Python module has its own copy of the statics of `log` and tracing. What the program sets up is not there.",
        "initialise logging inside each shared object.";
    SWITCHED_OFF = "LB054" "switched-off" NeverCreated "the sending of logs is switched off",
        "The crates that send are behind a Cargo feature that the build does not have, or OTEL_SDK_DISABLED or OTEL_LOGS_EXPORTER=none say that nothing is sent.",
        "switch the feature on (`--features`, or `default`), or unset the variable.";
    NO_BRIDGE = "LB055" "no-bridge" NeverCreated "a provider of logs is built, and nothing leads records to it",
        "The SDK has no global provider of logs. Records come to it by an appender only: opentelemetry-appender-log as a logger, or the layer of opentelemetry-appender-tracing.",
        "add one of them, and make it with the provider.";
    NO_INIT = "LB056" "no-init" NeverCreated "a binary, or all but one thread of it, has no logger",
        "Each binary of a project needs its own initialisation. `set_default` and `with_default` are for the calling thread alone: what spawned threads and tokio's workers log goes nowhere.",
        "initialise globally, as the first line of each `main`.";
    MAX_LEVEL_OFF = "LB057" "max-level-off" NeverCreated "a logger is installed, and the level of `log` stays off",
        "`log::set_boxed_logger` installs a logger and leaves `log::max_level()` at Off, its value at the start: not even errors are logged. The example in the documentation of opentelemetry-appender-log leaves it out.",
        "call `log::set_max_level(log::LevelFilter::Info)`.";
    SWALLOWED_ERROR = "LB058" "swallowed-error" NeverCreated "the result of an initialisation is thrown away",
        "A second logger or subscriber is refused, an exporter cannot be built: with `.ok()`, `let _ =` or `if let Ok(…)` the program goes on without one, and nothing says so. `try_init` may also have set the subscriber and failed for `log` alone.",
        "`.expect(…)` it, or print the error.";
    DROPPED_GUARD = "LB059" "dropped-guard" Dropped "a guard that stops the sending is dropped at once",
        "`let _ = init()` drops the value in the same line, where `let _guard = init()` keeps it. Guards of telemetry and of tracing_appender's writer shut down what they guard.",
        "bind it to a name, and keep it to the end of `main`.";
    LOST_AT_EXIT = "LB060" "lost-at-exit" Dropped "the program can end, or fork, before its last records are sent",
        "The stock batch processor sends once a second, from a thread. Without `shutdown`, at `process::exit`, a panic with `panic = \"abort\"`, a SIGTERM that nobody handles, or in a forked child (which has no such thread), what waits is lost; `main` that returns does not flush.",
        "call `shutdown` on the provider on every way out, after the last record; build it after a fork.";
    WRONG_CONTEXT = "LB061" "wrong-context" Dropped "an exporter is built or called where it cannot work",
        "tonic needs a tokio runtime when it is built and as long as it sends. The simple processor sends on the thread that logs: with the blocking client it panics inside async code, and elsewhere each record waits for its answer.",
        "build gRPC exporters inside a runtime that lives on; use the batch processor.";
    FILTER_IN_CODE = "LB062" "filter-in-code" Filtered "a filter stands in code, and is not the one that is set or meant",
        "`EnvFilter::new(\"info\")` does not read RUST_LOG, which then has no effect. A filter that is added to a subscriber as a layer holds for all layers, whatever filters they have of their own.",
        "read RUST_LOG by `EnvFilter::builder().from_env_lossy()`; put a filter that is meant for one layer on that layer.";
}

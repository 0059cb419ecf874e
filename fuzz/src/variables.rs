//! Variables with a grammar: the first line is for the headers, the second for the resource, the third for the others.

use logbridge::{Builder, Env};

const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];
const RESOURCE: [&str; 2] = ["OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"];
const OTHERS: [&str; 10] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_EXPORTER",
    "LOGBRIDGE_MAX_BYTES",
    "LOGBRIDGE_EXIT_TIMEOUT",
    "LOGBRIDGE_OTLP_LEVEL",
    "LOGBRIDGE_SPAN_LEVEL",
    "HYPERDX_API_KEY",
];

pub(crate) fn run(input: &str) {
    // A variable holds no NUL.
    let mut lines = input.split('\n').map(|line| line.replace('\0', ""));
    let mut set = |names: &[&str]| {
        let value = lines.next().unwrap_or_default();
        for name in names {
            // SAFETY: no other thread is there: `build_processor` starts none before the first record.
            unsafe { std::env::set_var(name, &value) };
        }
    };
    set(&HEADERS);
    set(&RESOURCE);
    set(&OTHERS);
    // SAFETY: as above.
    unsafe { std::env::set_var("OTEL_TRACES_SAMPLER", "traceidratio") };
    let processor = Builder::from_env(Env::new()).build_processor();
    processor.expect("what is bad in a variable is left out");
}

//! The upper bound of every configured duration.

use std::time::Duration;

/// One year. `Instant` overflows when `Duration::MAX` is added, and Tokio's timers end after two years.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Returns the duration, or one year if it is longer.
pub(crate) fn bounded(time: Duration) -> Duration {
    time.min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BuilderSettings, Environment, Otlp, Overload, Repetition, Spool, SpoolSync};

    #[test]
    fn durations_in_variables_are_limited_to_a_year_and_reported() {
        // Milliseconds, and the longest that can be written.
        let (millis, most) = (u64::MAX.to_string(), format!("{}s", u64::MAX));
        let (block, window) = (format!("block={most}"), format!("1/{most}"));
        let vars = [
            ("LOGBRIDGE_EXIT_TIMEOUT", most.as_str()),
            ("LOGBRIDGE_OVERLOAD", &block),
            ("LOGBRIDGE_REPETITION", &window),
            ("LOGBRIDGE_SPOOL_SYNC", &most),
            ("OTEL_BLRP_EXPORT_TIMEOUT", &most),
            ("OTEL_BLRP_SCHEDULE_DELAY", &most),
            ("OTEL_BSP_EXPORT_TIMEOUT", &most),
            ("OTEL_BSP_SCHEDULE_DELAY", &millis),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", &most),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", &millis),
        ];
        let mut all = vars.to_vec();
        all.extend([("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318"), ("LOGBRIDGE_SPOOL_DIR", "/spool")]);
        let environment: Environment = all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let config = BuilderSettings::default().resolve(&environment).expect("a bad variable is never an error");
        let mut found: Vec<&str> = config.findings.iter().map(|finding| finding.place.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, vars.map(|(name, _)| name), "{:?}", config.findings);
        assert!(config.findings.iter().all(|finding| finding.text.contains("more than a year")));
        let (logs, spans) = (config.otlp.delivery.expect("it is on"), config.span.delivery.expect("it is on"));
        let sync = logs.spool.and_then(|spool| spool.sync).expect("it is on");
        let Overload::Block(block) = logs.overload else { panic!("{:?}", logs.overload) };
        let window = config.repetition.expect("it is on").window;
        let exports = [logs.route.export_timeout, spans.route.export_timeout].map(|time| time.expect("it is set"));
        let delays = [logs.schedule_delay, spans.schedule_delay, config.exit_timeout, sync, block, window];
        for time in delays.into_iter().chain(exports).chain([logs.route.timeout, spans.route.timeout]) {
            assert_eq!(time, LONGEST);
        }
    }

    #[test]
    fn durations_in_code_are_limited_to_a_year_without_a_finding() {
        let settings = BuilderSettings {
            exit_timeout: Some(Duration::MAX),
            otlp: Some(Otlp::to("http://localhost:4318").timeout(Duration::MAX)),
            overload: Some(Overload::Block(Duration::MAX)),
            repetition: Some(Repetition::at_most(1, Duration::MAX)),
            schedule_delay: Some(Duration::MAX),
            spool: Some(Spool::at("/spool").sync(SpoolSync::Every(Duration::MAX))),
            ..BuilderSettings::default()
        };
        let config = settings.resolve(&Environment::default()).expect("it resolves");
        assert!(config.findings.is_empty(), "{:?}", config.findings);
        let logs = config.otlp.delivery.expect("it is on");
        assert_eq!(logs.overload, Overload::Block(LONGEST));
        let times = [config.exit_timeout, logs.route.timeout, logs.schedule_delay];
        assert_eq!(times, [LONGEST; 3]);
        assert_eq!(logs.spool.and_then(|spool| spool.sync), Some(LONGEST));
        assert_eq!(config.repetition.map(|limit| limit.window), Some(LONGEST));
    }
}

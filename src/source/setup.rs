//! The configuration of a pipeline, which only diagnosis, notices and the report read.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::config::{Config, HttpSettings, ReportConfig, Setting};
use crate::finding::Finding;

/// The settings of a pipeline, with their sources and findings.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) http: HttpSettings,
    pub(crate) settings: Vec<Setting>,
    pub(crate) findings: Vec<Finding>,
    /// Why records are not sent; `None` if they are.
    pub(crate) off_because: Option<&'static str>,
    pub(crate) endpoint: Option<String>,
    /// The spool directory.
    pub(crate) spool: Option<String>,
    /// Why spans are not sent; `None` if they are.
    pub(crate) spans_off_because: Option<&'static str>,
    pub(crate) span_endpoint: Option<String>,
    pub(crate) started: Instant,
    pub(super) report: ReportConfig,
    /// Whether `logbridge-http` has seen a `TraceLayer` outside of its own layer.
    pub(crate) has_outer_trace_layer: AtomicBool,
}

impl Setup {
    pub(super) fn new(config: &Config) -> Self {
        let (logs, spans) = (config.otlp.delivery.as_ref(), config.span.delivery.as_ref());
        Self {
            http: config.http.clone(),
            settings: config.settings.clone(),
            findings: config.findings.clone(),
            off_because: config.otlp.off_because,
            endpoint: logs.map(|delivery| delivery.route.endpoint.to_string()),
            spool: logs.and_then(|delivery| Some(delivery.spool.as_ref()?.directory.display().to_string())),
            spans_off_because: config.span.off_because,
            span_endpoint: spans.map(|delivery| delivery.route.endpoint.to_string()),
            started: Instant::now(),
            report: config.report.clone(),
            has_outer_trace_layer: AtomicBool::new(false),
        }
    }
}

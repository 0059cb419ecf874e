//! The decoded message of a request.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use super::wire::Content;
use super::{metric, record, span};

/// The decoded message of a request, by signal.
#[derive(Clone, Debug)]
pub enum Message {
    Logs(ExportLogsServiceRequest),
    Metrics(ExportMetricsServiceRequest),
    Traces(ExportTraceServiceRequest),
}

impl Message {
    pub fn content(&self) -> Content {
        match self {
            Self::Logs(_) => Content::Logs,
            Self::Metrics(_) => Content::Metrics,
            Self::Traces(_) => Content::Traces,
        }
    }

    /// Returns whether the message contains no record, span or data point.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Logs(request) => {
                let mut scopes = request.resource_logs.iter().flat_map(|group| &group.scope_logs);
                scopes.all(|scope| scope.log_records.is_empty())
            }
            Self::Metrics(request) => {
                let scopes = request.resource_metrics.iter().flat_map(|group| &group.scope_metrics);
                scopes.flat_map(|scope| &scope.metrics).all(|metric| metric::number_of_points(metric) == 0)
            }
            Self::Traces(request) => {
                let mut scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
                scopes.all(|scope| scope.spans.is_empty())
            }
        }
    }

    /// Returns whether the body of any record, or the name of any span or metric, contains this text.
    pub(super) fn contains(&self, text: &str) -> bool {
        match self {
            Self::Logs(logs) => record::records(logs).iter().any(|log| log.message().contains(text)),
            Self::Metrics(metrics) => metric::points(metrics).iter().any(|point| point.name.contains(text)),
            Self::Traces(traces) => span::spans(traces).iter().any(|span| span.name.contains(text)),
        }
    }
}

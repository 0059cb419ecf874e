//! Received data points of metrics.

use std::fmt;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint};

use super::common::{ReceivedScope, attributes, resource};
use super::line_style::LineStyle;
use super::{Attributes, Value};
use crate::escape::OneLine;

/// A received data point of a metric.
///
/// [`Styled`](super::styled::Styled) writes it as one readable line:
///
/// ```text
/// 2026-11-21T03:44:51.123456Z METRIC requests 42 {request}  route=/cart
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceivedPoint {
    pub resource: Attributes,
    pub scope: ReceivedScope,
    pub name: String,
    pub unit: String,
    pub time_unix_nano: u64,
    pub attributes: Attributes,
    /// The value as text, such as `42` or `count=3 sum=1.5 min=0.1 max=1.0`.
    pub value: String,
}

impl ReceivedPoint {
    /// Returns the resource's `service.name`, or an empty text if it is absent or not a string.
    pub fn service_name(&self) -> &str {
        self.resource.get("service.name").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, style: LineStyle) -> fmt::Result {
        style.time(f, self.time_unix_nano)?;
        style.kind(f, "METRIC")?;
        style.service(f, self.service_name())?;
        style.name(f, &self.name)?;
        f.write_str(" ")?;
        write!(f, "{}", OneLine(&self.value))?;
        if !self.unit.is_empty() && self.unit != "1" {
            f.write_str(" ")?;
            write!(f, "{}", OneLine(&self.unit))?;
        }
        style.attributes(f, &self.attributes)
    }
}

/// Returns the data points of a request, in order.
pub fn points(request: &ExportMetricsServiceRequest) -> Vec<ReceivedPoint> {
    let mut points = Vec::new();
    for group in &request.resource_metrics {
        let resource = resource(group.resource.as_ref());
        for group in &group.scope_metrics {
            let scope = ReceivedScope::new(group.scope.as_ref(), &group.schema_url);
            for metric in &group.metrics {
                points.extend(values(metric).into_iter().map(|(time, entries, value)| ReceivedPoint {
                    resource: resource.clone(),
                    scope: scope.clone(),
                    name: metric.name.clone(),
                    unit: metric.unit.clone(),
                    time_unix_nano: time,
                    attributes: attributes(entries),
                    value,
                }));
            }
        }
    }
    points
}

pub(super) fn number_of_points(metric: &Metric) -> usize {
    match &metric.data {
        None => 0,
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(Data::Summary(summary)) => summary.data_points.len(),
    }
}

/// Returns the time, attributes and value of each point.
fn values(metric: &Metric) -> Vec<(u64, &[KeyValue], String)> {
    match &metric.data {
        None => Vec::new(),
        Some(Data::Gauge(gauge)) => gauge.data_points.iter().map(number).collect(),
        Some(Data::Sum(sum)) => sum.data_points.iter().map(number).collect(),
        Some(Data::Histogram(histogram)) => {
            let points = histogram.data_points.iter();
            points.map(|p| (p.time_unix_nano, &*p.attributes, distribution(p.count, p.sum, p.min, p.max))).collect()
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            let points = histogram.data_points.iter();
            points.map(|p| (p.time_unix_nano, &*p.attributes, distribution(p.count, p.sum, p.min, p.max))).collect()
        }
        Some(Data::Summary(summary)) => summary
            .data_points
            .iter()
            .map(|point| {
                let mut value = distribution(point.count, Some(point.sum), None, None);
                for quantile in &point.quantile_values {
                    value.push_str(&format!(" p{}={:?}", quantile.quantile * 100.0, quantile.value));
                }
                (point.time_unix_nano, point.attributes.as_slice(), value)
            })
            .collect(),
    }
}

fn number(point: &NumberDataPoint) -> (u64, &[KeyValue], String) {
    let value = match point.value {
        Some(Number::AsInt(number)) => number.to_string(),
        // `Debug` keeps the `.0` that distinguishes a double from an integer.
        Some(Number::AsDouble(number)) => format!("{number:?}"),
        None => "(no value)".to_owned(),
    };
    (point.time_unix_nano, &point.attributes, value)
}

fn distribution(count: u64, sum: Option<f64>, min: Option<f64>, max: Option<f64>) -> String {
    let mut text = format!("count={count}");
    for (name, number) in [("sum", sum), ("min", min), ("max", max)] {
        if let Some(number) = number {
            text.push_str(&format!(" {name}={number:?}"));
        }
    }
    text
}

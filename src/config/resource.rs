//! The OpenTelemetry resource, which describes the process.

use std::borrow::Cow;

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use percent_encoding::percent_decode_str;

use super::environment::{Environment, executable_name};
use crate::os;

/// Resource attributes set by the user. [`build`](Self::build) adds those of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceConfig {
    /// From OTEL_RESOURCE_ATTRIBUTES, then from code. Later entries take precedence.
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) service_name: Option<String>,
}

impl ResourceConfig {
    /// Builds the resource of this process. It always has a `service.name`, and a new `service.instance.id` each time.
    pub(crate) fn build(&self) -> Resource {
        let mut attributes = vec![
            KeyValue::new("process.pid", i64::from(std::process::id())),
            KeyValue::new("service.instance.id", instance_id()),
            KeyValue::new("telemetry.distro.name", env!("CARGO_PKG_NAME")),
            KeyValue::new("telemetry.distro.version", env!("CARGO_PKG_VERSION")),
        ];
        attributes.extend(os::host_name().map(|name| KeyValue::new("host.name", name)));
        attributes.extend(executable_name().map(|name| KeyValue::new("process.executable.name", name)));
        attributes.extend(self.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
        Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attributes(attributes)
            .with_service_name(self.service_name())
            .build()
    }

    pub(super) fn service_name(&self) -> String {
        self.service_name
            .clone()
            .or_else(|| self.service_name_attribute())
            .unwrap_or_else(|| format!("unknown_service:{}", executable_name().as_deref().unwrap_or("rust")))
    }

    /// Returns the last `service.name` unless it is empty.
    pub(super) fn service_name_attribute(&self) -> Option<String> {
        let (_, name) = self.attributes.iter().rev().find(|(key, _)| key == "service.name")?;
        Some(name.to_string()).filter(|name| !name.is_empty())
    }

    /// Reads OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME. Returns a text for each invalid attribute.
    pub(crate) fn read(&mut self, environment: &Environment) -> Vec<String> {
        let mut problems = Vec::new();
        for pair in environment.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default().split(',') {
            match pair.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    let value: Cow<'_, str> = percent_decode_str(value.trim()).decode_utf8_lossy();
                    let key = percent_decode_str(key.trim()).decode_utf8_lossy().into_owned();
                    self.attributes.push((key, Value::from(value.into_owned())));
                }
                _ if pair.trim().is_empty() => {}
                _ => problems.push(format!("`{}` is not written as `key=value`", pair.trim())),
            }
        }
        if let Some(name) = environment.get("OTEL_SERVICE_NAME") {
            self.service_name = Some(name.to_owned());
        }
        problems
    }
}

/// Returns a random UUID, version 4.
fn instance_id() -> String {
    let mut bytes = RandomIdGenerator::default().new_trace_id().to_bytes();
    // A fork copies the generator's state, so the child would repeat its parent's ids.
    bytes.iter_mut().zip(os::fork_salt()).for_each(|(byte, salt)| *byte ^= salt);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
    parts.map(|(from, to)| hex.get(from..to).unwrap_or_default()).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::Key;

    fn get(resource: &Resource, key: &'static str) -> Option<String> {
        resource.get(&Key::from_static_str(key)).map(|value| value.to_string())
    }

    #[test]
    fn a_service_always_has_a_name_and_an_instance() {
        let resource = ResourceConfig::default().build();
        assert!(get(&resource, "service.name").is_some_and(|name| name.starts_with("unknown_service:")));
        let id = get(&resource, "service.instance.id").expect("an id");
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes().get(14), Some(&b'4'));
        assert_ne!(Some(id), get(&ResourceConfig::default().build(), "service.instance.id"));
        assert_eq!(get(&resource, "telemetry.sdk.language").as_deref(), Some("rust"));
    }

    #[test]
    fn otel_service_name_wins_over_the_attribute_and_bad_pairs_are_named() {
        let mut config = ResourceConfig::default();
        let environment = Environment::from([
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,deployment.environment.name=pre%20prod,broken,=x"),
            ("OTEL_SERVICE_NAME", "b"),
        ]);
        assert_eq!(
            config.read(&environment),
            ["`broken` is not written as `key=value`", "`=x` is not written as `key=value`"]
        );
        let resource = config.build();
        assert_eq!(get(&resource, "service.name").as_deref(), Some("b"));
        assert_eq!(get(&resource, "deployment.environment.name").as_deref(), Some("pre prod"));
    }
}

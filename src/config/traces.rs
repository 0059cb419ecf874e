//! Span settings: export, sampling, limits and propagators.

use opentelemetry_sdk::trace::{Sampler, ShouldSample, SpanLimits};

use super::builder_settings::BuilderSettings;
use super::defaults;
use super::destination::{Otlp, OtlpUrl, TracesOverride};
use super::endpoint::traces_url_for;
use super::environment::Environment;
use super::mirror::Mirror;
use super::propagator::Propagator;
use super::resolved::{SpanConfig, SpanDelivery};
use super::resolver::Resolver;
use super::setting::{SettingSource, on_or_off};
use crate::error::Error;
use crate::finding::kind;
use crate::signal::Signal;

const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const PROPAGATORS: &str = "OTEL_PROPAGATORS";

impl Resolver<'_> {
    pub(super) fn spans(&mut self, settings: &BuilderSettings, mirror: Mirror) -> Result<SpanConfig, Error> {
        let code = settings.otlp.clone();
        let (off_because, source) = self.traces_off(code.as_ref());
        self.add_setting("spans", on_or_off(off_because), source);
        let delivery = match off_because {
            Some(_) => None,
            None => Some(self.span_delivery(settings, &code.unwrap_or_default())?),
        };
        let exception_events =
            self.bool_setting("exception events", settings.exception_events, "LOGBRIDGE_EXCEPTION_EVENTS", false);
        Ok(SpanConfig {
            delivery,
            off_because,
            exception_events,
            limits: self.span_limits(),
            mirror,
            propagators: self.propagators(),
            sampler: self.sampler(settings),
            value_length: self.span_value_length(),
        })
    }

    fn traces_off(&mut self, code: Option<&Otlp>) -> (Option<&'static str>, SettingSource) {
        if !cfg!(feature = "traces") {
            return (Some("the feature `traces` of logbridge is off"), SettingSource::BuiltIn);
        }
        if self.is_disabled() {
            return (Some("OTEL_SDK_DISABLED is true"), SettingSource::Variable("OTEL_SDK_DISABLED"));
        }
        if let Some(code) = code {
            match code.traces {
                _ if code.off => return (Some("code says Otlp::off()"), SettingSource::Code),
                Some(TracesOverride::Off) => return (Some("code says Otlp::traces_off()"), SettingSource::Code),
                Some(TracesOverride::Url(_)) => return (None, SettingSource::Code),
                None => {}
            }
        }
        let named = self.names_otlp(EXPORTER);
        if named == Some(false) {
            return (Some("OTEL_TRACES_EXPORTER does not name otlp"), SettingSource::Variable(EXPORTER));
        }
        match code.map(|code| &code.endpoint) {
            Some(Some(OtlpUrl::Full(url))) if traces_url_for(url).is_none() => {
                let why = "code sets a URL for logs only (Otlp::to_url); set one for spans with Otlp::traces_to_url";
                return (Some(why), SettingSource::Code);
            }
            Some(_) => return (None, SettingSource::Code),
            None => {}
        }
        if named.is_some() {
            return (None, SettingSource::Variable(EXPORTER));
        }
        let environment = self.environment;
        if !environment.mentions_opentelemetry() {
            return (Some("neither code nor environment mentions OpenTelemetry"), SettingSource::BuiltIn);
        }
        if names_logs_only(environment) {
            let why = "the only endpoint, OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, is for logs";
            return (Some(why), SettingSource::SignalVariable("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"));
        }
        (None, SettingSource::BuiltIn)
    }

    fn span_delivery(&mut self, settings: &BuilderSettings, code: &Otlp) -> Result<SpanDelivery, Error> {
        let route = self.route(code, Signal::Traces)?;
        let schedule_delay = self.duration_setting(
            "spans delay",
            settings.schedule_delay,
            &["OTEL_BSP_SCHEDULE_DELAY"],
            defaults::SPAN_DELAY,
        );
        let (max_queue, source) = match settings.max_spans {
            Some(spans) => (spans.max(1), SettingSource::Code),
            None => self
                .positive_number("OTEL_BSP_MAX_QUEUE_SIZE")
                .unwrap_or((defaults::SPAN_QUEUE, SettingSource::BuiltIn)),
        };
        self.add_setting("spans queue", max_queue.to_string(), source);
        let batch = self
            .positive_number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")
            .unwrap_or((defaults::SPAN_BATCH, SettingSource::BuiltIn));
        // A batch cannot be larger than the queue it is taken from.
        let (max_batch, source) = if batch.0 > max_queue { (max_queue, source) } else { batch };
        self.add_setting("spans batch", max_batch.to_string(), source);
        let max_request = self.max_request(settings.max_request);
        Ok(SpanDelivery { route, schedule_delay, max_batch, max_queue, max_request })
    }

    fn sampler(&mut self, settings: &BuilderSettings) -> Box<dyn ShouldSample> {
        if let Some(sampler) = &settings.sampler {
            // The `Debug` output of a custom sampler may contain anything.
            self.add_setting("sampler", "given", SettingSource::Code);
            return sampler.clone();
        }
        let built_in = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        let (sampler, source) = match self.sampler_of_environment() {
            Some(sampler) => (sampler, SettingSource::Variable(SAMPLER)),
            None => (built_in, SettingSource::BuiltIn),
        };
        self.add_setting("sampler", format!("{sampler:?}"), source);
        Box::new(sampler)
    }

    fn sampler_of_environment(&mut self) -> Option<Sampler> {
        let name = self.environment.get(SAMPLER)?;
        Some(match name.to_ascii_lowercase().as_str() {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(self.ratio()),
            "parentbased_always_on" => Sampler::ParentBased(Box::new(Sampler::AlwaysOn)),
            "parentbased_always_off" => Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
            "parentbased_traceidratio" => Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(self.ratio()))),
            _ => {
                let problem =
                    format!("`{name}` is not a sampler that logbridge supports; parentbased_always_on is used");
                self.add_error(
                    &kind::UNKNOWN_VALUE,
                    SAMPLER,
                    &problem,
                    "write always_on, always_off or traceidratio, optionally with the prefix parentbased_, or use \
                     `Builder::sampler`",
                );
                return None;
            }
        })
    }

    fn ratio(&mut self) -> f64 {
        let Some(value) = self.environment.get(SAMPLER_ARG) else { return 1.0 };
        match value.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => {
                let problem = format!("`{value}` is not a ratio; all traces are sampled");
                self.add_error(
                    &kind::BAD_VALUE,
                    SAMPLER_ARG,
                    &problem,
                    "write a number from 0 to 1, such as 0.1 for one trace in ten",
                );
                1.0
            }
        }
    }

    fn span_limits(&mut self) -> SpanLimits {
        let mut limits = SpanLimits::default();
        for (variables, limit) in [
            (
                &["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"][..],
                &mut limits.max_attributes_per_span,
            ),
            (&["OTEL_SPAN_EVENT_COUNT_LIMIT"], &mut limits.max_events_per_span),
            (&["OTEL_SPAN_LINK_COUNT_LIMIT"], &mut limits.max_links_per_span),
            (&["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"], &mut limits.max_attributes_per_event),
            (&["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"], &mut limits.max_attributes_per_link),
        ] {
            let Some((variable, value)) = self.environment.first(variables) else { continue };
            match value.parse() {
                Ok(number) => *limit = number,
                Err(_) => {
                    let problem = format!("`{value}` is not a number; the default is used");
                    self.add_error(&kind::BAD_VALUE, variable, &problem, "write a whole number, such as 128");
                }
            }
        }
        limits
    }

    fn propagators(&mut self) -> Vec<Propagator> {
        let Some(list) = self.environment.get(PROPAGATORS) else {
            self.add_setting("propagators", "tracecontext, baggage", SettingSource::BuiltIn);
            return vec![Propagator::TraceContext, Propagator::Baggage];
        };
        let mut propagators = Vec::new();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let propagator = match name.to_ascii_lowercase().as_str() {
                "tracecontext" => Propagator::TraceContext,
                "baggage" => Propagator::Baggage,
                "none" => continue,
                _ => {
                    let problem = format!("`{name}` is not a propagator that logbridge supports; it is ignored");
                    let help = "write tracecontext, baggage or none; set other propagators with \
                                `opentelemetry::global::set_text_map_propagator` before `init`";
                    self.add_error(&kind::UNKNOWN_VALUE, PROPAGATORS, &problem, help);
                    continue;
                }
            };
            if !propagators.contains(&propagator) {
                propagators.push(propagator);
            }
        }
        let names: Vec<&str> = propagators.iter().map(|propagator| propagator.name()).collect();
        let value = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        self.add_setting("propagators", value, SettingSource::Variable(PROPAGATORS));
        propagators
    }
}

fn names_logs_only(environment: &Environment) -> bool {
    let others = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "HYPERDX_API_ENDPOINT"];
    environment.get("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT").is_some() && environment.first(&others).is_none()
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;

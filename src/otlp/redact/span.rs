//! Redaction of a span of the SDK: its name, attributes, events, links and status description.

use std::borrow::Cow;

use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::{BUILTIN_NUMBERS, REDACTED, Redaction, RedactionPass};

impl Redaction {
    /// Redacts a span in place. Returns the number of changed values.
    pub(crate) fn redact_span(&self, span: &mut SpanData) -> u64 {
        let mut pass = RedactionPass::new(self, Vec::new());
        pass.redact_cow(&mut span.name);
        if let Status::Error { description } = &mut span.status {
            pass.redact_cow(description);
        }
        pass.attributes(&mut span.attributes);
        for event in &mut span.events.events {
            pass.redact_cow(&mut event.name);
            pass.attributes(&mut event.attributes);
        }
        span.links.links.iter_mut().for_each(|link| pass.attributes(&mut link.attributes));
        pass.redacted
    }
}

impl RedactionPass<'_> {
    fn redact_cow(&mut self, text: &mut Cow<'static, str>) {
        if let Some(cleaned) = self.redact_text(text) {
            *text = Cow::Owned(cleaned);
        }
    }

    fn attributes(&mut self, attributes: &mut [KeyValue]) {
        self.changed_keys.clear();
        for pair in attributes {
            let is_hidden = self.hides(pair.key.as_str());
            let is_builtin = BUILTIN_NUMBERS.contains(&pair.key.as_str());
            if let Some(cleaned) = self.redact_key(pair.key.as_str()) {
                pair.key = cleaned.into();
            }
            if is_hidden {
                self.redacted += 1;
                pair.value = Value::String(REDACTED.into());
            } else if !self.redaction.values.is_empty() {
                self.is_builtin = is_builtin;
                self.value(&mut pair.value);
            }
        }
    }

    fn value(&mut self, value: &mut Value) {
        let cleaned = match value {
            Value::String(text) => self.redact_text(text.as_str()).map(|text| Value::String(text.into())),
            Value::I64(number) if !self.is_builtin => {
                self.redact_text(&number.to_string()).map(|text| Value::String(text.into()))
            }
            Value::F64(number) => self.redact_double(*number).map(|text| Value::String(text.into())),
            Value::Array(Array::String(values)) => {
                let texts: Vec<Cow<'_, str>> = values.iter().map(|text| Cow::Borrowed(text.as_str())).collect();
                self.redact_list(&texts)
            }
            Value::Array(Array::I64(values)) => {
                self.redact_list(&values.iter().map(|number| number.to_string().into()).collect::<Vec<_>>())
            }
            Value::Array(Array::F64(values)) => {
                let is_large = |number: &&f64| number.abs() >= 1e16 && number.is_finite();
                let text = |number: &f64| match is_large(&number) {
                    // Without an exponent, which would hide digits from the expressions.
                    true => number.to_string().into(),
                    false => format!("{number:?}").into(),
                };
                self.redact_list(&values.iter().map(text).collect::<Vec<_>>())
            }
            _ => None,
        };
        if let Some(cleaned) = cleaned {
            *value = cleaned;
        }
    }

    /// Redacts a list. If one value changes, all become text, since a list of a span has values of a single type.
    fn redact_list(&mut self, texts: &[Cow<'_, str>]) -> Option<Value> {
        let before = self.redacted;
        let cleaned: Vec<StringValue> =
            texts.iter().map(|text| self.redact_text(text).unwrap_or_else(|| text.to_string()).into()).collect();
        (self.redacted > before).then_some(Value::Array(Array::String(cleaned)))
    }
}

//! Placeholder without the feature `traces`: no span is exported, and a [`SpanEncoder`] cannot be created.

use bytes::Bytes;
use http::HeaderValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

#[derive(Debug)]
pub(crate) enum SpanEncoder {}

#[derive(Clone, Debug)]
pub(crate) struct EncodedSpans {
    pub(crate) body: Bytes,
    pub(crate) encoding: Option<HeaderValue>,
}

impl SpanEncoder {
    pub(crate) fn new(_resource: &Resource) -> Result<Self, String> {
        Err("the feature `traces` of logbridge is off".to_owned())
    }

    pub(crate) fn encode(&self, _spans: Vec<SpanData>) -> Result<EncodedSpans, String> {
        match *self {}
    }
}

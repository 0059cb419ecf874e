//! STAND-IN, to be replaced by the real capture: captures nothing, so that the layers compile.

use std::borrow::Cow;

use http::{HeaderMap, Uri};
use logbridge::{HeaderList, HttpSettings};

pub(crate) struct BodyCapture {}

impl BodyCapture {
    pub(crate) fn new(_settings: &HttpSettings, _headers: &HeaderMap) -> Option<Self> {
        None
    }

    pub(crate) fn push(&mut self, _data: &[u8]) {}

    pub(crate) fn finish(self) -> Option<String> {
        None
    }
}

pub(crate) fn headers(
    _settings: &HttpSettings,
    _list: HeaderList,
    _headers: &HeaderMap,
    _set: impl FnMut(String, Vec<String>),
) {
}

pub(crate) fn redacted_query(query: &str) -> Cow<'_, str> {
    Cow::Borrowed(query)
}

pub(crate) fn redacted_url(uri: &Uri) -> String {
    uri.to_string()
}

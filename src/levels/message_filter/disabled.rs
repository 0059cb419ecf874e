//! Without the feature `regex`, no message filter can be created.

#[derive(Clone, Debug)]
pub(crate) enum MessageFilter {}

impl MessageFilter {
    pub(crate) fn new(_expression: &str) -> Result<Self, String> {
        Err("the feature `regex` of logbridge is off".to_owned())
    }

    pub(crate) fn expression(&self) -> &str {
        match *self {}
    }

    pub(crate) fn is_match(&self, _message: &str) -> bool {
        match *self {}
    }
}

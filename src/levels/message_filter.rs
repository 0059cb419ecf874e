//! The regular expression after the `/` of a filter string, which the text of a record must match, as in env_logger.
//!
//! It needs the feature `regex`.

#[cfg(not(feature = "regex"))]
#[path = "message_filter/disabled.rs"]
mod variant;
#[cfg(feature = "regex")]
#[path = "message_filter/enabled.rs"]
mod variant;

pub(crate) use variant::MessageFilter;

/// Names this filter in the cause of a filtered record, after the name of the variable.
pub(crate) const MESSAGE_FILTER_CAUSE: &str = "a filter on the text";

#[cfg(test)]
mod tests {
    use super::MessageFilter;

    #[cfg(feature = "regex")]
    #[test]
    fn it_matches_anywhere_in_the_text() {
        let filter = MessageFilter::new(r"(?i)PAID \d+").unwrap();
        assert!(filter.is_match("order 7: paid 12 euro"));
        assert!(!filter.is_match("paid nothing"));
        assert!(MessageFilter::new("").unwrap().is_match("anything"), "as in env_logger");
    }

    #[cfg(feature = "regex")]
    #[test]
    fn an_invalid_expression_is_explained_in_one_line() {
        assert_eq!(MessageFilter::new("a(b").unwrap_err(), "unclosed group");
        assert!(!MessageFilter::new(&"(a{1000}){1000}".repeat(9)).unwrap_err().contains('\n'));
    }

    #[cfg(not(feature = "regex"))]
    #[test]
    fn the_missing_feature_is_named() {
        assert_eq!(MessageFilter::new("a").unwrap_err(), "the feature `regex` of logbridge is off");
    }
}

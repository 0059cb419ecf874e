//! What stands behind the `/` of a filter string: a regular expression that the text of a record must match, as in
//! env_logger. Needs the feature `regex`, so that nobody else pays for the crate.

#[cfg(not(feature = "regex"))]
#[path = "message_filter/disabled.rs"]
mod variant;
#[cfg(feature = "regex")]
#[path = "message_filter/enabled.rs"]
mod variant;

pub(crate) use variant::MessageFilter;

/// What decided about a record that it cut, behind the name of the variable.
pub const ON_TEXT: &str = "a filter on the text";

#[cfg(test)]
mod tests {
    use super::MessageFilter;

    #[cfg(feature = "regex")]
    #[test]
    fn it_looks_anywhere_in_the_text() {
        let filter = MessageFilter::new(r"(?i)PAID \d+").unwrap();
        assert!(filter.is_match("order 7: paid 12 euro"));
        assert!(!filter.is_match("paid nothing"));
        assert!(MessageFilter::new("").unwrap().is_match("anything"), "as in env_logger");
    }

    #[cfg(feature = "regex")]
    #[test]
    fn a_bad_expression_says_why_in_one_line() {
        assert_eq!(MessageFilter::new("a(b").unwrap_err(), "unclosed group");
        assert!(!MessageFilter::new(&"(a{1000}){1000}".repeat(9)).unwrap_err().contains('\n'));
    }

    #[cfg(not(feature = "regex"))]
    #[test]
    fn without_the_feature_it_names_it() {
        assert_eq!(MessageFilter::new("a").unwrap_err(), "the feature `regex` of logbridge is off");
    }
}

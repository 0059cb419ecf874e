//! Facts about an error for the `exception.*` attributes of a record.

/// Returns the sources of an error, outermost first, without the error itself. Stops after 32, since a
/// chain may be endless.
pub(crate) fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause| cause.source()).take(32)
}

/// Returns the type name of an error of the standard library. `dyn Error` does not reveal other types.
#[allow(unused_qualifications)] // The path as written here is the name that is exported.
pub(crate) fn error_type(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    macro_rules! known {
        ($($name:ty),+ $(,)?) => { $(if error.is::<$name>() { return Some(stringify!($name)); })+ };
    }
    known!(
        std::io::Error,
        std::fmt::Error,
        std::num::ParseIntError,
        std::num::ParseFloatError,
        std::num::TryFromIntError,
        std::str::Utf8Error,
        std::str::ParseBoolError,
        std::string::FromUtf8Error,
        std::char::ParseCharError,
        std::env::VarError,
        std::net::AddrParseError,
        std::time::SystemTimeError,
        std::sync::mpsc::RecvError,
        std::sync::mpsc::RecvTimeoutError,
        std::array::TryFromSliceError,
        std::cell::BorrowError,
        std::cell::BorrowMutError,
    );
    None
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct ThirdParty;

    impl fmt::Display for ThirdParty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("third party")
        }
    }

    impl std::error::Error for ThirdParty {}

    #[test]
    fn std_errors_have_a_type_and_others_do_not() {
        assert_eq!(error_type(&std::io::Error::other("x")), Some("std::io::Error"));
        assert_eq!(error_type(&"x".parse::<i32>().expect_err("no number")), Some("std::num::ParseIntError"));
        assert_eq!(error_type(&ThirdParty), None);
    }
}

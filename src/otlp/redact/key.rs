//! Key patterns: case-insensitive globs, in which `*` matches any text.

/// A reusable buffer for a key in lower case between two dots, which mark the ends of its parts for a pattern.
#[derive(Debug, Default)]
pub(super) struct LowercaseKey(String);

impl LowercaseKey {
    pub(super) fn fill(&mut self, key: &str) -> &str {
        self.0.clear();
        self.0.push('.');
        if key.is_ascii() {
            self.0.push_str(key);
            self.0.make_ascii_lowercase();
        } else {
            self.0.push_str(&key.to_lowercase());
        }
        self.0.push('.');
        &self.0
    }
}

/// A pattern that matches a whole key, or whole dotted parts of it.
///
/// `authorization` also matches `http.request.header.authorization`. `card` also matches `card.number`, as it would
/// match a map of that name.
#[derive(Clone, Debug)]
pub(super) struct KeyPattern {
    /// The pattern in lower case as `*.pattern.*`.
    glob: String,
}

impl KeyPattern {
    pub(super) fn new(pattern: &str) -> Result<Self, &'static str> {
        let pattern = pattern.trim();
        if pattern.is_empty() {
            return Err("it is empty");
        }
        Ok(Self { glob: format!("*.{}.*", pattern.to_lowercase()) })
    }

    /// Returns whether the pattern matches a key prepared by [`LowercaseKey::fill`].
    pub(super) fn matches(&self, lowered: &str) -> bool {
        glob(self.glob.as_bytes(), lowered.as_bytes())
    }
}

/// Returns whether the whole text matches the pattern.
///
/// On a mismatch only the last star takes one more byte. Backtracking to an earlier star is useless: the last one can
/// match every byte that the earlier one could.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(read) {
        match (pattern.get(at), last_star) {
            (Some(b'*'), _) => {
                last_star = Some((at, read));
                at += 1;
            }
            (Some(expected), _) if expected == byte => {
                at += 1;
                read += 1;
            }
            (_, Some((star, from))) => {
                last_star = Some((star, from + 1));
                at = star + 1;
                read = from + 1;
            }
            (_, None) => return false,
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, key: &str) -> bool {
        KeyPattern::new(pattern).unwrap().matches(LowercaseKey::default().fill(key))
    }

    #[test]
    fn a_pattern_is_a_word_with_stars_in_any_case() {
        for (pattern, key) in [
            ("password", "password"),
            ("password", "PassWord"),
            ("PASSWORD", "password"),
            ("password", "user.password"),
            ("password", "password.hash"),
            ("user.password", "db.user.password.old"),
            ("authorization", "http.request.header.authorization"),
            ("*token*", "token"),
            ("*token*", "X-Access-Token-Old"),
            ("*token", "refresh_token"),
            ("api*key", "api_key"),
            ("api*key", "apikey"),
            ("db.*", "db.name"),
            ("*a*b*c*", "xxaxxbxbxcxx"),
            ("*ab", "aab"),
            (" spaced ", "spaced"),
            ("*", ""),
            ("größe", "GRÖSSE.Größe"),
            ("a?c", "a?c"),
        ] {
            assert!(matches(pattern, key), "{pattern} {key}");
        }
        for (pattern, key) in [
            ("password", "password_hint"),
            ("password", "old-password"),
            ("*token", "tokens"),
            ("token*", "access_token"),
            ("user.password", "user.x.password"),
            ("db.*", "db"),
            ("a?c", "abc"),
            ("*a*b*c*", "cba"),
        ] {
            assert!(!matches(pattern, key), "{pattern} {key}");
        }
        assert_eq!(KeyPattern::new("  ").unwrap_err(), "it is empty");
    }
}

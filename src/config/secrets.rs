//! Masks header values in texts: a server may repeat the key of a request in its error message.

/// Replaces a secret.
pub const MASK: &str = "…";

/// Shorter values are too common in ordinary text to be treated as secrets, in bytes.
const SHORTEST: usize = 4;

/// Header values, and the credentials after a scheme such as `Bearer`.
#[derive(Debug)]
pub struct Secrets(Vec<String>);

impl Secrets {
    pub fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let words = values.flat_map(|value| [value, value.rsplit(' ').next().unwrap_or_default()]);
        let mut all: Vec<String> = words.filter(|word| word.len() >= SHORTEST).map(str::to_owned).collect();
        // Longest first, because one secret may be part of another.
        all.sort_by_key(|word| std::cmp::Reverse(word.len()));
        Self(all)
    }

    /// Replaces all secrets in a text.
    pub fn mask(&self, text: &mut String) {
        for secret in self.0.iter().filter(|secret| secret.as_str() != MASK) {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), MASK);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_values_and_credentials_after_a_scheme_are_masked() {
        let secrets = Secrets::of(["Bearer sEcret", "sEcretTok", "abc"].into_iter());
        for (text, shown) in [
            ("bad key sEcretTok", "bad key …"),
            ("bad `Bearer sEcret`", "bad `…`"),
            ("sEcret is none", "… is none"),
            ("abc is too short", "abc is too short"),
        ] {
            let mut text = text.to_owned();
            secrets.mask(&mut text);
            assert_eq!(text, shown);
        }
    }
}

//! Values that must not be shown: a server may repeat the key of a request in its words.

/// What stands in the place of one.
pub const HIDDEN: &str = "…";

/// Shorter ones are words of every text, and no secrets.
const SHORTEST: usize = 4;

/// Values of headers, and the words that follow a scheme such as `Bearer`.
#[derive(Debug)]
pub struct Secrets(Vec<String>);

impl Secrets {
    pub fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let words = values.flat_map(|value| [value, value.rsplit(' ').next().unwrap_or_default()]);
        let mut all: Vec<String> = words.filter(|word| word.len() >= SHORTEST).map(str::to_owned).collect();
        // One may be a part of another one.
        all.sort_by_key(|word| std::cmp::Reverse(word.len()));
        Self(all)
    }

    /// The text without them.
    pub fn hide(&self, text: &mut String) {
        for secret in self.0.iter().filter(|secret| secret.as_str() != HIDDEN) {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), HIDDEN);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_values_and_what_follows_a_scheme_are_hidden() {
        let secrets = Secrets::of(["Bearer sEcret", "sEcretTok", "abc"].into_iter());
        for (text, shown) in [
            ("bad key sEcretTok", "bad key …"),
            ("bad `Bearer sEcret`", "bad `…`"),
            ("sEcret is none", "… is none"),
            ("abc is too short", "abc is too short"),
        ] {
            let mut text = text.to_owned();
            secrets.hide(&mut text);
            assert_eq!(text, shown);
        }
    }
}

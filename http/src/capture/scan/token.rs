//! Secrets that are recognized by what they look like, whatever their name.

use super::{REDACTED, Scanner};

/// How tokens of well-known issuers begin, and how many characters follow at least.
pub(crate) const TOKEN_PREFIXES: [(&str, usize); 23] = [
    ("AIza", 30),
    ("AKIA", 12),
    ("ASIA", 12),
    ("SG.", 30),
    ("eyJ", 16),
    ("ghp_", 16),
    ("gho_", 16),
    ("ghr_", 16),
    ("ghs_", 16),
    ("ghu_", 16),
    ("github_pat_", 16),
    ("glpat-", 16),
    ("hf_", 30),
    ("npm_", 30),
    ("rk_live_", 12),
    ("sk-", 20),
    ("sk_live_", 12),
    ("whsec_", 16),
    ("xapp-", 12),
    ("xoxa-", 12),
    ("xoxb-", 12),
    ("xoxp-", 12),
    ("xoxs-", 12),
];

/// How the slashes before the host of a URL are written, also in JSON and JavaScript.
const SLASHES: [&str; 5] = ["//", "\\/\\/", "\\\\/\\\\/", "\\u002f\\u002f", "\\u002F\\u002F"];

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

/// Returns the length of a token of a well-known form at the beginning of a text. At the end of a cut text, a
/// shorter one is enough.
fn token_len(text: &str, is_cut: bool) -> Option<usize> {
    let (prefix, min) = TOKEN_PREFIXES.into_iter().find(|(prefix, _)| text.starts_with(prefix))?;
    let len = text.bytes().take_while(|byte| is_token_byte(*byte)).count();
    (len >= prefix.len() + min || (is_cut && len == text.len())).then_some(len)
}

/// Returns whether a text begins with a token of a well-known form, such as a JWT.
pub(crate) fn is_token(text: &str) -> bool {
    token_len(text, false).is_some()
}

impl Scanner<'_, '_> {
    /// Redacts a token, or the credentials after `Bearer` or `Basic`.
    pub(super) fn token(&mut self) {
        let rest = self.rest(self.at);
        match rest.as_bytes().first() {
            Some(b'A' | b'S' | b'e' | b'g' | b'h' | b'n' | b'r' | b's' | b'w' | b'x') if self.at >= self.token_end => {
                if let Some(len) = token_len(rest, self.rules.is_cut) {
                    self.token_end = self.at + len;
                    self.replace(self.at..self.token_end, REDACTED);
                }
                return;
            }
            Some(b'B' | b'b') => {}
            _ => return,
        }
        for (scheme, is_common_word) in [("bearer", false), ("basic", true)] {
            let is_scheme = rest.get(..scheme.len()).is_some_and(|word| word.eq_ignore_ascii_case(scheme));
            if is_scheme && !self.is_inside_word(self.at) {
                self.credentials(self.at + scheme.len(), is_common_word);
            }
        }
    }

    /// Redacts the credentials after the name of an authentication scheme.
    fn credentials(&mut self, after: usize, is_common_word: bool) {
        let rest = self.rest(after);
        let gap = ["%20", "+", "\\u0020"]
            .into_iter()
            .find(|space| rest.starts_with(space))
            .map_or_else(|| rest.len() - rest.trim_start_matches([' ', '\t']).len(), str::len);
        if gap == 0 {
            return;
        }
        let start = after + gap;
        let rest = self.rest(start);
        let len = rest.find(|c: char| c.is_whitespace() || "\"'`<>,;&\\{}()[]".contains(c)).unwrap_or(rest.len());
        // Prose costs as much: the word may reach to the end of the text, and the next scheme may be inside of it.
        self.spend(len);
        let word = rest.get(..len).unwrap_or_default();
        // `Basic` is followed by base64, which has capitals or digits. Anything else is prose.
        let is_prose =
            is_common_word && !word.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '=');
        if !is_prose {
            self.replace(start..start + len, REDACTED);
        }
    }

    /// Redacts the body of a private key in PEM format.
    pub(super) fn private_key(&mut self) {
        const BEGIN: &str = "-----BEGIN ";
        const LABEL: &str = "PRIVATE KEY-----";
        if !self.starts_with(self.at, BEGIN) {
            return;
        }
        let begin = self.at + BEGIN.len();
        let Some(label) = self.rest(begin).find("-----").filter(|len| *len <= 64) else { return };
        let body = begin + label + "-----".len();
        if self.slice(begin..body).ends_with(LABEL) {
            let end = self.rest(body).find("-----END").unwrap_or(self.bytes.len() - body);
            self.replace(body..body + end, REDACTED);
            self.spend(end);
        }
    }

    /// Redacts `user:password` in a URL whose `:` ends at `after`.
    pub(super) fn credentials_of_url(&mut self, after: usize) {
        let Some(slashes) = SLASHES.into_iter().find(|slashes| self.starts_with(after, slashes)) else {
            return;
        };
        let start = after + slashes.len();
        let rest = self.rest(start);
        let is_outside = |at: usize, c: char| match c {
            // The colon before the password may be escaped too.
            '\\' => self.escaped_separator(start + at).is_none(),
            _ => c.is_whitespace() || "/?#\"'`<>".contains(c),
        };
        let end = rest.char_indices().find(|(at, c)| is_outside(*at, *c)).map(|(at, _)| at);
        let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let is_cut = self.rules.is_cut && end.is_none();
        match authority.rfind('@') {
            Some(at) => self.replace(start..start + at, REDACTED),
            // The `@` may come after the cut.
            None if is_cut => self.replace(start..self.bytes.len(), REDACTED),
            None => {}
        }
    }

    /// Returns whether the character before belongs to the same word. The letter of an escape, as in `\n`, does not.
    fn is_inside_word(&self, at: usize) -> bool {
        let byte_before = |distance: usize| at.checked_sub(distance).and_then(|at| self.byte(at));
        byte_before(1).is_some_and(|byte| byte.is_ascii_alphabetic()) && byte_before(2) != Some(b'\\')
    }
}

//! Formats a command line as in a shell, without its secrets, because reports are shared with others.

use std::ffi::OsString;

use logbridge::internals::config::{MASK, redact_url};

/// Words in the names of secrets.
const SECRET_WORDS: [&str; 8] =
    ["token", "password", "passwd", "passphrase", "secret", "credential", "authorization", "apikey"];

/// Last words in the names of secrets.
const SECRET_LAST_WORDS: [&str; 4] = ["auth", "headers", "key", "pass"];

/// Options of curl before a user with a password.
const USER_OPTIONS: [&str; 4] = ["-u", "--user", "-U", "--proxy-user"];

/// Formats a command with the quotes that a shell needs. Secrets are replaced by `…`.
pub(super) fn without_secrets(words: &[OsString]) -> String {
    let (mut expects_secret, mut expects_user) = (false, false);
    let mut all = Vec::new();
    for word in words {
        let word = word.to_string_lossy();
        let is_secret = expects_secret && !word.starts_with("--");
        let masked = if is_secret {
            expects_secret = false;
            MASK.to_owned()
        } else {
            let masked;
            (masked, expects_secret) = match word.contains(char::is_whitespace) {
                true => (mask_script(&word), false),
                false => mask_word(&word),
            };
            masked
        };
        let masked = match masked.split_once(':').filter(|_| expects_user) {
            Some((user, _)) => format!("{user}:{MASK}"),
            None => masked,
        };
        expects_user = USER_OPTIONS.contains(&word.as_ref());
        all.push(quoted(&masked));
    }
    all.join(" ")
}

/// Masks an argument of several words, such as a shell script or a header.
fn mask_script(text: &str) -> String {
    let mut shown = String::new();
    let mut expects = false;
    // The quote of a secret that contains white space.
    let mut open: Option<char> = None;
    for part in text.split_inclusive(char::is_whitespace) {
        let word = part.trim_end();
        let space = part.get(word.len()..).unwrap_or_default();
        if let Some(quote) = open {
            if word.contains(quote) {
                open = None;
                shown.push_str(space);
            }
            continue;
        }
        let is_scheme = ["bearer", "basic"].contains(&without_quotes(word).to_lowercase().as_str());
        let is_secret = expects && !is_scheme && !word.is_empty();
        let masked = if is_secret {
            expects = false;
            MASK.to_owned()
        } else {
            let (masked, next) = mask_word(word);
            expects = next || (expects && (is_scheme || word.is_empty()));
            masked
        };
        if masked.ends_with(MASK) {
            let value = if is_secret { word } else { word.split_once(['=', ':']).map_or("", |(_, value)| value) };
            open = value.chars().next().filter(|first| ['\'', '"'].contains(first));
            open = open.filter(|quote| value.matches(*quote).count() == 1);
        }
        shown.push_str(&masked);
        if open.is_none() {
            shown.push_str(space);
        }
    }
    shown
}

/// Masks a word without white space. Also returns whether the next word is a secret.
fn mask_word(word: &str) -> (String, bool) {
    let bare_word = without_quotes(word);
    if bare_word.eq_ignore_ascii_case("bearer") {
        return (word.to_owned(), true);
    }
    let is_pair = |(name, _): &(&str, &str)| is_secret(name) && !name.contains("://");
    if let Some((name, value)) = word.split_once('=').filter(is_pair) {
        return (if value.is_empty() { word.to_owned() } else { format!("{name}={MASK}") }, false);
    }
    if let Some((name, value)) = word.split_once(':').filter(is_pair) {
        // The value of `authorization:` is in the next word.
        let is_in_next = value.is_empty();
        return (if is_in_next { word.to_owned() } else { format!("{name}:{MASK}") }, is_in_next);
    }
    if word.contains("://") {
        return (redact_url(word), false);
    }
    (word.to_owned(), bare_word.starts_with('-') && is_secret(bare_word))
}

fn without_quotes(word: &str) -> &str {
    word.trim_matches(['\'', '"'])
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let last = name.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    SECRET_WORDS.iter().any(|word| name.contains(word)) || SECRET_LAST_WORDS.contains(&last)
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./=:,@%+~?…".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> String {
        without_secrets(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn secrets_are_masked() {
        for (words, expected) in [
            (&["app", "--token=sEcret", "--port=80"][..], "app --token=… --port=80"),
            (&["app", "--password", "sEcret", "serve"], "app --password … serve"),
            (&["app", "--api-key", "--verbose"], "app --api-key --verbose"),
            (&["app", "--key=sEcret"], "app --key=…"),
            (&["env", "API_KEY=sEcret", "app"], "env API_KEY=… app"),
            (&["env", "OTEL_EXPORTER_OTLP_HEADERS=authorization=sEcret"], "env OTEL_EXPORTER_OTLP_HEADERS=…"),
            (&["curl", "-H", "Authorization: Bearer sEcret"], "curl -H 'Authorization: Bearer …'"),
            (&["curl", "-H", "authorization: Basic sEcret"], "curl -H 'authorization: Basic …'"),
            (&["curl", "-H", "x-api-key:  sEcret"], "curl -H 'x-api-key:  …'"),
            (&["curl", "https://user:sEcret@host/path"], "curl https://…@host/path"),
            (&["curl", "https://u:sEcret@host/?token=sEcret"], "curl https://…@host/?…"),
            (&["curl", "-u", "name:sEcret", "http://host"], "curl -u name:… http://host"),
            (&["psql", "--db=postgres://u:sEcret@host/db"], "psql --db=postgres://…@host/db"),
            (&["sh", "-c", "app --token=sEcret && echo ok"], "sh -c 'app --token=… && echo ok'"),
            (&["sh", "-c", "app --password \"sEcret with sEcret\" on"], "sh -c 'app --password … on'"),
            (&["sh", "-c", "TOKEN='a sEcret' app"], "sh -c 'TOKEN=… app'"),
            (&["sh", "-c", "curl http://u:sEcret@h/ -d x"], "sh -c 'curl http://…@h/ -d x'"),
        ] {
            assert_eq!(of(words), expected);
        }
    }

    #[test]
    fn other_words_are_kept_and_quoted_as_in_a_shell() {
        assert_eq!(of(&["sh", "-c", "exit 3"]), "sh -c 'exit 3'");
        assert_eq!(of(&["echo", "it's", ""]), r"echo 'it'\''s' ''");
        assert_eq!(of(&["app", "token", "list", "--keyboard=de"]), "app token list --keyboard=de");
        assert_eq!(of(&["a:b", "c=d", "http://host/x"]), "a:b c=d http://host/x");
    }
}

//! Names whose values are secret: keys of JSON and forms, query parameters, headers, elements.
//!
//! A name is split into words at punctuation, digits and changes of case, so that `author` is not taken for `auth`.

use super::scan::TOKEN_PREFIXES;

/// Words that make every name with them secret.
const ANYWHERE: [&str; 25] = [
    "apikey",
    "authorization",
    "contrasena",
    "contraseña",
    "credential",
    "credentials",
    "creds",
    "csrf",
    "cvc",
    "cvv",
    "jwt",
    "kennwort",
    "motdepasse",
    "otp",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwort",
    "pwd",
    "secret",
    "senha",
    "ssn",
    "totp",
    "xsrf",
];

/// Words that make a name secret if they are its last word.
const LAST: [&str; 12] = [
    "assertion",
    "auth",
    "authentication",
    "bearer",
    "cookie",
    "cookies",
    "oauth",
    "pass",
    "pin",
    "sid",
    "sig",
    "signature",
];

/// Words that are secret only as a whole name. `max_tokens` is a number of tokens.
const WHOLE: [&str; 3] = ["pan", "session", "tokens"];

/// Pairs of words that make a name secret, also when they are written as one word.
const PAIRS: [(&str, &str); 50] = [
    ("access", "code"),
    ("access", "key"),
    ("access", "tokens"),
    ("account", "key"),
    ("api", "key"),
    ("api", "keys"),
    ("api", "tokens"),
    ("app", "key"),
    ("auth", "code"),
    ("auth", "data"),
    ("auth", "hash"),
    ("auth", "header"),
    ("auth", "key"),
    ("auth", "tokens"),
    ("card", "no"),
    ("card", "number"),
    ("client", "key"),
    ("code", "verifier"),
    ("consumer", "key"),
    ("cookie", "value"),
    ("credit", "card"),
    ("debit", "card"),
    ("encryption", "key"),
    ("function", "key"),
    ("functions", "key"),
    ("license", "key"),
    ("master", "key"),
    ("mfa", "code"),
    ("one", "time"),
    ("pass", "phrase"),
    ("pass", "wd"),
    ("pass", "word"),
    ("pin", "code"),
    ("private", "key"),
    ("private", "keys"),
    ("recovery", "code"),
    ("recovery", "codes"),
    ("refresh", "tokens"),
    ("saml", "response"),
    ("security", "code"),
    ("service", "key"),
    ("session", "id"),
    ("session", "key"),
    ("shared", "key"),
    ("signing", "key"),
    ("social", "security"),
    ("ssh", "key"),
    ("storage", "key"),
    ("subscription", "key"),
    ("verification", "code"),
];

/// Ends of words that are written as one: `dbpassword`, `PHPSESSID`.
const SUFFIXES: [&str; 12] = [
    "accesskeyid",
    "apikey",
    "cookie",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "pwd",
    "secret",
    "secretkey",
    "sessid",
    "token",
];

/// Beginnings of words that are written as one: `passwordhash`.
const PREFIXES: [&str; 2] = ["passwd", "password"];

/// Words after `token` that show that the value is not the token itself.
const AFTER_TOKEN: [&str; 12] =
    ["budget", "count", "endpoint", "expires", "expiry", "length", "limit", "ttl", "type", "uri", "url", "usage"];

/// The letter triples that begin the words of all rules, and tokens of well-known forms, as a set of bits. A name or a
/// URL without any of them is not secret.
///
/// The query of every request is checked, and most names fail this test after a few instructions.
static BEGINNINGS: [u64; TRIPLES / 64] = {
    let mut set = [0; TRIPLES / 64];
    let lists: [&[&str]; 6] = [&ANYWHERE, &LAST, &WHOLE, &SUFFIXES, &PREFIXES, &["code", "token"]];
    let mut list = 0;
    while list < lists.len() {
        let mut word = 0;
        while word < lists[list].len() {
            add_beginning(&mut set, lists[list][word]);
            word += 1;
        }
        list += 1;
    }
    let mut prefix = 0;
    while prefix < TOKEN_PREFIXES.len() {
        add_beginning(&mut set, TOKEN_PREFIXES[prefix].0);
        prefix += 1;
    }
    let mut pair = 0;
    while pair < PAIRS.len() {
        // One of the two suffices. The second words are fewer, but `data` and `header` are common.
        let (first, second) = PAIRS[pair];
        if !has_beginning(&set, first) {
            add_beginning(&mut set, if second.len() < 3 { first } else { second });
        }
        pair += 1;
    }
    set
};

/// The number of triples of five bits each.
const TRIPLES: usize = 1 << 15;

const fn has_beginning(set: &[u64; TRIPLES / 64], word: &str) -> bool {
    let word = word.as_bytes();
    let triple = triple(word[0], word[1], word[2]);
    set[triple / 64] & (1 << (triple % 64)) != 0
}

const fn add_beginning(set: &mut [u64; TRIPLES / 64], word: &str) {
    let word = word.as_bytes();
    let triple = triple(word[0], word[1], word[2]);
    set[triple / 64] |= 1 << (triple % 64);
}

/// Packs three letters, ignoring their case. Other characters may collide with letters.
const fn triple(a: u8, b: u8, c: u8) -> usize {
    (a as usize & 31) << 10 | (b as usize & 31) << 5 | (c as usize & 31)
}

/// Returns `false` if no rule can apply to the name, or to any name in the text.
pub(super) fn may_be_secret(name: &str) -> bool {
    name.as_bytes().windows(3).any(|window| {
        let [a, b, c] = window else { return false };
        let triple = triple(*a, *b, *c);
        BEGINNINGS.get(triple / 64).is_some_and(|bits| bits & (1 << (triple % 64)) != 0)
    })
}

/// Returns whether values under this name are secret.
pub(super) fn is_secret(name: &str) -> bool {
    may_be_secret(name) && matches_rule(name)
}

fn matches_rule(name: &str) -> bool {
    let (mut previous, mut last, mut count) = ("", "", 0);
    for word in words(name) {
        let follows_token = is_one_of(previous, &["token"]);
        if is_one_of(word, &ANYWHERE)
            || (follows_token && !is_one_of(word, &AFTER_TOKEN))
            || (!previous.is_empty()
                && PAIRS.iter().any(|(first, second)| is_one_of(previous, &[first]) && is_one_of(word, &[second])))
        {
            return true;
        }
        (previous, last) = (word, word);
        count += 1;
    }
    if is_one_of(last, &["token", "secrets", "passwords"])
        || is_one_of(last, &LAST)
        || (count == 1 && is_one_of(last, &WHOLE))
    {
        return true;
    }
    let parts = name.split(|c: char| !c.is_alphanumeric());
    parts.map(|part| part.trim_matches(|c: char| c.is_ascii_digit())).any(is_secret_part)
}

/// Returns whether a part between punctuation is secret, whatever its case: `PassWord`, `dbpassword`.
fn is_secret_part(part: &str) -> bool {
    // `token` and `cookie` alone are judged with the words after them.
    let is_judged_by_words = is_one_of(part, &["cookie", "token"]);
    // Most names end in another letter, which is cheaper to find out: the query of every request is checked. The lists
    // are in lower case.
    let Some(end) = part.as_bytes().last().map(u8::to_ascii_lowercase) else { return false };
    let has_end = |suffix: &str| suffix.as_bytes().last() == Some(&end);
    SUFFIXES.iter().any(|suffix| has_end(suffix) && !is_judged_by_words && strip_suffix(part, suffix).is_some())
        || PREFIXES.iter().any(|prefix| {
            part.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        })
        || PAIRS.iter().any(|(first, second)| {
            has_end(second) && strip_suffix(part, second).is_some_and(|before| strip_suffix(before, first).is_some())
        })
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn strip_suffix<'t>(text: &'t str, suffix: &str) -> Option<&'t str> {
    let (before, end) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(before)
}

/// Returns the words of a name, without allocating.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_alphabetic());
        let (word, after) = rest.split_at_checked(word_end(rest))?;
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

/// Returns the length of the word at the beginning of a text.
fn word_end(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    let mut previous: Option<char> = None;
    while let Some((at, c)) = chars.next() {
        let next_is_lower = chars.peek().is_some_and(|(_, next)| next.is_lowercase());
        let begins_word =
            previous.is_some_and(|previous| c.is_uppercase() && (!previous.is_uppercase() || next_is_lower));
        if !c.is_alphabetic() || begins_word {
            return at;
        }
        previous = Some(c);
    }
    text.len()
}

#[cfg(test)]
#[path = "secret_names_tests.rs"]
mod tests;

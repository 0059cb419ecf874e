//! Bodies of HTTP messages: no captured text contains the secret that is in the body, whatever surrounds it.

use fastrand::Rng;
use logbridge::HttpSettings;

use self::module::BodyCapture;

#[path = "../../http/src/capture/leak_tests.rs"]
mod leaks;
// The module is private in its package.
#[allow(dead_code, unused_imports)]
#[path = "../../http/src/capture/mod.rs"]
mod module;

const TYPES: [&str; 5] =
    ["application/json", "application/x-www-form-urlencoded", "application/yaml", "text/plain", "text/xml"];
const CODINGS: [&str; 3] = ["deflate", "gzip", "identity"];

pub(crate) fn run(text: &str) {
    let mut rng = Rng::with_seed(u64::from(crc32fast::hash(text.as_bytes())));
    leaks::check(rng.u64(..));
    let middle = (0..=rng.usize(..=text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let (before, after) = text.split_at(middle);
    leaks::check_between(&mut rng, before, after);
    for content_type in TYPES {
        for coding in CODINGS {
            let _text = leaks::captured(&mut rng, content_type, coding, text.as_bytes(), 100);
        }
    }
    let _query = module::redacted_query(text, &HttpSettings::default());
    let _path = module::redacted_path(text, &HttpSettings::default());
}

//! Directives as in RUST_LOG: reading them from a variable and from code gives the same result.

use log::{Level, Log as _, Metadata};
use logbridge::{Builder, Console, Env, Otlp};

pub(crate) fn run(spec: &str) {
    let _findings = logbridge::levels::lint(spec);
    let env = Env::new().filter_or("LOGBRIDGE_FUZZ_IS_NOT_SET", spec);
    let kept = Builder::from_env(env).otlp(Otlp::off()).console(Console::stderr()).build();
    let kept = kept.expect("bad directives of a variable are left out").logger();
    let strict = Builder::new().parse_filters(spec).otlp(Otlp::off()).console(Console::stderr()).build();
    let strict = strict.ok().map(|bridge| bridge.logger());
    let named = spec.split([',', '=', '/']).map(str::trim).take(8);
    for target in named.chain(["", "app", "app::db"]) {
        let mut passed = true;
        for level in Level::iter() {
            let metadata = Metadata::builder().level(level).target(target).build();
            let passes = kept.enabled(&metadata);
            assert!(passed || !passes, "{level} of {target:?} passes, and what is graver does not");
            assert!(!passes || level <= kept.filter(), "{level} of {target:?} is beyond what passes at most");
            if let Some(strict) = &strict {
                assert_eq!(strict.enabled(&metadata), passes, "{level} of {target:?}");
            }
            passed = passes;
        }
    }
}

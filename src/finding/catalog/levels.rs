//! Kinds of findings about filters and levels: LB001 to LB019, then LB100 to LB119.

super::definition::kinds! {
    UNKNOWN_LEVEL = "LB001" "unknown-level" Filtered {
        title: "a directive has an invalid level",
        effect: "The directive is ignored. Its target gets the level of a shorter directive or of the root, which \
                 usually passes fewer records.",
        cause: "The text after `=` must be off, error, warn (or warning), info, debug, trace or notset.",
        fix: "Correct the level. The finding shows the filter as it was probably meant.",
        example: "Instead of `RUST_LOG=info,hyper=wran`, write `RUST_LOG=info,hyper=warn`.",
    }
    LEVEL_AS_TARGET = "LB002" "level-as-target" Filtered {
        title: "a misspelt level is read as the name of a module",
        effect: "The filter enables all records of a module that does not exist. Everything else gets WARN, or nothing \
                 with env_logger.",
        cause: "A word without `=` that is not a level is a target, and a target without a level passes all of its \
                records.",
        fix: "Write off, error, warn, info, debug, trace or notset. If a module has that name, write `name=trace`.",
        example: "`RUST_LOG=inof` names a module `inof`. Write `RUST_LOG=info`.",
    }
    SEPARATOR = "LB003" "separator" Filtered {
        title: "directives are separated by something other than a comma",
        effect: "Two directives are read as one. It names a target that does not exist, or is ignored as invalid, so \
                 the records of both are filtered.",
        cause: "Only a comma separates directives; a `;`, a space or a line break does not.",
        fix: "Separate directives with commas.",
        example: "Instead of `RUST_LOG=\"info;shop::db=debug\"`, write `RUST_LOG=info,shop::db=debug`.",
    }
    QUOTES = "LB004" "quotes" Filtered {
        title: "quotes are part of a filter",
        effect: "A quoted level is read as the name of a module, and a quoted target matches no module.",
        cause: "A shell removes quotes. Environment files of docker, compose and systemd may pass them on as part of \
                the value.",
        fix: "Remove the quotes from the file.",
        example: "Instead of `RUST_LOG=\"info\"` in an environment file, write `RUST_LOG=info`.",
    }
    SPAN_DIRECTIVE = "LB005" "span-directive" Filtered {
        title: "a filter has a directive for spans or fields",
        effect: "The directive is ignored, so it neither enables nor filters any record.",
        cause: "`target[span{field=value}]=level` is the syntax of tracing's EnvFilter. logbridge selects records by \
                target only.",
        fix: "Select records by target. LOGBRIDGE_SPAN_LEVEL sets which spans are created.",
        example: "Instead of `RUST_LOG=info,shop[checkout]=debug`, write `RUST_LOG=info,shop::checkout=debug`.",
    }
    TWO_SLASHES = "LB006" "two-slashes" Filtered {
        title: "a filter with two slashes is ignored as a whole",
        effect: "No directive of the filter has an effect, and the root falls back to WARN.",
        cause: "A `/` starts a pattern for the text of records. As in env_logger, a second `/` makes the whole filter \
                invalid.",
        fix: "Write targets with `::`, and at most one `/` before the pattern.",
        example: "Instead of `RUST_LOG=shop/db/pool=debug`, write `RUST_LOG=shop::db::pool=debug`.",
    }
    TWO_EQUALS = "LB007" "two-equals" Filtered {
        title: "a directive has two equals signs",
        effect: "The directive is ignored. Its target gets the level of a shorter directive or of the root.",
        cause: "A directive is `target=level`. A second `=` is often the sign of a missing comma.",
        fix: "Put a comma between directives.",
        example: "Instead of `RUST_LOG=info=shop=debug`, write `RUST_LOG=info,shop=debug`.",
    }
    MESSAGE_FILTER = "LB008" "message-filter" Filtered {
        title: "a pattern after `/` filters records by their text",
        effect: "Records of every target are filtered unless their text matches the pattern.",
        cause: "The text after the `/` of a filter is a pattern. Often a path was meant, or a target that was written \
                with slashes.",
        fix: "Remove the `/` and the text after it, or write the target with `::`.",
        example: "`RUST_LOG=info/paid` passes only records whose text contains `paid`. Write `RUST_LOG=info`.",
    }
    LONE_DIRECTIVE = "LB009" "lone-directive" Filtered {
        title: "a filter names single modules only",
        effect: "All other modules get WARN. With env_logger and EnvFilter they get nothing at all.",
        cause: "The filter sets no level for the root, and an unset root means WARN.",
        fix: "Add a level for all other modules.",
        example: "Instead of `RUST_LOG=shop::db=debug`, write `RUST_LOG=info,shop::db=debug`.",
    }
    REPEATED = "LB010" "repeated" Filtered {
        title: "a filter names the same target twice",
        effect: "The first directive has no effect.",
        cause: "If several directives name the same target, the last one wins.",
        fix: "Keep the directive that is meant.",
        example: "`RUST_LOG=shop=debug,shop=info` filters the DEBUG records of `shop`. Write `RUST_LOG=shop=debug`.",
    }
    HYPHEN = "LB011" "hyphen" Filtered {
        title: "a directive has a hyphen where targets have an underscore",
        effect: "The directive matches only records that were logged with that exact target, such as `target: \
                 \"my-app\"`.",
        cause: "The target of a record is its module path unless the call names another. In module paths, the crate \
                `my-app` is called `my_app`. At run time, this finding disappears once a record with the hyphenated \
                target arrives.",
        fix: "If a module is meant, write the underscore.",
        example: "Instead of `RUST_LOG=my-app=debug`, write `RUST_LOG=my_app=debug`.",
    }
    STAR = "LB012" "star" Filtered {
        title: "a directive has a `*`, which has no special meaning",
        effect: "The directive matches only targets that contain a `*`, and usually there are none.",
        cause: "Targets are compared by their beginning. Filters have no wildcards.",
        fix: "Remove the `*`. A target includes everything below it, and a level alone applies to everything.",
        example: "Instead of `RUST_LOG=shop::*=debug`, write `RUST_LOG=shop=debug`.",
    }
    UPPERCASE = "LB013" "uppercase" Filtered {
        title: "a directive has upper-case letters where targets are lower-case",
        effect: "The directive matches no module whose name is written in lower case.",
        cause: "Targets are case-sensitive, and the names of crates and modules are lower-case by convention.",
        fix: "Write the name as the module has it. A custom target with upper-case letters is fine.",
        example: "Instead of `RUST_LOG=Shop=debug`, write `RUST_LOG=shop=debug`.",
    }
    COMPILED_OUT = "LB014" "compiled-out" NeverCreated {
        title: "a requested level is not compiled into the program",
        effect: "Log calls below the compiled-in level do not exist in the program. No setting brings them back.",
        cause: "The features `max_level_*` and `release_max_level_*` of `log` and `tracing` remove calls at compile \
                time. Features of all dependencies add up, and the lowest level wins.",
        fix: "Remove the feature from the crate that enables it; `logbridge doctor project` names that crate. LB045 \
              reports the same for a project.",
        example: "A dependency enables `log/release_max_level_warn`: every `info!` of the release build is gone, in \
                  every crate.",
    }
    PREFIX = "LB015" "prefix" Filtered {
        title: "a directive also matches a crate that begins with the same letters",
        effect: "Records of the other crate are filtered or enabled, too.",
        cause: "As in env_logger, a directive matches every target that begins with its name.",
        fix: "End the name with `::` to match only the modules of that crate, or add a directive for the other crate.",
        example: "`RUST_LOG=info,shop=off` also silences `shop_core`. Write `RUST_LOG=info,shop=off,shop_core=info`.",
    }
    MATCHES_NOTHING = "LB016" "matches-nothing" Filtered {
        title: "a directive matches no crate of the program",
        effect: "The directive has no effect, and the records it was meant for get the level of the root.",
        cause: "No crate that is compiled in or has logged has a target with this beginning. Usually the name is \
                misspelt, or the package and its library have different names.",
        fix: "Compare the name with the targets in the report. A target is a module path, with `_` for `-`.",
        example: "Instead of `RUST_LOG=info,shpo=debug`, write `RUST_LOG=info,shop=debug`.",
    }
    THRESHOLD_WITHOUT_EFFECT = "LB017" "threshold-without-effect" Filtered {
        title: "a destination's threshold is more verbose than the module stage",
        effect: "The destination gets fewer records than its threshold allows.",
        cause: "A record passes the module stage (RUST_LOG) first, and then the threshold of each destination. A \
                destination can only be stricter.",
        fix: "Lower the threshold of the module stage: set RUST_LOG, or call `Builder::filter_level`.",
        example: "With `RUST_LOG=info` and `LOGBRIDGE_OTLP_LEVEL=debug`, the endpoint gets INFO. Write \
                  `RUST_LOG=debug`.",
    }
    LEVELS_UNCHANGED = "LB018" "levels-unchanged" Filtered {
        title: "a change of levels was rejected",
        effect: "Records are filtered by the previous levels.",
        cause: "A levels file that is missing or invalid changes nothing; it is checked four times a second. Also, \
                each distinct set of levels is kept until the process ends, and at most half a million sets are \
                accepted.",
        fix: "Write one or more directives per line, as in RUST_LOG, with `#` before comments. Start the directives of \
              another stage with `[otlp]`, `[console]` or `[spans]`. Set levels for modules, not for single requests.",
        example: "A levels file with the lines `info,shop::db=debug`, `[console]` and `warn`.",
    }
    COLON = "LB019" "colon" Filtered {
        title: "a directive has a colon instead of an equals sign",
        effect: "The filter enables all records of a module that does not exist, and everything else gets the level of \
                 the root.",
        cause: "Without an `=`, the whole word is the name of a target.",
        fix: "Write an equals sign.",
        example: "Instead of `RUST_LOG=shop:debug`, write `RUST_LOG=shop=debug`.",
    }
    SPANS_BELOW_THRESHOLD = "LB100" "spans-below-threshold" HardToFind {
        title: "records have no ids, and spans below the span threshold may be why",
        effect: "The records are exported without trace id and span id, so they cannot be found by their trace.",
        cause: "A span below the span threshold is not created, and records inside it get the ids of the next outer \
                span, or none. The threshold is INFO, except for request spans of libraries that the README lists. \
                Nobody knows which records such a span would contain, so this is only a suspicion.",
        fix: "If a named span stands for a request or a job, lower the span threshold for its target, or create the \
              span at INFO. Otherwise, ignore the finding. `Bridge::explain_span` names the deciding directive.",
        example: "`LOGBRIDGE_SPAN_LEVEL=info,shop::orders=debug`",
    }
}

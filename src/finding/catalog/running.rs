//! Kinds of findings about a running program: LB075 to LB090, then LB185 to LB204.

super::definition::kinds! {
    SLOT_TAKEN = "LB075" "slot-taken" NeverCreated {
        title: "another logger or subscriber gets the records",
        effect: "Records of `log`, or events of tracing, do not reach logbridge.",
        cause: "Each facade has one logger or subscriber per process, and the first one wins. Later ones get an error \
                that is often discarded. On a single thread, `with_default` and `set_default` override the global \
                subscriber.",
        fix: "Initialize once, in the first line of `main`. To combine loggers, use `logbridge::layer()` in your \
              registry and `logbridge::logger()` in your logger.",
        example: "Remove `env_logger::init()` before `logbridge::init()`.",
    }
    APPLICATION = "LB076" "lost-in-the-application" Dropped {
        title: "code of the application lost records",
        effect: "Records are dropped before they reach the outbox.",
        cause: "A log processor of the application did not forward a record, or a value panicked while it was \
                formatted.",
        fix: "Make each processor forward every record. Fix the `Display`, `Debug` or `Serialize` that panics.",
        example: "A `LogProcessor` that panics in `emit` loses the record it was given.",
    }
    LEVEL_LOWERED = "LB077" "level-lowered" NeverCreated {
        title: "`log::max_level()` was lowered after the start",
        effect: "Records of `log` below that level are discarded in every crate, before any logger sees them.",
        cause: "`log::set_max_level` sets one value for the whole process. A library's own init or a test helper may \
                call it.",
        fix: "Remove the call; its argument is the level that the finding shows. Change levels with RUST_LOG or \
              `bridge.levels()`.",
        example: "`log::set_max_level(LevelFilter::Error)` after `logbridge::init()` discards all warnings.",
    }
    ROOT_NOT_SET = "LB078" "root-not-set" Filtered {
        title: "records were filtered because no level is set for the root",
        effect: "Records of INFO and below are filtered.",
        cause: "Neither RUST_LOG nor code sets a level, and an unset root means WARN.",
        fix: "Set RUST_LOG, or call `Builder::filter_level(LevelFilter::Info)`.",
        example: "`RUST_LOG=info`",
    }
    SUPPRESSED = "LB079" "suppressed" Suppressed {
        title: "records were logged while telemetry is suppressed",
        effect: "The records are not exported.",
        cause: "`Context::enter_telemetry_suppressed_scope` keeps exporters from logging about themselves. A guard \
                that is held across an `.await`, or a context that was captured inside the scope, also suppresses \
                unrelated records.",
        fix: "Drop the guard before the next `.await`, and do not capture the context inside the scope.",
        example: "`drop(guard); fetch().await` instead of `fetch().await` with the guard alive",
    }
    REPETITION = "LB080" "repetition" Suppressed {
        title: "records were suppressed as repetitions",
        effect: "Some records of a callsite are not exported. A summary record has their number in the attribute \
                 `logbridge.suppressed`.",
        cause: "A line of code logged more records than the limit on repetition allows.",
        fix: "Raise the limit, or exempt a level.",
        example: "`LOGBRIDGE_REPETITION=100/60s`",
    }
    CANNOT_DELIVER = "LB081" "cannot-deliver" Queued {
        title: "an endpoint cannot be reached, or asks for a pause",
        effect: "Records stay queued and are retried, within the limit of memory or spool.",
        cause: "Requests fail for reasons that may be temporary: refused connections, timeouts, and the statuses 429, \
                502, 503 and 504.",
        fix: "Run `logbridge doctor endpoint`: it names the cause and the fix.",
        example: "\"connection refused\" means that nothing listens there. Start the collector.",
    }
    REFUSED = "LB082" "refused" Refused {
        title: "an endpoint has rejected records",
        effect: "The records are lost. A spool keeps records that were rejected for their credentials or path.",
        cause: "The endpoint answered with a status that a retry does not change: 400, 401, 403, 404, 405, 413, 415 or \
                500. Or it answered with a redirect, or with a partial success that rejects some records or only \
                warns.",
        fix: "Correct the cause that the answer names. `logbridge doctor endpoint` checks path, key and size one by \
              one.",
        example: "Status 401 means a missing or unknown key: `OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY`",
    }
    UNCONFIRMED = "LB083" "unconfirmed" Refused {
        title: "an endpoint answered with a success that is not OTLP",
        effect: "The records are counted as unconfirmed, and are probably lost. Other exporters count them as \
                 delivered.",
        cause: "A login page, a proxy or another service answers every request with 200.",
        fix: "Compare host, port and path with those of the collector.",
        example: "An HTML page with status 200 comes from a proxy that asks for a login.",
    }
    OVERLOAD = "LB084" "overload" Dropped {
        title: "records were dropped because there was no room",
        effect: "The policy of LOGBRIDGE_OVERLOAD decides which records are dropped. A record that exceeds the whole \
                 outbox or cannot be encoded is dropped at once.",
        cause: "Records arrived faster than they were delivered, until the outbox or the queue of spans was full.",
        fix: "Raise LOGBRIDGE_MAX_BYTES, use a spool, or log less: the report lists the targets with the most drops. \
              Or let log calls wait.",
        example: "`LOGBRIDGE_OVERLOAD=block`",
    }
    QUEUE_GROWS = "LB085" "queue-grows" Queued {
        title: "the outbox fills faster than it is sent",
        effect: "More than half of the outbox waits to be sent. Once it is full, records are dropped.",
        cause: "The endpoint answers, but too slowly for the rate of records.",
        fix: "Compare the rates in the report: use a faster endpoint, or lower the level of a target that logs too \
              much.",
        example: "`RUST_LOG=info,hyper=warn`",
    }
    LEFT_AT_EXIT = "LB086" "left-at-exit" Dropped {
        title: "the process ended before everything was delivered",
        effect: "The records that were not delivered are lost with the process, unless a spool keeps them.",
        cause: "The flush at exit has a deadline, and the endpoint did not confirm all records by then.",
        fix: "Raise LOGBRIDGE_EXIT_TIMEOUT, or use a spool.",
        example: "`LOGBRIDGE_EXIT_TIMEOUT=10s` or `LOGBRIDGE_SPOOL_DIR=/var/lib/shop/logs`",
    }
    AFTER_SHUTDOWN = "LB087" "after-shutdown" Dropped {
        title: "records were logged after logbridge was shut down",
        effect: "The records are printed on the console, but not exported.",
        cause: "`Bridge::shutdown` ends the export for the rest of the process. The finding shows where it was called.",
        fix: "Remove the call: logbridge flushes at the end of the process. To wait for delivery, use `Bridge::flush`.",
        example: "Instead of `bridge.shutdown(timeout)?`, write `bridge.flush(timeout)?`.",
    }
    WORKER_ENDED = "LB088" "worker-ended" Queued {
        title: "the exporter thread cannot run, or was restarted",
        effect: "Records whose request was not answered are sent again after at most one second. Until then, all \
                 records stay queued.",
        cause: "A panic or a closed descriptor ended the thread or its runtime, or the thread could not be started.",
        fix: "Correct the cause that the finding names. A program must not close descriptors that it did not open.",
        example: "`for fd in 3..1024 { close(fd) }` also closes the sockets of the exporter thread.",
    }
    CLOCK_OFF = "LB089" "clock-off" HardToFind {
        title: "the clock differs from the clock of the endpoint",
        effect: "A search for the last minutes does not find the records. Some backends reject or delete records that \
                 are too old or too new.",
        cause: "Records carry the time of this machine. The `Date` header of the endpoint differs from it by minutes.",
        fix: "Synchronize the clock (NTP), or search a wider time range.",
        example: "`timedatectl set-ntp true`",
    }
    SPOOL_TROUBLE = "LB090" "spool-trouble" Dropped {
        title: "the spool does not work as it should",
        effect: "New records wait in memory, and readable files are sent. Damaged files are set aside, and a notice \
                 names them.",
        cause: "The disk is full, the directory was removed, or a file is damaged. In a directory that others can \
                write to, only files of the process's own user are sent.",
        fix: "Repair the directory (space, permissions). Files that were set aside can be deleted. `logbridge replay \
              --any-owner` sends files of other users.",
        example: "`df -h /var/lib/shop/logs` shows whether the disk is full.",
    }
    OUTER_TRACE_LAYER = "LB190" "outer-trace-layer" HardToFind {
        title: "`TraceLayer` is outside of `ServerLayer`, so requests have two spans",
        effect: "The span of `TraceLayer` is exported beside that of the request. It cannot continue the trace of \
                 the caller, so records written between the two layers are in another trace.",
        cause: "The outer layer makes its span first. A span that has started cannot get another parent, so only the \
                inner span joins the trace of `traceparent`.",
        fix: "Remove `TraceLayer`, or put `ServerLayer` outside of it: logbridge then exports one span. Or keep only \
              `TraceLayer`, and let it make the span with `logbridge_http::request_span`.",
        example: "`Router::layer` calls wrap from the inside to the outside: `.layer(TraceLayer::new_for_http())` comes \
                  before `.layer(ServerLayer::new())`.",
    }
}

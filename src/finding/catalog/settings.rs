//! Kinds of findings about settings: LB020 to LB044.

super::kinds! {
    BAD_VALUE = "LB020" "bad-value" Dropped "a variable or setting has a value that cannot be read",
        "What cannot be read is ignored, and the default applies: a queue, a delay, a timeout or a switch is then not what was meant. The stock SDK ignores it without a word.",
        "write the value in the form that the finding shows.";
    UNKNOWN_VALUE = "LB021" "unknown-value" Dropped "a variable has a word that is none of those it knows",
        "Variables such as OTEL_EXPORTER_OTLP_PROTOCOL know a few words. Another one is ignored, and the default applies, which may send elsewhere or not at all.",
        "use one of the words that the finding lists.";
    BAD_URL = "LB022" "bad-url" Dropped "an endpoint is no URL that can be sent to",
        "An endpoint needs a scheme (`http://` or `https://`) and a host. With `localhost:4318`, the stock HTTP exporter cannot be built, or, given it in code, fails later with \"network error\".",
        "write a whole URL: `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318`.";
    URL_CREDENTIALS = "LB023" "url-credentials" Refused "an endpoint has user name and password in it",
        "What stands before the `@` of a URL is not sent by OTLP exporters, so the endpoint answers 401; and URLs are printed in logs.",
        "send it as a header: `OTEL_EXPORTER_OTLP_HEADERS=authorization=Basic%20…`.";
    DOUBLED_PATH = "LB024" "doubled-path" Refused "a general endpoint already has the path of a signal",
        "`/v1/logs` is appended to OTEL_EXPORTER_OTLP_ENDPOINT. With that path in it already, records are posted to `/v1/logs/v1/logs`, which answers 404.",
        "write the base URL: `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318`.";
    MISSING_PATH = "LB025" "missing-path" Refused "an endpoint of one signal lacks its path",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, and an endpoint given in code to the stock HTTP exporter, are used as they are: without `/v1/logs` records are posted to `/`, which answers 404.",
        "write the whole URL: `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://localhost:4318/v1/logs`.";
    GRPC_PORT = "LB026" "grpc-port" Dropped "the port is that of the other protocol",
        "By custom, collectors speak gRPC on 4317 and HTTP on 4318. Either protocol fails on the port of the other, in the stock exporter as \"network error\".",
        "use port 4318 for HTTP, or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc for port 4317.";
    BAD_HEADER = "LB027" "bad-header" Refused "a header cannot be sent",
        "A pair in OTEL_EXPORTER_OTLP_HEADERS whose name or value no header may have (a line break at the end of a key from a secret, say) is left out, and the endpoint answers 401.",
        "write `key=value,key=value`, values percent-encoded, without line breaks.";
    HEADER_COLON = "LB028" "header-colon" Refused "a header is written with a colon",
        "Headers in a variable are `key=value`. One written `key: value`, as in HTTP, is left out, and the endpoint answers 401.",
        "write `key=value`: `OTEL_EXPORTER_OTLP_HEADERS=authorization=…`.";
    HEADER_COMMA = "LB029" "header-comma" Refused "a comma has cut a header in two",
        "Commas separate headers. One inside a value ends it there, so that half a key is sent.",
        "write a comma inside a value as `%2C`.";
    HEADER_QUOTE = "LB030" "header-quote" Refused "quotes have become part of a header",
        "Files of docker, compose and systemd hand quotes over as part of the value. A name that begins with one is no name, and a value is sent with it.",
        "remove the quotes from the file, around names and around values.";
    QUOTED_VALUE = "LB031" "quoted-value" Dropped "quotes have become part of a value",
        "Files of docker, compose and systemd hand quotes over as part of the value, where a shell removes them. A URL or a number with quotes around it is none.",
        "remove the quotes from the file: `OTEL_SERVICE_NAME=shop`.";
    UNEXPANDED = "LB032" "unexpanded" Refused "a value has a placeholder in it that nothing has filled in",
        "`${KEY}`, `$(KEY)`, `%KEY%` or `<your-key>` reached the program as it stands. Only a shell fills in variables, and only some files are read by one.",
        "write the value itself, or have the file read by something that fills it in.";
    KEY_WHITESPACE = "LB033" "key-whitespace" Refused "an ingestion key has something around it",
        "HYPERDX_API_KEY is sent as it is. White space inside it, or `Bearer ` in front, makes it a key that the backend does not know.",
        "copy the ingestion key again, alone.";
    MISSPELT_VARIABLE = "LB034" "misspelt-variable" Dropped "a variable is not read by anything, and looks like one that is",
        "Names of variables are compared letter by letter: `OTEL_EXPORTER_OTLP_LOG_ENDPOINT` (without the S) and `otel_service_name` are read by nobody, and the default applies.",
        "rename it to the one that the finding names.";
    NO_EFFECT = "LB035" "no-effect" Dropped "a variable is set that has no effect",
        "The specification, or another implementation, knows the variable, and what runs here does not; or the endpoint refuses what it asks for (compression), and gets it otherwise.",
        "unset it, and use the setting that the finding names where there is one.";
    EMPTY_MASKS = "LB036" "empty-masks" Refused "a variable without a value stands in front of a general one",
        "An empty OTEL_EXPORTER_OTLP_LOGS_HEADERS counts as unset here. In the stock Rust exporter it hides OTEL_EXPORTER_OTLP_HEADERS, so that no key is sent.",
        "unset it instead of setting it to nothing.";
    SET_IN_CODE = "LB037" "set-in-code" Dropped "code sets what a variable says otherwise",
        "What code says wins over the environment, so that the variable has no effect and records go where code says.",
        "remove the setting from the code, or the variable.";
    SUSPICIOUS_UNIT = "LB038" "suspicious-unit" Dropped "a time looks as if it were meant in seconds",
        "OTEL_EXPORTER_OTLP_TIMEOUT and its like are milliseconds. With 10, requests are given up while they are being answered: they are sent twice, or called lost though they arrived.",
        "write `10000` for ten seconds.";
    TOO_SMALL = "LB039" "too-small" Dropped "a limit is so small that records do not fit",
        "A bound in memory, on disk or of a queue that is smaller than what a burst needs drops records; the stock SDK drops every one with OTEL_BLRP_MAX_QUEUE_SIZE=0.",
        "raise it, or unset it for the default.";
    BAD_PROXY = "LB040" "bad-proxy" Dropped "a proxy stands in the environment that cannot be used",
        "HTTP_PROXY, HTTPS_PROXY and ALL_PROXY apply to exporters too, as to curl. One that cannot be read is ignored; one that does not know the collector refuses what is sent.",
        "write `http://host:port`, and name the collector in NO_PROXY where it needs none.";
    BAD_DIRECTORY = "LB041" "bad-directory" Dropped "the directory of the spool cannot be used",
        "Without it, records wait in memory only, and those of a process that is killed are lost.",
        "make the directory, for the user that the program runs as, or name another one in LOGBRIDGE_SPOOL_DIR.";
    TRACE_CONTEXT = "LB042" "trace-context" HardToFind "the trace context of the environment cannot be used",
        "TRACEPARENT is taken as the parent of a program's spans only when it is asked for and well-formed; otherwise its records are in no trace, or in one of their own.",
        "set TRACEPARENT as W3C defines it, and ask for it: `LOGBRIDGE_TRACE_CONTEXT_FROM_ENV=true`, or `Builder::trace_context_from_env(true)`.";
    DEBUG_OTHER = "LB043" "debug-other" Filtered "DEBUG has a value that is meant for another tool",
        "`DEBUG=express:*` and the like belong to other programs. Only `true`, `1`, `yes` and `on` switch the debug mirror on.",
        "set DEBUG=true to see what is shipped, or leave it as it is.";
    KEY_EXPRESSION = "LB044" "key-expression" HardToFind "a key to be redacted is written as a pattern",
        "LOGBRIDGE_REDACT_KEYS has names of keys, in which `*` stands for any characters. A regular expression there matches only a key that is called like that, and the value is sent.",
        "write names such as `password` or `*token*`, or use LOGBRIDGE_REDACT_VALUES for regular expressions.";
}

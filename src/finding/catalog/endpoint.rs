//! Kinds of findings about an endpoint, as the doctor asks it: LB063 to LB074.

super::kinds! {
    UNRESOLVED_NAME = "LB063" "unresolved-name" Dropped "the name of the endpoint's host has no address",
        "The resolver of this machine does not know the name. In a container, `localhost` is the container itself, and names of services exist only in their network.",
        "correct the host of the endpoint, or look at the resolver.";
    UNREACHABLE = "LB064" "unreachable" Dropped "no connection to the endpoint comes about",
        "Nothing listens at that address and port, or a firewall swallows the packets; or only one of IPv4 and IPv6 is served, and clients may try the other. A collector that listens on localhost in its own container refuses everybody. ClickStack opens its OTLP ports only once an ingestion key exists.",
        "start the collector, let it listen on 0.0.0.0, or name another endpoint.";
    WRONG_PROTOCOL = "LB065" "wrong-protocol" Dropped "the port speaks another protocol than the one that is used",
        "OTLP is spoken as gRPC (HTTP/2, usually port 4317) and over HTTP/1.1 (usually 4318). The stock exporter calls the mix-up \"network error\" or \"frame with invalid size\".",
        "use the other port, or set OTEL_EXPORTER_OTLP_PROTOCOL to what the port speaks.";
    WRONG_SCHEME = "LB066" "wrong-scheme" Dropped "TLS is spoken to a plain port, or plain text to one with TLS",
        "The scheme of the endpoint says whether TLS is used: https:// to a plain port fails in the handshake, http:// to a port with TLS is answered with an alert or a 400.",
        "change the scheme of the endpoint, or its port.";
    BAD_CERTIFICATE = "LB067" "bad-certificate" Dropped "TLS fails: a certificate is expired, for another name, unknown, or missing",
        "The certificate of the endpoint must be valid now, for the host of the URL, and signed by a root that this client trusts; some endpoints ask for a client certificate. gRPC of opentelemetry-otlp 0.33 trusts no roots unless code names them.",
        "with logbridge, OTEL_EXPORTER_OTLP_CERTIFICATE names the roots, …_CLIENT_CERTIFICATE and …_CLIENT_KEY the client's own; the stock exporter for Rust (0.33) reads none of the three: there, code gives it its TLS. A wrong clock makes certificates expire, too.";
    CREDENTIALS_REFUSED = "LB068" "credentials-refused" Refused "the endpoint refuses the key, or that there is none",
        "It answers 401 or 403 (UNAUTHENTICATED, PERMISSION_DENIED): no key was sent, or one that it does not know. An empty or badly written OTEL_EXPORTER_OTLP_LOGS_HEADERS sends none.",
        "set OTEL_EXPORTER_OTLP_HEADERS=authorization=KEY, or HYPERDX_API_KEY; check for quotes and line breaks around it.";
    WRONG_PATH = "LB069" "wrong-path" Refused "the endpoint takes logs at another path or place",
        "`/v1/logs` is appended to a general endpoint and to no other one. Behind a proxy the path often has a prefix, such as /otlp/v1/logs. A redirect is not followed by OTLP exporters: a POST would become a GET without its body, and the stock exporter calls that a success.",
        "use the path or the place that the finding names.";
    NO_LOGS_PIPELINE = "LB070" "no-logs-pipeline" Refused "the endpoint is an OTLP receiver that takes no logs",
        "A collector without a `logs:` pipeline, or a backend for traces only (Jaeger, Tempo), answers 404, or UNIMPLEMENTED over gRPC, to every log.",
        "add a logs pipeline to the collector's configuration, or send logs elsewhere.";
    NOT_OTLP = "LB071" "not-otlp" Refused "something else than an OTLP receiver answers",
        "A login page, a proxy or another service answers 200, often with HTML. The stock exporter counts that as delivered.",
        "compare host, port and path with those of the collector.";
    NO_ANSWER = "LB072" "no-answer" Dropped "the endpoint takes the connection and does not answer",
        "It hangs, is overloaded, or waits for something else than HTTP. Each export then takes its whole timeout, and flush and shutdown with it.",
        "look at the collector's own log and its exporters: a queue that is full behind it holds up what is in front.";
    ENDPOINT_LIMITS = "LB073" "endpoint-limits" Refused "the endpoint refuses large or compressed requests",
        "Receivers bound a request (4 MiB for gRPC by default, 1 MiB for some proxies), and some read no gzip. A batch of 512 long records is over the bound, and lost as a whole.",
        "raise the receiver's limit, send less at once (OTEL_BLRP_MAX_EXPORT_BATCH_SIZE), or switch compression off.";
    NOT_TAKEN = "LB074" "not-taken" Refused "the endpoint answers, and does not take what it is sent",
        "It is busy (429, 503), fails (500), cannot read the request (400), or takes it and rejects records of it (a partial success). Its words say why.",
        "look at the endpoint's own log; what it says is in the finding.";
}

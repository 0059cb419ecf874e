use super::super::strip::{Stripped, strip};
use super::*;

/// Returns the pairs of this source, the inner layer first.
fn found(source: &str) -> Vec<[SpanLayer; 2]> {
    let Stripped { code, text } = strip(source);
    let file = File { path: "src/main.rs".to_owned(), package: 0, binary: None, code, text };
    let packages = Packages { logbridge_http: true, tower: true };
    pairs(packages, &file).into_iter().map(|(inner, outer)| [inner.1, outer.1]).collect()
}

#[test]
fn two_layers_on_one_router_are_found_however_they_are_written() {
    use SpanLayer::{OtelAxum, RequestSpan, Server, Tower, Trace};
    for (source, expected) in [
        ("Router::new().layer(ServerLayer::new()).layer(TraceLayer::new_for_http())", [Server, Trace]),
        (
            "Router::new().route(a, get(b)).layer(TraceLayer::new_for_http()).layer(OtelAxumLayer::default())",
            [Trace, OtelAxum],
        ),
        (
            "Router::new().layer(OtelAxumLayer::default()).route(a, b).route_layer(logbridge_http::ServerLayer::new())",
            [OtelAxum, Server],
        ),
        (
            "let app = Router::new().layer(ServerLayer::new()); let app = app.layer(TraceLayer::new_for_http());",
            [Server, Trace],
        ),
        (
            "let mut app = Router::new().layer(ServerLayer::new()); app = app.layer(OtelAxumLayer::default());",
            [Server, OtelAxum],
        ),
        (
            "let trace = TraceLayer::new_for_http(); serve(Router::new().layer(ServerLayer::new()).layer(trace))",
            [Server, Trace],
        ),
        (
            "Router::new().layer(ServiceBuilder::new().layer(TraceLayer::new_for_http()).layer(ServerLayer::new()))",
            [Server, Trace],
        ),
        (
            "ServiceBuilder::new().layer(TraceLayer::new_for_http()).layer(ServerLayer::new()).service(s)",
            [Server, Trace],
        ),
        (
            "tonic::transport::Server::builder().layer(TraceLayer::new_for_grpc()).layer(ServerLayer::new())",
            [Server, Trace],
        ),
        (
            "let stack = ServiceBuilder::new().layer(TraceLayer::new_for_http()); Router::new().layer(ServerLayer::new()).layer(stack)",
            [Server, Trace],
        ),
        ("Router::new().layer((TraceLayer::new_for_http(), ServerLayer::new()))", [Server, Trace]),
        (
            "Router::new().layer(ServerLayer::new()).layer(TraceLayer::new_for_http().make_span_with(DefaultMakeSpan::new().level(Level::INFO)))",
            [Server, Trace],
        ),
        (
            "Router::new().layer(ServerLayer::new()).layer(TraceLayer::new_for_http().make_span_with(logbridge_http::request_span))",
            [Server, RequestSpan],
        ),
        (
            "Router::new().layer(LayerBuilder::builder().build().unwrap()).layer(TraceLayer::new_for_http())",
            [Tower, Trace],
        ),
        (
            "Router::new().layer(opentelemetry_instrumentation_tower::http::server::Layer::new()).layer(ServerLayer::new())",
            [Tower, Server],
        ),
    ] {
        assert_eq!(found(&format!("fn main() {{ {source} }}")), [expected], "{source}");
    }
}

#[test]
fn nothing_is_found_unless_it_is_certain() {
    for source in [
        "Router::new().layer(TraceLayer::new_for_http())",
        // logbridge leaves out the span of the inner layer.
        "Router::new().layer(TraceLayer::new_for_http()).layer(ServerLayer::new())",
        "ServiceBuilder::new().layer(ServerLayer::new()).layer(TraceLayer::new_for_http())",
        "let app = Router::new().layer(TraceLayer::new_for_http()); let app = app.layer(ServerLayer::new());",
        "Router::new().layer((ServerLayer::new(), TraceLayer::new_for_http()))",
        // Two routers.
        "let a = Router::new().layer(ServerLayer::new()); let b = Router::new().layer(TraceLayer::new_for_http());",
        "Router::new().merge(Router::new().layer(ServerLayer::new())).merge(Router::new().layer(OtelAxumLayer::default()))",
        "let app = base(); let a = app.clone().layer(ServerLayer::new()); let b = app.layer(OtelAxumLayer::default());",
        "serve(Router::new().layer(ServerLayer::new()), Router::new().layer(OtelAxumLayer::default()))",
        // Branches.
        "if new { app = app.layer(ServerLayer::new()); } else { app = app.layer(OtelAxumLayer::default()); }",
        "match kind { A => app.layer(ServerLayer::new()), B => app.layer(OtelAxumLayer::default()) }",
        "let app = app.layer(OtelAxumLayer::default()); #[cfg(feature = \"ours\")] let app = app.layer(ServerLayer::new());",
        // These make no span of their own, or nobody knows.
        "Router::new().layer(ServerLayer::new()).layer(OtelInResponseLayer)",
        "Router::new().layer(ServerLayer::new()).layer(TraceLayer::new_for_http().make_span_with(|_: &_| Span::current()))",
        "Router::new().layer(ServerLayer::new()).layer(LayerBuilder::builder().with_tracing(false).build().unwrap())",
        "Router::new().layer(ServerLayer::new()).layer(option_layer(trace.then(TraceLayer::new_for_http)))",
        "Router::new().layer(ServerLayer::new()).layer(from_fn(TraceLayer::run))",
        "Router::new().layer(ServerLayer::new()).layer(CorsLayer::permissive()).layer(unknown)",
    ] {
        assert_eq!(found(&format!("fn main() {{ {source} }}")), [[SpanLayer::Trace; 2]; 0], "{source}");
    }
}

#[test]
fn hostile_sources_end() {
    let chains = "let app = app.layer(app);".repeat(300);
    let nested = format!("{}ServerLayer{}", "x.layer((".repeat(300), "))".repeat(300));
    for source in ["let a = b.layer(b); let b = a.layer(a);", ".layer(", "a = a.layer(a", ".layer((", &chains, &nested]
    {
        assert_eq!(found(source), [[SpanLayer::Trace; 2]; 0], "{source}");
    }
}

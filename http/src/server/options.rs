//! The options of one layer, and what they say about a request.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use http::HeaderMap;
use http::request::Parts;
use logbridge::Level;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tracing::dispatcher;

use crate::guard::catch;
use crate::settings::Settings;

type Route = dyn Fn(&Parts) -> Option<String> + Send + Sync;
type Filter = dyn Fn(&Parts) -> bool + Send + Sync;
type Peer = dyn Fn(&Parts) -> Option<SocketAddr> + Send + Sync;

/// A program has the same layers at each request, so the first ones are enough to find a `TraceLayer`.
const CHECKED_REQUESTS: u8 = 16;

#[derive(Default)]
pub(super) struct Options {
    pub(super) route: Option<Arc<Route>>,
    pub(super) filter: Option<Arc<Filter>>,
    pub(super) peer: Option<Arc<Peer>>,
    pub(super) scheme: Option<&'static str>,
    pub(super) settings: Settings,
    pub(super) log_level: Option<Level>,
    checked: AtomicU8,
}

impl Clone for Options {
    fn clone(&self) -> Self {
        Self {
            route: self.route.clone(),
            filter: self.filter.clone(),
            peer: self.peer.clone(),
            scheme: self.scheme,
            settings: self.settings.clone(),
            log_level: self.log_level,
            checked: AtomicU8::new(0),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("settings", &self.settings)
            .field("log_level", &self.log_level)
            .finish_non_exhaustive()
    }
}

impl Options {
    // A closure that panics must not close the connection, so it counts as absent.

    /// Returns whether the request gets a span.
    pub(super) fn includes(&self, parts: &Parts) -> bool {
        self.filter.as_ref().and_then(|filter| catch(|| filter(parts))).unwrap_or(true)
    }

    /// Returns the route, from the closure or from the framework.
    pub(super) fn route<'p>(&self, parts: &'p Parts) -> Option<Cow<'p, str>> {
        let named = self.route.as_ref().and_then(|route| catch(|| route(parts))).flatten();
        named.map(Cow::Owned).or_else(|| matched_path(&parts.extensions).map(Cow::Borrowed))
    }

    pub(super) fn peer(&self, parts: &Parts) -> Option<SocketAddr> {
        self.peer.as_ref().and_then(|peer| catch(|| peer(parts))).flatten()
    }

    /// Reports a `TraceLayer` outside of this layer, whose span is then the current one.
    ///
    /// The current span may also be that of another request, whose handler calls a router of the same program. So only
    /// a request of another trace proves that `TraceLayer` is around it.
    pub(super) fn check_outer_span(&self, headers: &HeaderMap) {
        if self.checked.load(Ordering::Relaxed) >= CHECKED_REQUESTS {
            return;
        }
        let is_of_trace_layer = dispatcher::get_default(|dispatch| {
            dispatch.current_span().metadata().is_some_and(|span| span.target().starts_with("tower_http::trace"))
        });
        if !is_of_trace_layer {
            let _before = self.checked.fetch_add(1, Ordering::Relaxed);
        } else if is_of_another_trace(headers)
            && let Some(bridge) = logbridge::bridge()
        {
            self.checked.store(CHECKED_REQUESTS, Ordering::Relaxed);
            bridge.note_outer_trace_layer();
        }
    }
}

/// Returns whether a request names a remote span that is not in the trace of the current span.
fn is_of_another_trace(headers: &HeaderMap) -> bool {
    let (remote, local) = (logbridge::propagation::extract(headers), Context::current());
    let (remote, local) = (remote.span().span_context().clone(), local.span().span_context().clone());
    remote.is_valid() && local.is_valid() && remote.trace_id() != local.trace_id()
}

/// Returns the route that axum has found.
#[cfg(feature = "axum")]
pub(super) fn matched_path(extensions: &http::Extensions) -> Option<&str> {
    extensions.get::<axum::extract::MatchedPath>().map(axum::extract::MatchedPath::as_str)
}

/// Returns no route: only axum tells it.
#[cfg(not(feature = "axum"))]
pub(super) fn matched_path(_extensions: &http::Extensions) -> Option<&str> {
    None
}

//! The settings of the installed logbridge, which may be installed after the layer was built.

use std::sync::{LazyLock, OnceLock};

use logbridge::{CaptureMode, HeaderList, HttpSettings, NetworkCapture};

/// The settings of the installed logbridge.
static INSTALLED: OnceLock<HttpSettings> = OnceLock::new();
/// The settings until logbridge is installed.
static BUILT_IN: LazyLock<HttpSettings> = LazyLock::new(HttpSettings::default);

/// The settings of one layer.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Set in code, for this layer only.
    capture: Option<NetworkCapture>,
    /// The built-in settings with this layer's own capture, until logbridge is installed.
    early: OnceLock<HttpSettings>,
    /// The installed settings with this layer's own capture.
    own: OnceLock<HttpSettings>,
}

impl Clone for Settings {
    fn clone(&self) -> Self {
        Self { capture: self.capture.clone(), ..Self::default() }
    }
}

impl Settings {
    /// Replaces what is captured.
    pub(crate) fn set_capture(&mut self, capture: NetworkCapture) {
        *self = Self { capture: Some(capture), ..Self::default() };
    }

    /// Returns the settings. They are looked up until logbridge is installed, and then stay the same.
    pub(crate) fn current(&self) -> HttpSettings {
        match &self.capture {
            None => installed().unwrap_or(&BUILT_IN).clone(),
            Some(capture) => self.with_own_capture(capture),
        }
    }

    fn with_own_capture(&self, capture: &NetworkCapture) -> HttpSettings {
        if let Some(settings) = self.own.get() {
            return settings.clone();
        }
        let (cached, base) = match installed() {
            Some(installed) => (&self.own, installed),
            None => (&self.early, &*BUILT_IN),
        };
        cached.get_or_init(|| base.with_capture(capture.clone())).clone()
    }
}

fn installed() -> Option<&'static HttpSettings> {
    INSTALLED.get().or_else(|| {
        let settings = logbridge::bridge()?.http_settings();
        Some(INSTALLED.get_or_init(|| settings))
    })
}

/// Returns whether bodies may be captured.
pub(crate) fn captures_bodies(settings: &HttpSettings) -> bool {
    settings.capture().mode() != CaptureMode::Off
}

/// Returns whether headers of this list may be captured.
pub(crate) fn captures_headers(settings: &HttpSettings, list: HeaderList) -> bool {
    captures_bodies(settings) || settings.capture().header_names(list).is_some()
}

//! Whether a browser's request came from a page of ours.

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};

use crate::app::App;

/// What the headers say about where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A page of this site.
    Own,
    /// Another site, or a browser that says so.
    Foreign,
    /// Nothing is said: no browser, or a very old one.
    Unsaid,
}

/// Reads `Origin` and `Sec-Fetch-Site` (Fetch Metadata). `Origin` must be exactly the configured public address, or
/// http or https with the `Host` that was asked.
pub fn of(app: &App, headers: &HeaderMap) -> Origin {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let fetched = text("sec-fetch-site");
    if fetched.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Origin::Foreign;
    }
    match text(ORIGIN.as_str()) {
        Some(origin) if is_own(app, origin, text(HOST.as_str())) => Origin::Own,
        Some(_) => Origin::Foreign,
        None if fetched == Some("same-origin") => Origin::Own,
        None => Origin::Unsaid,
    }
}

fn is_own(app: &App, origin: &str, host: Option<&str>) -> bool {
    if let Some(public) = &app.config.public_url {
        return origin.eq_ignore_ascii_case(public);
    }
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

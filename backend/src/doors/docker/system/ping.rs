//! `GET /_ping` and `HEAD /_ping`.

use axum::response::IntoResponse;

/// `GET /_ping`, `HEAD /_ping`: that somebody is there, and what they speak. Spec: Docker Engine API, `SystemPing`. The
/// version stands in the heads that every answer has.
pub async fn ping() -> impl IntoResponse {
    let heads = [
        // The CLI sends a build's context as one archive, and is told that builds are not there yet.
        ("Builder-Version", "1"),
        ("Swarm", "inactive"),
        ("Cache-Control", "no-cache, no-store, must-revalidate"),
        ("Pragma", "no-cache"),
        ("Content-Type", "text/plain; charset=utf-8"),
    ];
    (heads, "OK")
}

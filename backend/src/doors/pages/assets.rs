//! `/assets/*`: scripts, styles and icons, embedded in the program with their hash in the name.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../web/dist"]
struct Bundle;

static NAMES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    Bundle::get("manifest.json").and_then(|file| serde_json::from_slice(&file.data).ok()).unwrap_or_default()
});

/// The address of an asset by its plain name (`app.css`), for templates.
pub fn asset(name: &str) -> String {
    format!("/assets/{}", NAMES.get(name).map_or(name, String::as_str))
}

/// `GET /assets/{name}`: the file, compressed as the browser accepts, to be kept for ever.
pub(super) async fn serve(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    let accepted = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let offers = |encoding: &str| {
        accepted.split(',').any(|part| {
            let mut words = part.trim().split(';');
            words.next() == Some(encoding) && !words.any(|word| word.trim() == "q=0")
        })
    };
    let candidates = [("br", ".br", offers("br")), ("gzip", ".gz", offers("gzip")), ("", "", true)];
    let found = candidates
        .into_iter()
        .filter(|(_, _, wanted)| *wanted)
        .find_map(|(encoding, extension, _)| Bundle::get(&format!("{name}{extension}")).map(|file| (encoding, file)));
    let Some((encoding, file)) = found.filter(|_| content_type(&name).is_some()) else {
        return HttpResponse::NotFound().finish();
    };
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(content_type(&name).unwrap_or("application/octet-stream"))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((VARY, "accept-encoding"));
    if !encoding.is_empty() {
        answer.insert_header((CONTENT_ENCODING, encoding));
    }
    answer.body(file.data.into_owned())
}

/// Only what the pages use; `manifest.json` and the compressed siblings are not served by name.
fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

//! How a client reached us: what it is told to ask for a token must be reachable the same way.

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;

use crate::app::App;
use crate::doors::https;

/// Scheme and host, as the client sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// With a port where there is one.
    pub host: String,
}

/// By what the client asked (`Host`), and whether it came over TLS. Forwarded headers are believed only when the peer is
/// a proxy that the administrator named. The configured public address says the scheme where the host is its own.
pub fn of(app: &App, request: &HttpRequest) -> Reached {
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let proxied = peer.is_some_and(|peer| app.config.trusted_proxies.contains(&peer));
    let last = |name: &str| {
        let value = request.headers().get_all(name).last()?.to_str().ok()?;
        value.rsplit(',').next().map(str::trim)
    };
    let forwarded = |name: &str| if proxied { last(name) } else { None };
    let asked = forwarded("x-forwarded-host").or_else(|| last(HOST.as_str()));
    let host = asked.filter(|host| is_host(host)).map_or_else(|| app.config.http.to_string(), str::to_owned);
    let public = app.config.public_url.as_deref().and_then(|url| url.split_once("://"));
    let scheme = match (public, forwarded("x-forwarded-proto")) {
        (Some((scheme, own)), _) if own.eq_ignore_ascii_case(&host) => scheme,
        (_, Some(scheme)) => scheme,
        _ if https::is_encrypted(request) => "https",
        _ => "http",
    };
    Reached { scheme: if scheme.eq_ignore_ascii_case("https") { "https" } else { "http" }, host }
}

/// It stands in a header's quotes.
fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(plain) && text.parse::<Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::testing::Instance;

    fn reached(app: &App, peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let mut request = TestRequest::get().peer_addr(format!("{peer}:1024").parse().unwrap());
        for header in headers {
            request = request.append_header(*header);
        }
        let Reached { scheme, host } = of(app, &request.to_http_request());
        format!("{scheme}://{host}")
    }

    #[actix_web::test]
    async fn forwarded_headers_are_believed_of_named_proxies_only() {
        let instance = Instance::with(|config| config.trusted_proxies = vec!["192.0.2.9".parse().unwrap()]).await;
        let forwarded =
            [("host", "inner:7070"), ("x-forwarded-host", "hub.example.org"), ("x-forwarded-proto", "https")];
        assert_eq!(reached(&instance.app, "192.0.2.1", &forwarded), "http://inner:7070");
        assert_eq!(reached(&instance.app, "192.0.2.9", &forwarded), "https://hub.example.org");
    }

    #[actix_web::test]
    async fn the_public_address_says_its_own_scheme_and_no_host_breaks_out_of_its_quotes() {
        let instance = Instance::with(|config| config.public_url = Some("https://hub.example.org".to_owned())).await;
        assert_eq!(reached(&instance.app, "192.0.2.1", &[("host", "hub.example.org")]), "https://hub.example.org");
        assert_eq!(reached(&instance.app, "192.0.2.1", &[("host", "127.0.0.1:7070")]), "http://127.0.0.1:7070");
        let own = format!("http://{}", instance.app.config.http);
        for bad in ["a\",service=\"b", "evil.test/path", "user@evil.test", ""] {
            assert_eq!(reached(&instance.app, "192.0.2.1", &[("host", bad)]), own, "{bad}");
        }
    }
}

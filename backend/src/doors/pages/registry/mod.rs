//! The registry inside: repositories, what is in one, its settings, robots.

pub mod list;
pub mod repository;
pub mod robots;
pub mod settings;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use actix_web::HttpRequest;
use sampan_engine::registry::RepositoryName;

use crate::app::App;
use crate::doors::registry::address;

/// Rows of one list.
const ROWS: u32 = 100;

/// Where a client finds the registry.
struct Place {
    /// With a port where there is one.
    host: String,
    /// Docker on other hosts refuses it: it has no TLS.
    plain: bool,
}

impl Place {
    /// As the reader's browser reached us; where that was without TLS and not on this host, by the https listener.
    fn of(app: &App, request: &HttpRequest) -> Self {
        let reached = address::of(app, request);
        let name = name_of(&reached.host);
        if reached.scheme == "https" || is_loopback(name) {
            return Self { host: reached.host, plain: false };
        }
        match app.config.https {
            Some(https) => Self { host: format!("{name}:{}", https.port()), plain: false },
            None => Self { host: reached.host, plain: true },
        }
    }

    /// What a client says for a repository of the team: `HOST/team/name`.
    fn whole(&self, team: &str, name: &str) -> String {
        format!("{}/{}/{name}", self.host, team.to_lowercase())
    }
}

/// Without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

/// Docker takes a registry there without TLS.
fn is_loopback(name: &str) -> bool {
    let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a team of that name can have repositories.
fn can_have(team: &str) -> bool {
    format!("{}/a", team.to_lowercase()).parse::<RepositoryName>().is_ok()
}

/// Takes the one row off that was asked for beyond a full list; the last one's key is then where the next list begins.
fn cut<T>(rows: &mut Vec<T>, key: impl Fn(&T) -> &str) -> Option<String> {
    let more = rows.len() > ROWS as usize;
    rows.truncate(ROWS as usize);
    rows.last().filter(|_| more).map(|row| key(row).to_owned())
}

/// `sha256:` and twelve digits of it.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 12).collect()
}

#[cfg(test)]
mod address_tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::testing::Instance;

    async fn place(instance: &Instance, host: &str) -> (String, bool) {
        let request = TestRequest::get().insert_header(("host", host.to_owned())).to_http_request();
        let place = Place::of(&instance.app, &request);
        (place.host, place.plain)
    }

    #[actix_web::test]
    async fn a_client_is_told_an_address_that_docker_takes() {
        let instance = Instance::new().await;
        assert_eq!(place(&instance, "127.0.0.1:7070").await, ("127.0.0.1:7070".to_owned(), false));
        assert_eq!(place(&instance, "localhost:7070").await, ("localhost:7070".to_owned(), false));
        assert_eq!(place(&instance, "[::1]:7070").await, ("[::1]:7070".to_owned(), false));
        assert_eq!(place(&instance, "hub.test:7070").await, ("hub.test:7070".to_owned(), true));
        let tls = Instance::with(|config| config.https = Some("0.0.0.0:7443".parse().unwrap())).await;
        assert_eq!(place(&tls, "hub.test:7070").await, ("hub.test:7443".to_owned(), false));
        assert_eq!(place(&tls, "[2001:db8::1]").await, ("[2001:db8::1]:7443".to_owned(), false));
        let public = Instance::with(|config| config.public_url = Some("https://hub.test".to_owned())).await;
        assert_eq!(place(&public, "hub.test").await, ("hub.test".to_owned(), false));
    }

    #[test]
    fn a_full_list_says_where_the_next_one_begins() {
        let names = |count: u32| (0..count).map(|n| format!("{n:04}")).collect::<Vec<_>>();
        let (mut full, mut more) = (names(ROWS), names(ROWS + 1));
        assert_eq!((cut(&mut full, |name| name), full.len()), (None, ROWS as usize));
        assert_eq!((cut(&mut more, |name| name), more.len()), (Some("0099".to_owned()), ROWS as usize));
        assert!(can_have("Blue") && !can_have("a@b"));
    }
}

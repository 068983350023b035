//! What the administrator says about registries: who may reach them, by what certificates, through which mirrors.

use std::collections::HashMap;
use std::net::IpAddr;

use reqwest::Url;
use sqlx::SqlitePool;

use super::{Reach, UpstreamError};
use crate::store::upstream::{self, MirrorRow, RegistryRow};

/// What is said about one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// `host` or `host:port`.
    pub host: String,
    /// Without TLS.
    pub plain_http: bool,
    /// Certificates that may have signed its own, PEM; `None`: those that this host trusts.
    pub ca_pem: Option<String>,
    /// Teams reach it too when its address is private.
    pub teams_may: bool,
}

/// Another place for a registry's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Counts up.
    pub id: i64,
    /// The registry whose bytes it has: `docker.io`, …
    pub upstream: String,
    /// `https://host[:port]`.
    pub url: String,
    /// The lowest is asked first.
    pub position: i64,
    /// Asked at all.
    pub enabled: bool,
}

/// All of it, as it was when a piece of work began.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    registries: HashMap<String, Registry>,
    mirrors: Vec<Mirror>,
}

/// Where a registry, or one of its mirrors, is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://registry-1.docker.io/`.
    pub base: Url,
    /// How far connections to it may reach.
    pub reach: Reach,
    /// The certificates that it is asked by.
    pub ca_pem: Option<String>,
    /// One of its mirrors.
    pub is_mirror: bool,
}

impl Endpoint {
    /// `https://host[:port]`, for people.
    pub fn shown(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }
}

impl Rules {
    /// Reads them.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn load(pool: &SqlitePool) -> sqlx::Result<Self> {
        let registries = upstream::registries(pool).await?.into_iter().map(Registry::from);
        let mirrors = upstream::mirrors(pool).await?.into_iter().map(Mirror::from);
        Ok(Self::new(registries.collect(), mirrors.collect()))
    }

    /// Of what is said.
    pub fn new(registries: Vec<Registry>, mirrors: Vec<Mirror>) -> Self {
        Self { registries: registries.into_iter().map(|rule| (rule.host.clone(), rule)).collect(), mirrors }
    }

    /// How far a connection to a host may reach, for an administrator or for a team.
    pub(super) fn reach(&self, host: &str, elevated: bool) -> Reach {
        match self.registries.get(host) {
            Some(rule) if elevated || rule.teams_may => Reach::Private,
            _ if elevated => Reach::Loopback,
            _ => Reach::Public,
        }
    }

    /// The certificates for a host.
    pub(super) fn ca_pem(&self, host: &str) -> Option<String> {
        self.registries.get(host).and_then(|rule| rule.ca_pem.clone())
    }

    /// Where a registry itself is asked.
    ///
    /// # Errors
    /// [`UpstreamError::Setting`] for a host that makes no address.
    pub fn endpoint(&self, registry: &str, elevated: bool) -> Result<Endpoint, UpstreamError> {
        let rule = self.registries.get(registry);
        let host = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let plain = rule.map_or_else(|| is_loopback(registry), |rule| rule.plain_http);
        let base = base(&format!("{}://{host}", if plain { "http" } else { "https" }))?;
        Ok(Endpoint {
            base,
            reach: self.reach(registry, elevated),
            ca_pem: rule.and_then(|rule| rule.ca_pem.clone()),
            is_mirror: false,
        })
    }

    /// Its mirrors in their order. The administrator chose them, so each may be anywhere.
    pub fn mirrors(&self, registry: &str) -> Vec<Endpoint> {
        let of = |mirror: &&Mirror| mirror.enabled && mirror.upstream == registry;
        let endpoint = |mirror: &Mirror| {
            let base = base(&mirror.url).ok()?;
            let ca_pem = self.ca_pem(&host_of(&base));
            Some(Endpoint { base, reach: Reach::Private, ca_pem, is_mirror: true })
        };
        self.mirrors.iter().filter(of).filter_map(endpoint).collect()
    }
}

impl From<RegistryRow> for Registry {
    fn from(RegistryRow { host, plain_http, ca_pem, teams_may }: RegistryRow) -> Self {
        Self { host, plain_http, ca_pem, teams_may }
    }
}

impl From<MirrorRow> for Mirror {
    fn from(MirrorRow { id, upstream, url, position, enabled }: MirrorRow) -> Self {
        Self { id, upstream, url, position, enabled }
    }
}

/// The address of a registry or mirror: scheme and host, nothing more.
///
/// # Errors
/// [`UpstreamError::Setting`].
pub fn base(text: &str) -> Result<Url, UpstreamError> {
    let wrong = || UpstreamError::Setting {
        reason: format!("{text:?} is no registry's address: it is https://host[:port] or http://host[:port]"),
    };
    let url: Url = text.parse().map_err(|_| wrong())?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let nobody = url.username().is_empty() && url.password().is_none();
    let right = matches!(url.scheme(), "http" | "https") && url.host().is_some() && plain && nobody;
    right.then_some(url).ok_or_else(wrong)
}

/// `host`, or `host:port` where the port is not the scheme's own: as a registry is called.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Docker asks registries on this host without TLS.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(host: &str, teams_may: bool) -> Registry {
        Registry { host: host.to_owned(), plain_http: false, ca_pem: None, teams_may }
    }

    #[test]
    fn names_of_images_lead_where_docker_goes() {
        let rules = Rules::default();
        for (registry, base) in [
            ("docker.io", "https://registry-1.docker.io"),
            ("ghcr.io", "https://ghcr.io"),
            ("host.example:5000", "https://host.example:5000"),
            ("localhost:5000", "http://localhost:5000"),
            ("localhost", "http://localhost"),
            ("127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("[::1]:5000", "http://[::1]:5000"),
        ] {
            assert_eq!(rules.endpoint(registry, true).unwrap().shown(), base);
        }
        let secured = Rules::new(vec![registry("localhost:5000", false)], vec![]);
        assert_eq!(secured.endpoint("localhost:5000", true).unwrap().shown(), "https://localhost:5000");
    }

    #[test]
    fn who_reaches_what() {
        let rules = Rules::new(vec![registry("inner:1", false), registry("open:1", true)], vec![]);
        let reach = |host, elevated| rules.reach(host, elevated);
        assert_eq!((reach("a.example", false), reach("a.example", true)), (Reach::Public, Reach::Loopback));
        assert_eq!((reach("inner:1", false), reach("inner:1", true)), (Reach::Public, Reach::Private));
        assert_eq!((reach("open:1", false), reach("open:1", true)), (Reach::Private, Reach::Private));
    }

    #[test]
    fn an_address_of_a_mirror_is_scheme_and_host() {
        for good in ["https://m.example", "http://10.0.0.1:5000", "https://m.example/"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in
            ["m.example", "ftp://m", "https://u:p@m", "https://m/path", "https://m/?q", "file:///etc", "https://"]
        {
            assert!(base(bad).is_err(), "{bad}");
        }
    }
}

//! Who a registry is to be told that asks: the header `X-Registry-Auth`, and the body of `POST /auth`.
//!
//! Source: moby `api/types/registry`, authconfig.go.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use sampan_engine::upstream::Credentials;
use serde::Deserialize;

use super::error::DockerError;

/// The header.
const HEADER: &str = "X-Registry-Auth";
/// Go writes padding, other clients leave it away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// As clients send it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "lowercase")]
pub struct AuthConfig {
    username: String,
    password: String,
    /// The registry.
    pub serveraddress: String,
    identitytoken: String,
    registrytoken: String,
}

impl AuthConfig {
    /// What the registry is shown; `None`: nothing was given.
    pub fn credentials(self) -> Option<Credentials> {
        if !self.registrytoken.is_empty() {
            return Some(Credentials::Bearer { token: self.registrytoken });
        }
        if !self.identitytoken.is_empty() {
            return Some(Credentials::Identity { token: self.identitytoken });
        }
        let Self { username, password, .. } = self;
        (!username.is_empty()).then_some(Credentials::Basic { username, password })
    }
}

/// What the header says.
///
/// # Errors
/// 400 when it does not read.
pub fn credentials(headers: &HeaderMap) -> Result<Option<Credentials>, DockerError> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let wrong = || DockerError::invalid(format!("invalid {HEADER} header: it is no JSON in base64"));
    let text = value.to_str().map_err(|_| wrong())?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    // Some clients use the other alphabet.
    let text = text.replace('+', "-").replace('/', "_");
    let bytes = BASE64.decode(text).map_err(|_| wrong())?;
    let read: Option<AuthConfig> = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    Ok(read.and_then(AuthConfig::credentials))
}

/// A registry as names of images have it, of the address that a client logs in to.
pub fn registry(address: &str) -> String {
    let rest = address.trim().split_once("://").map_or(address.trim(), |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    match host {
        "" | "index.docker.io" | "registry-1.docker.io" | "docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> HeaderMap {
        let text = base64::engine::general_purpose::URL_SAFE.encode(json);
        let mut headers = HeaderMap::new();
        headers.insert("x-registry-auth", text.parse().unwrap());
        headers
    }

    #[test]
    fn the_header_is_read_as_the_cli_writes_it() {
        let read = |json: &str| credentials(&header(json)).unwrap();
        assert_eq!(read("{}"), None);
        assert_eq!(read("null"), None);
        let basic = Credentials::Basic { username: "a".to_owned(), password: "ü?>".to_owned() };
        assert_eq!(read(r#"{"username":"a","password":"ü?>","serveraddress":"x"}"#), Some(basic));
        assert_eq!(
            read(r#"{"identitytoken":"t","username":"a"}"#),
            Some(Credentials::Identity { token: "t".to_owned() })
        );
        assert_eq!(read(r#"{"registrytoken":"t"}"#), Some(Credentials::Bearer { token: "t".to_owned() }));
        assert_eq!(credentials(&HeaderMap::new()).unwrap(), None);
        let mut wrong = HeaderMap::new();
        wrong.insert("x-registry-auth", "!".parse().unwrap());
        assert_eq!(credentials(&wrong).unwrap_err().status, 400);
        assert!(credentials(&header("[1]")).is_err());
    }

    #[test]
    fn addresses_are_registries() {
        for (address, name) in [
            ("https://index.docker.io/v1/", "docker.io"),
            ("", "docker.io"),
            ("localhost:5000", "localhost:5000"),
            ("https://r.example/v2/", "r.example"),
        ] {
            assert_eq!(registry(address), name);
        }
    }
}

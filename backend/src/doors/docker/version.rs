//! Versions of Docker's API: which one a request speaks, and its path without it.
//!
//! Source: moby `daemon/server`, version middleware; `api/swagger.yaml`, "Versioning".

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::PathAndQuery;

use super::error::DockerError;

/// Newest version that is spoken, and the one a path without version means.
pub const NEWEST: Version = Version { major: 1, minor: 51 };
/// Oldest version that is answered.
pub const OLDEST: Version = Version { major: 1, minor: 24 };

/// A version such as `1.51`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1 until today.
    pub major: u32,
    /// Counts up.
    pub minor: u32,
}

impl Version {
    /// Whether a client of this version knows what came with `1.minor`.
    pub fn knows(self, minor: u32) -> bool {
        self >= Version { major: 1, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = ();

    /// Reads `1`, `1.24` or `1.24.0` (what follows the minor number counts for nothing).
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('.').map(|part| part.parse::<u32>().map_err(|_| ()));
        let major = parts.next().ok_or(())??;
        let minor = parts.next().unwrap_or(Ok(0))?;
        Ok(Self { major, minor })
    }
}

/// Splits `/v1.51/containers/json` into version and the rest; a path without version speaks the newest.
///
/// # Errors
/// 400 with dockerd's sentence when the version is too old or too new.
pub fn split(path: &str) -> Result<(Version, &str), DockerError> {
    let Some((typed, rest)) = typed_version(path) else { return Ok((NEWEST, path)) };
    let Ok(version) = typed.parse::<Version>() else { return Ok((NEWEST, path)) };
    if version < OLDEST {
        return Err(DockerError::invalid(format!(
            "client version {typed} is too old. Minimum supported API version is {OLDEST}, please upgrade your \
             client to a newer version"
        )));
    }
    if version > NEWEST {
        return Err(DockerError::invalid(format!(
            "client version {typed} is too new. Maximum supported API version is {NEWEST}"
        )));
    }
    Ok((version, rest))
}

/// `1.51` and `/…` of `/v1.51/…`.
fn typed_version(path: &str) -> Option<(&str, &str)> {
    let after = path.strip_prefix("/v")?;
    let slash = after.find('/')?;
    let typed = &after[..slash];
    let digits = !typed.is_empty() && typed.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    digits.then_some((typed, &after[slash..]))
}

/// The URI that the router sees: no version, and the slashes of an image's name written as `%2F`, since a name is one
/// part of a route.
///
/// # Errors
/// As [`split`]; 400 when the result is not a path.
pub fn normalise(method: &http::Method, uri: &Uri) -> Result<(Version, Uri), DockerError> {
    let (version, rest) = split(uri.path())?;
    let path = encode_name(method, rest);
    let whole = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let path_and_query = PathAndQuery::try_from(whole).map_err(|_| DockerError::invalid("invalid path"))?;
    Ok((version, Uri::from(path_and_query)))
}

/// `/images/a/b/json` becomes `/images/a%2Fb/json`.
fn encode_name(method: &http::Method, path: &str) -> String {
    let (prefix, verbs): (&str, &[&str]) = if path.starts_with("/images/") {
        match *method {
            http::Method::GET | http::Method::HEAD => ("/images/", &["json", "history", "get"]),
            http::Method::POST => ("/images/", &["push", "tag"]),
            _ => ("/images/", &[]),
        }
    } else if path.starts_with("/distribution/") {
        ("/distribution/", &["json"])
    } else {
        return path.to_owned();
    };
    let rest = &path[prefix.len()..];
    match rest.rsplit_once('/') {
        Some((name, verb)) if verbs.contains(&verb) => format!("{prefix}{}/{verb}", name.replace('/', "%2F")),
        _ => format!("{prefix}{}", rest.replace('/', "%2F")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: http::Method, uri: &str) -> String {
        normalise(&method, &uri.parse().unwrap()).unwrap().1.to_string()
    }

    #[test]
    fn a_path_without_version_speaks_the_newest() {
        assert_eq!(split("/containers/json").unwrap(), (NEWEST, "/containers/json"));
        assert_eq!(split("/volumes").unwrap(), (NEWEST, "/volumes"));
        assert_eq!(split("/version").unwrap(), (NEWEST, "/version"));
    }

    #[test]
    fn versions_within_the_bounds_are_split_off() {
        assert_eq!(split("/v1.24/_ping").unwrap(), (OLDEST, "/_ping"));
        assert_eq!(split("/v1.51/_ping").unwrap(), (NEWEST, "/_ping"));
        assert!(split("/v1.41/_ping").unwrap().0.knows(41));
        assert!(!split("/v1.41/_ping").unwrap().0.knows(42));
    }

    #[test]
    fn versions_out_of_bounds_are_refused_in_dockers_words() {
        assert_eq!(
            split("/v1.23/_ping").unwrap_err().message,
            "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a \
             newer version"
        );
        assert_eq!(
            split("/v1.52/_ping").unwrap_err().message,
            "client version 1.52 is too new. Maximum supported API version is 1.51"
        );
        assert_eq!(split("/v2.0/_ping").unwrap_err().status, 400);
    }

    #[test]
    fn slashes_of_image_names_are_one_part_of_the_route() {
        use http::Method;
        assert_eq!(route(Method::GET, "/v1.40/images/a/b/json?x=1"), "/images/a%2Fb/json?x=1");
        assert_eq!(route(Method::GET, "/images/json"), "/images/json");
        assert_eq!(route(Method::GET, "/images/host:5000/a/history"), "/images/host:5000%2Fa/history");
        assert_eq!(route(Method::POST, "/images/a/b/tag?repo=c"), "/images/a%2Fb/tag?repo=c");
        assert_eq!(route(Method::DELETE, "/images/a/json"), "/images/a%2Fjson");
        assert_eq!(route(Method::GET, "/distribution/a/b/json"), "/distribution/a%2Fb/json");
        assert_eq!(route(Method::GET, "/containers/a/json"), "/containers/a/json");
    }
}

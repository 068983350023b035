//! What a registry answers to a request without the right credentials. Spec: RFC 9110, 11.6.1 (WWW-Authenticate).

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// How a registry wants to be shown who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from elsewhere. Spec: distribution, auth/token.md.
    Bearer {
        /// Address of the token service.
        realm: String,
        /// What it calls this registry.
        service: Option<String>,
        /// What the token must allow.
        scope: Option<String>,
    },
}

/// The challenges of an answer, in their order; unknown schemes are passed over.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(read).collect()
}

fn read(text: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find([' ', ',', '=', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after = after.trim_start();
        match after.strip_prefix('=') {
            Some(after) if !word.is_empty() => {
                let (value, after) = value(after.trim_start());
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
                rest = after;
            }
            _ if !word.is_empty() => {
                found.push((word.to_ascii_lowercase(), Vec::new()));
                rest = after;
            }
            // A lone separator.
            _ => rest = rest.get(1..).unwrap_or_default(),
        }
        rest = rest.trim_start_matches([',', ' ', '\t']);
    }
    found.into_iter().filter_map(|(scheme, parameters)| challenge(&scheme, &parameters)).collect()
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

fn challenge(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let told = bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:a/b:pull,push"));
        assert_eq!(read(hub), [told]);
        assert_eq!(read(r#"Basic realm="Registry Realm""#), [Challenge::Basic]);
        assert_eq!(
            read(r#"bearer Realm=https://t , Basic realm="x, y""#),
            [bearer("https://t", None, None), Challenge::Basic]
        );
        assert_eq!(read(r#"Negotiate, Bearer realm="a\"b""#), [bearer("a\"b", None, None)]);
        assert!(read("Bearer service=x").is_empty());
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_panic(text in "[ -~]{0,60}|(Bearer|Basic)[ =\",\\\\a-z]{0,40}") {
            let _ = read(&text);
        }
    }
}

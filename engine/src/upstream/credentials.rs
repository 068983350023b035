//! Who a registry is told that asks.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::Digest;

/// Who asks. Never shown whole.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    Anonymous,
    /// A user.
    Basic {
        /// Name.
        username: String,
        /// Password, or an access token in its place.
        password: String,
    },
    /// A refresh token, from which access tokens are made.
    Identity {
        /// As the registry's token service gave it.
        token: String,
    },
    /// An access token, taken as it is.
    Bearer {
        /// As given.
        token: String,
    },
}

impl Credentials {
    /// Whether there is anything to show.
    pub fn is_anonymous(&self) -> bool {
        *self == Self::Anonymous
    }

    /// The user's name, where it is known.
    pub fn username(&self) -> Option<&str> {
        match self {
            Self::Basic { username, .. } => Some(username),
            _ => None,
        }
    }

    /// Tells one from another without keeping them.
    pub(super) fn fingerprint(&self) -> Digest {
        let parts: [&str; 3] = match self {
            Self::Anonymous => ["anonymous", "", ""],
            Self::Basic { username, password } => ["basic", username, password],
            Self::Identity { token } => ["identity", token, ""],
            Self::Bearer { token } => ["bearer", token, ""],
        };
        Digest::of(parts.map(|part| format!("{}:{part}", part.len())).concat().as_bytes())
    }

    /// The value of a header `Authorization` with scheme Basic. Spec: RFC 7617.
    pub(super) fn basic(&self) -> Option<String> {
        match self {
            Self::Basic { username, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic(…)",
            Self::Identity { .. } => "Identity(…)",
            Self::Bearer { .. } => "Bearer(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_differ_where_their_parts_do_and_are_never_shown() {
        let basic = |username: &str, password: &str| Credentials::Basic {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        assert_ne!(basic("ab", "c").fingerprint(), basic("a", "bc").fingerprint());
        assert_ne!(basic("", "").fingerprint(), Credentials::Anonymous.fingerprint());
        assert_eq!(basic("Aladdin", "open sesame").basic().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(!format!("{:?}", basic("a", "hunter2")).contains("hunter2"));
    }
}

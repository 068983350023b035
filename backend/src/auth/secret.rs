//! Secrets that are random: tokens, cookies, tickets. Opaque, 256 bits, stored only as SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRngCore as _;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Random bytes of a secret.
const BYTES: usize = 32;

/// A random secret of the characters `[A-Za-z0-9_-]`. Debug does not show it; its memory is wiped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Makes one that begins with `mark`.
    pub fn new(mark: &str) -> Self {
        let mut bytes = Zeroizing::new([0_u8; BYTES]);
        fill(&mut *bytes);
        Self(Zeroizing::new(format!("{mark}{}", URL_SAFE_NO_PAD.encode(*bytes))))
    }

    /// Its text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// What is stored of a secret.
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// As [`hash`], in hexadecimal digits.
pub fn hash_hex(secret: &str) -> String {
    hex::encode(hash(secret))
}

/// Whether two texts are equal, in a time that does not depend on where they differ.
pub fn equal(left: &str, right: &str) -> bool {
    let (left, right) = (hash(left), hash(right));
    left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}

/// Fills `bytes` with the kernel's random numbers (getrandom(2), which cannot fail once the pool is ready).
pub(super) fn fill(bytes: &mut [u8]) {
    if let Err(error) = rand::rngs::OsRng.try_fill_bytes(bytes) {
        // Nothing that is secret can be made without: the process must not go on.
        tracing::error!(%error, "the kernel gives no random numbers");
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_at_least_24_plain_characters_and_is_not_shown_by_debug() {
        let secret = Secret::new("spn_");
        assert_eq!(secret.expose().len(), 47);
        assert!(secret.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_ne!(secret.expose(), Secret::new("spn_").expose());
    }

    #[test]
    fn equal_texts_are_equal() {
        assert!(equal("a", "a"));
        assert!(!equal("a", "b"));
        assert!(!equal("a", ""));
    }
}

//! Passwords: argon2id, a few at a time, and the same time for a user who does not exist.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::accounts::AccountsError;

/// Hashes at a time: each takes [`MEMORY_KIB`] for about 30 ms of one CPU.
const AT_ONCE: usize = 2;
/// Checks that may wait for their turn; more are turned away.
const WAITING: usize = 64;
/// Memory of one hash: OWASP's first choice for argon2id with two passes and one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// Hash of a password that nobody has: checked when there is no such user.
    nobody: Arc<str>,
}

impl Passwords {
    /// Prepares the hash that unknown users are checked against.
    ///
    /// # Errors
    /// [`AccountsError::Hash`].
    pub fn new() -> Result<Self, AccountsError> {
        let nobody = hash(super::secret::Secret::new("").expose().as_bytes())?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), waiting: Arc::default(), nobody: nobody.into() })
    }

    /// Hashes a new password; gives a PHC string.
    ///
    /// # Errors
    /// [`AccountsError::BadPassword`], [`AccountsError::Busy`].
    pub async fn hash(&self, password: &str) -> Result<String, AccountsError> {
        check_length(password)?;
        let password = Zeroizing::new(password.as_bytes().to_vec());
        self.in_turn(move || hash(&password)).await?
    }

    /// Whether `password` is the one that `stored` was made of. `None`: there is no such user; takes as long.
    ///
    /// # Errors
    /// [`AccountsError::Busy`], [`AccountsError::Hash`] for a stored hash that cannot be read.
    pub async fn verify(&self, password: &str, stored: Option<&str>) -> Result<bool, AccountsError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.nobody).to_owned();
        let fits = check_length(password).is_ok();
        let password = Zeroizing::new(if fits { password.as_bytes().to_vec() } else { Vec::new() });
        let same = self.in_turn(move || verify(&password, &stored)).await??;
        Ok(same && known && fits)
    }

    /// Runs `work` on a thread for blocking work, when it is its turn.
    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, AccountsError> {
        let _place = Place::take(&self.waiting)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| AccountsError::Busy)?;
        let run = move || {
            let result = work();
            drop(turn);
            result
        };
        tokio::task::spawn_blocking(run).await.map_err(|error| AccountsError::Hash { reason: error.to_string() })
    }
}

/// A place among those that wait, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Result<Self, AccountsError> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::Relaxed) >= WAITING { Err(AccountsError::Busy) } else { Ok(place) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn check_length(password: &str) -> Result<(), AccountsError> {
    let bytes = password.len();
    if (8..=1024).contains(&bytes) { Ok(()) } else { Err(AccountsError::BadPassword { bytes }) }
}

fn argon2() -> Result<Argon2<'static>, AccountsError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(broken)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> Result<String, AccountsError> {
    Ok(argon2()?.hash_password(password).map_err(broken)?.to_string())
}

fn verify(password: &[u8], stored: &str) -> Result<bool, AccountsError> {
    let stored = PasswordHash::new(stored).map_err(broken)?;
    Ok(argon2()?.verify_password(password, &stored).is_ok())
}

fn broken(reason: impl std::fmt::Display) -> AccountsError {
    AccountsError::Hash { reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_is_right() {
        let passwords = Passwords::new().unwrap();
        let stored = passwords.hash("correct horse").await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.verify("correct horse", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("correct horsf", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("", Some(&stored)).await.unwrap());
        assert!(!passwords.verify("correct horse", None).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_user_is_checked_against_a_hash_of_the_same_cost() {
        let passwords = Passwords::new().unwrap();
        let stored = passwords.hash("correct horse").await.unwrap();
        let cost = |text: &str| text.split('$').take(4).collect::<Vec<_>>().join("$");
        assert_eq!(cost(&passwords.nobody), cost(&stored));
    }

    #[tokio::test]
    async fn too_short_and_too_long_passwords_are_refused() {
        let passwords = Passwords::new().unwrap();
        assert!(matches!(passwords.hash("1234567").await, Err(AccountsError::BadPassword { bytes: 7 })));
        assert!(matches!(passwords.hash(&"x".repeat(1025)).await, Err(AccountsError::BadPassword { bytes: 1025 })));
    }

    #[tokio::test]
    async fn a_crowd_is_turned_away_and_the_places_are_given_back() {
        let passwords = Passwords::new().unwrap();
        let turn = passwords.turns.clone().acquire_many_owned(2).await.unwrap();
        let crowd: Vec<_> = (0..WAITING)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.in_turn(|| ()).await.is_ok() })
            })
            .collect();
        while passwords.waiting.load(Ordering::Relaxed) < WAITING {
            tokio::task::yield_now().await;
        }
        assert!(matches!(passwords.in_turn(|| ()).await, Err(AccountsError::Busy)));
        drop(turn);
        for one in crowd {
            assert!(one.await.unwrap());
        }
        assert_eq!(passwords.waiting.load(Ordering::Relaxed), 0);
    }
}

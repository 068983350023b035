//! The second factor: codes of an authenticator (RFC 6238, SHA-1, 6 digits, 30 s), and recovery codes.

use totp_rs::{Builder, Secret as TotpSecret, Totp};

use super::secret::{Secret, equal, hash_hex};
use crate::accounts::{AccountsError, UserSecrets};
use crate::app::App;

/// What authenticators call this program.
const ISSUER: &str = "Sampan";
/// Recovery codes given when the second factor is set.
const RECOVERY_CODES: usize = 10;
/// Characters of one, without the dash: about 50 random bits.
const RECOVERY_CHARACTERS: usize = 10;

/// A second factor that is offered, not yet set.
#[derive(Debug)]
pub struct Offer {
    /// Sealed secret: goes into the form and comes back with the first code.
    pub sealed: String,
    /// For typing, in base32.
    pub secret: String,
    /// `otpauth://…`, for a picture.
    pub url: String,
}

/// Makes a secret for `user_id`; nothing is stored until [`confirm`].
///
/// # Errors
/// [`AccountsError::Sealed`], [`AccountsError::Invalid`] for a name that an authenticator cannot show.
pub fn offer(app: &App, user_id: i64, user_name: &str) -> Result<Offer, AccountsError> {
    let secret = TotpSecret::generate();
    let sealed = app.sealing.seal(&offered_to(user_id), secret.as_ref())?;
    let totp = totp_of(secret.as_ref(), user_name)?;
    let url = totp.to_url().map_err(|error| AccountsError::Invalid { message: error.to_string() })?;
    Ok(Offer { sealed: hex::encode(&sealed), secret: secret.to_base32(), url })
}

/// Sets the offered factor once a first code shows that the authenticator has it; gives the recovery codes, which are
/// never shown again. `None`: the code is wrong, or the offer was made to somebody else.
///
/// # Errors
/// [`AccountsError`].
pub async fn confirm(
    app: &App,
    user_id: i64,
    user_name: &str,
    sealed: &str,
    code: &str,
) -> Result<Option<Vec<String>>, AccountsError> {
    // The sealed offer comes back from a form, where anything can stand.
    let offered =
        hex::decode(sealed).ok().and_then(|offered| app.sealing.open_sealed(&offered_to(user_id), &offered).ok());
    let Some(secret) = offered else { return Ok(None) };
    let Some(step) = totp_of(&secret, user_name)?.check(code.trim(), now_seconds()) else { return Ok(None) };
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code()).collect();
    let hashes: Vec<String> = codes.iter().map(|code| hash_hex(&plain(code))).collect();
    let stored = app.sealing.seal(&set_for(user_id), &secret)?;
    let step = i64::try_from(step).unwrap_or(i64::MAX);
    app.accounts.set_totp(user_id, Some(&stored), step, &serde_json::json!(hashes).to_string()).await?;
    Ok(Some(codes))
}

/// Whether `code` is the user's present one, or one of their recovery codes. Each is taken once.
///
/// # Errors
/// [`AccountsError`].
pub async fn verify(app: &App, user: &UserSecrets, code: &str) -> Result<bool, AccountsError> {
    let Some(sealed) = &user.totp_secret else { return Ok(true) };
    let secret = app.sealing.open_sealed(&set_for(user.id), sealed)?;
    if let Some(step) = totp_of(&secret, &user.name)?.check(code.trim(), now_seconds()) {
        return app.accounts.take_step(user.id, i64::try_from(step).unwrap_or(i64::MAX)).await;
    }
    take_recovery_code(app, user, code).await
}

async fn take_recovery_code(app: &App, user: &UserSecrets, code: &str) -> Result<bool, AccountsError> {
    let hashes: Vec<String> = serde_json::from_str(&user.recovery_codes)
        .map_err(|_| AccountsError::Unreadable { what: "list of recovery codes", value: "(hidden)".to_owned() })?;
    let wanted = hash_hex(&plain(code));
    let (found, left): (Vec<_>, Vec<_>) = hashes.into_iter().partition(|hash| equal(hash, &wanted));
    if found.is_empty() {
        return Ok(false);
    }
    app.accounts.swap_codes(user.id, &user.recovery_codes, &serde_json::json!(left).to_string()).await
}

fn totp_of(secret: &[u8], user_name: &str) -> Result<Totp, AccountsError> {
    Builder::new()
        .with_secret(secret.to_vec())
        .with_account_name(user_name.replace(':', "_"))
        .with_issuer(Some(ISSUER))
        .build()
        .map_err(|error| AccountsError::Invalid { message: error.to_string() })
}

fn offered_to(user_id: i64) -> String {
    format!("totp offered to user {user_id}")
}

fn set_for(user_id: i64) -> String {
    format!("totp of user {user_id}")
}

fn recovery_code() -> String {
    let letters: String = Secret::new("").expose().to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let code: String = letters.chars().take(RECOVERY_CHARACTERS).collect();
    let (left, right) = code.split_at(code.len() / 2);
    format!("{left}-{right}")
}

/// As people type them back: any case, with or without dash and spaces.
fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

fn now_seconds() -> u64 {
    u64::try_from(crate::clock::now_ns() / 1_000_000_000).unwrap_or_default()
}

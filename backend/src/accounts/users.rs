//! Users: who can log in.

use super::{Accounts, AccountsError, names};
use crate::clock::now_ns;

/// A user as others may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// `users.id`.
    pub id: i64,
    /// Their name.
    pub name: String,
    /// May do everything on this instance.
    pub is_administrator: bool,
    /// Logs in with a second factor.
    pub has_totp: bool,
    /// `en` or `zh-CN`.
    pub language: String,
    /// `system`, `light` or `dark`.
    pub theme: String,
    /// Nanoseconds since 1970.
    pub created_at: i64,
    /// Nanoseconds since 1970; such a user cannot log in and has no working tokens.
    pub disabled_at: Option<i64>,
}

/// A user to be.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    /// Their name.
    pub name: &'a str,
    /// PHC string of the password, from [`crate::auth::Passwords::hash`].
    pub password_hash: &'a str,
    /// May do everything on this instance.
    pub is_administrator: bool,
}

/// What a login is checked against.
#[derive(Clone)]
pub struct UserSecrets {
    /// `users.id`.
    pub id: i64,
    /// Their name.
    pub name: String,
    /// argon2id, PHC string.
    pub password_hash: String,
    /// Sealed; `None`: no second factor.
    pub totp_secret: Option<Vec<u8>>,
    /// Last accepted time step.
    pub totp_last_step: i64,
    /// JSON list of hashed recovery codes.
    pub recovery_codes: String,
}

impl std::fmt::Debug for UserSecrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("UserSecrets").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Accounts {
    /// Makes a user; answers their id.
    ///
    /// # Errors
    /// [`AccountsError::BadName`], [`AccountsError::Taken`].
    pub async fn create_user(&self, user: NewUser<'_>) -> Result<i64, AccountsError> {
        names::check("user", user.name)?;
        self.insert_user(user.name, user.password_hash, user.is_administrator, now_ns())
            .await
            .map_err(|source| AccountsError::taken("user", user.name, source))
    }

    /// Users with an id above `after`, at most `most`, by id.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn users(&self, after: i64, most: u32) -> Result<Vec<UserInfo>, AccountsError> {
        Ok(self.select_users(after, i64::from(most)).await?)
    }

    /// One user.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn user(&self, id: i64) -> Result<UserInfo, AccountsError> {
        self.select_user(id).await?.ok_or_else(|| not_found(&id.to_string()))
    }

    /// The user of that name, whatever its case.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn user_named(&self, name: &str) -> Result<UserInfo, AccountsError> {
        self.select_user_named(name).await?.ok_or_else(|| not_found(name))
    }

    /// What a login of `name` is checked against; `None`: no such user, or disabled.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn secrets_of(&self, name: &str) -> Result<Option<UserSecrets>, AccountsError> {
        Ok(self.select_secrets(name).await?)
    }

    /// Replaces a password and ends all sessions.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn set_password(&self, id: i64, password_hash: &str) -> Result<(), AccountsError> {
        if self.update_password(id, password_hash).await? == 0 {
            return Err(not_found(&id.to_string()));
        }
        Ok(self.delete_sessions_of(id).await?)
    }

    /// Sets (or, with `None`, takes away) the second factor.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`].
    pub async fn set_totp(
        &self,
        id: i64,
        sealed: Option<&[u8]>,
        step: i64,
        recovery_codes: &str,
    ) -> Result<(), AccountsError> {
        match self.update_totp(id, sealed, step, recovery_codes).await? {
            0 => Err(not_found(&id.to_string())),
            _ => Ok(()),
        }
    }

    /// Takes a time step, so that no code is accepted twice; false: it was taken before.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn take_step(&self, id: i64, step: i64) -> Result<bool, AccountsError> {
        Ok(self.take_totp_step(id, step).await?)
    }

    /// Replaces the recovery codes if nobody else did meanwhile.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn swap_codes(&self, id: i64, old: &str, new: &str) -> Result<bool, AccountsError> {
        Ok(self.swap_recovery_codes(id, old, new).await?)
    }

    /// Makes or unmakes an administrator, disables or enables; `None` leaves as it is.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`], [`AccountsError::LastAdministrator`].
    pub async fn change_user(
        &self,
        id: i64,
        is_administrator: Option<bool>,
        disabled: Option<bool>,
    ) -> Result<(), AccountsError> {
        let user = self.user(id).await?;
        let disabled_at = disabled.map(|disabled| disabled.then(now_ns));
        if !self.update_user(id, is_administrator, disabled_at).await? {
            return Err(AccountsError::LastAdministrator { user: user.name });
        }
        if disabled == Some(true) {
            self.delete_sessions_of(id).await?;
        }
        Ok(())
    }

    /// Remembers language and theme.
    ///
    /// # Errors
    /// [`AccountsError::Invalid`], [`AccountsError::NotFound`].
    pub async fn set_preferences(&self, id: i64, language: &str, theme: &str) -> Result<(), AccountsError> {
        if !matches!(language, "en" | "zh-CN") {
            return Err(AccountsError::Invalid {
                message: format!("language is {language:?}, but must be en or zh-CN"),
            });
        }
        if !matches!(theme, "system" | "light" | "dark") {
            return Err(AccountsError::Invalid {
                message: format!("theme is {theme:?}, but must be system, light or dark"),
            });
        }
        match self.update_preferences(id, language, theme).await? {
            0 => Err(not_found(&id.to_string())),
            _ => Ok(()),
        }
    }

    /// Removes a user with memberships, tokens and sessions.
    ///
    /// # Errors
    /// [`AccountsError::NotFound`], [`AccountsError::LastAdministrator`].
    pub async fn remove_user(&self, id: i64) -> Result<(), AccountsError> {
        let user = self.user(id).await?;
        if self.delete_user(id).await? { Ok(()) } else { Err(AccountsError::LastAdministrator { user: user.name }) }
    }

    /// Whether somebody administers this instance already.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn has_administrator(&self) -> Result<bool, AccountsError> {
        Ok(self.count_administrators().await? > 0)
    }
}

fn not_found(name: &str) -> AccountsError {
    AccountsError::NotFound { noun: "user", name: name.to_owned() }
}

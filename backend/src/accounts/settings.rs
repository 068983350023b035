//! Small values of the instance.

use super::{Accounts, AccountsError};

impl Accounts {
    /// The value of `name`.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn setting(&self, name: &str) -> Result<Option<String>, AccountsError> {
        Ok(self.select_setting(name).await?)
    }

    /// Sets the value of `name`.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), AccountsError> {
        Ok(self.upsert_setting(name, value).await?)
    }

    /// Takes `name` away if its value is `value`; false: it is another or gone, so that of two callers one wins.
    ///
    /// # Errors
    /// [`AccountsError::Store`].
    pub async fn take_setting(&self, name: &str, value: &str) -> Result<bool, AccountsError> {
        Ok(self.delete_setting(name, value).await? == 1)
    }
}

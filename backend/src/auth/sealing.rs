//! Values that the database must not show: sealed with XChaCha20-Poly1305 under a key that lies beside it, not in it.
//!
//! Format: one byte of version (1), 24 bytes of nonce, the sealed bytes with their tag. The name of the owner is bound
//! in, so that a sealed value moved to another row cannot be opened there.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::accounts::AccountsError;

/// The key's file in the data root: 32 bytes, mode 0600.
const FILE: &str = "sealing.key";
const VERSION: u8 = 1;
const NONCE: usize = 24;
const KEY: usize = 32;

/// Seals and opens.
#[derive(Clone)]
pub struct SealingKey {
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SealingKey(…)")
    }
}

impl SealingKey {
    /// Reads the key of `data_root`, or makes it.
    ///
    /// # Errors
    /// [`AccountsError::File`], [`AccountsError::Sealed`] for a file that is no key.
    pub fn open(data_root: &Path) -> Result<Self, AccountsError> {
        let path = data_root.join(FILE);
        let failed = |source| AccountsError::File { path: path.clone(), source };
        let bytes = match read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(data_root, &path).map_err(failed)?,
            read => read.map_err(failed)?,
        };
        let key =
            Key::try_from(bytes.as_slice()).map_err(|_| AccountsError::Sealed { owner: path.display().to_string() })?;
        Ok(Self { cipher: XChaCha20Poly1305::new(&key) })
    }

    /// Seals `value` for `owner`.
    ///
    /// # Errors
    /// [`AccountsError::Sealed`].
    pub fn seal(&self, owner: &str, value: &[u8]) -> Result<Vec<u8>, AccountsError> {
        let mut nonce = [0_u8; NONCE];
        super::secret::fill(&mut nonce);
        let payload = Payload { msg: value, aad: owner.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| AccountsError::Sealed { owner: owner.to_owned() })?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for `owner`.
    ///
    /// # Errors
    /// [`AccountsError::Sealed`].
    pub fn open_sealed(&self, owner: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, AccountsError> {
        let wrong = || AccountsError::Sealed { owner: owner.to_owned() };
        let rest = sealed.strip_prefix(&[VERSION]).ok_or_else(wrong)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or_else(wrong)?;
        let payload = Payload { msg: sealed, aad: owner.as_bytes() };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| wrong())
    }
}

fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY));
    std::fs::File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whole or not there: written beside, synced, then linked into place; a key that another process made first wins.
fn make(data_root: &Path, path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(vec![0_u8; KEY]);
    super::secret::fill(&mut key);
    let beside = data_root.join(format!("{FILE}.{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(&key).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&beside, path));
    std::fs::remove_file(&beside)?;
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return read(path),
        linked => linked?,
    }
    std::fs::File::open(data_root)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_same_key_and_the_same_owner_open_what_was_sealed() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = SealingKey::open(one.path()).unwrap();
        let sealed = key.seal("totp 1", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));

        let again = SealingKey::open(one.path()).unwrap();
        assert_eq!(again.open_sealed("totp 1", &sealed).unwrap().as_slice(), b"secret");
        assert!(again.open_sealed("totp 2", &sealed).is_err());
        assert!(SealingKey::open(other.path()).unwrap().open_sealed("totp 1", &sealed).is_err());
        assert!(again.open_sealed("totp 1", &sealed[..20]).is_err());
        assert!(again.open_sealed("totp 1", &[]).is_err());
    }

    #[test]
    fn the_key_is_for_its_owner_only_and_nothing_is_left_beside_it() {
        let root = tempfile::tempdir().unwrap();
        SealingKey::open(root.path()).unwrap();
        let mode = std::fs::metadata(root.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }
}

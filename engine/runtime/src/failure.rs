//! Turns an error of the kernel into a [`Refusal`]: what was done, to what, and the kernel's word for it.

use std::io;

use crate::wire::{Refusal, RefusalKind};

/// A refusal of `kind` with a sentence.
pub fn refusal(kind: RefusalKind, message: impl Into<String>) -> Refusal {
    Refusal { kind, message: message.into() }
}

/// Adds what was tried to an error of the kernel.
pub trait Doing<T> {
    /// `what` reads after "cannot": `open the root`. Lack of space, memory or descriptors is told apart.
    ///
    /// # Errors
    /// The refusal, when there was an error.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Refusal>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, Refusal> {
        self.map_err(|error| refused_by(error.into(), what))
    }
}

/// The refusal that [`Doing`] makes of an error.
pub fn refused_by(error: io::Error, what: impl FnOnce() -> String) -> Refusal {
    refusal(kind_of(&error), format!("cannot {}: {error}", what()))
}

fn kind_of(error: &io::Error) -> RefusalKind {
    match error.raw_os_error() {
        Some(
            libc::ENOSPC | libc::ENOMEM | libc::EMFILE | libc::ENFILE | libc::EDQUOT | libc::EAGAIN | libc::EUSERS,
        ) => RefusalKind::Exhausted,
        Some(libc::ENOSYS | libc::EOPNOTSUPP) => RefusalKind::Unsupported,
        _ => RefusalKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::Doing;
    use crate::wire::RefusalKind;

    #[test]
    fn a_full_disk_is_told_apart_from_a_fault_of_ours() {
        let full: Result<(), _> = Err(std::io::Error::from_raw_os_error(libc::ENOSPC));
        let refusal = full.doing(|| "write the file".to_owned()).unwrap_err();

        assert_eq!(refusal.kind, RefusalKind::Exhausted);
        assert!(refusal.message.starts_with("cannot write the file: "));
    }
}

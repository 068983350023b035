//! Errors as a person reads them.

/// An error and its causes in one line; what the last word of it says already is not said again.
pub fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = cause.source();
    }
    line
}

/// How the kernel (ENOSPC, EDQUOT) and SQLite say that there is no room on the disk.
const FULL: [&str; 3] = ["(os error 28)", "(os error 122)", "database or disk is full"];

/// Whether an error, of ours or told by another process, comes of a full disk.
pub fn disk_is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let said = sentence(error);
    FULL.iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::disk_is_full;

    #[test]
    fn a_full_disk_is_known_by_the_words_of_kernel_and_database() {
        for code in [libc::ENOSPC, libc::EDQUOT] {
            assert!(disk_is_full(&std::io::Error::from_raw_os_error(code)));
        }
        assert!(!disk_is_full(&std::io::Error::from_raw_os_error(libc::ENOMEM)));
    }
}

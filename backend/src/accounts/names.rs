//! Names of users, teams and tokens.

use super::AccountsError;

/// Checks a name: it stands in addresses, file names and terminals.
pub(super) fn check(noun: &'static str, name: &str) -> Result<(), AccountsError> {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_alphanumeric());
    let goes_on = characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@'));
    if begins && goes_on && name.len() <= 63 {
        Ok(())
    } else {
        Err(AccountsError::BadName { noun, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_plain_and_begins_with_a_letter_or_digit() {
        for good in ["a", "A.b-c_d", "amber@example.org", &"x".repeat(63)] {
            assert!(check("user", good).is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "a\n", "é", "a\u{202e}b", &"x".repeat(64)] {
            assert!(check("user", bad).is_err(), "{bad:?}");
        }
    }
}

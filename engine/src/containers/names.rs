//! Names of containers: checked, or made up.

use rand::seq::IndexedRandom;

use super::ContainerError;

/// Longest name.
const BYTES: usize = 128;

const MOODS: [&str; 64] = [
    "agile", "amber", "ample", "azure", "balmy", "bold", "brave", "bright", "brisk", "calm", "candid", "clear",
    "coral", "crisp", "deft", "eager", "early", "fair", "fleet", "fond", "frank", "fresh", "gentle", "glad", "golden",
    "grand", "hardy", "hazel", "honest", "humble", "jade", "jolly", "keen", "kind", "light", "lively", "loyal",
    "lucid", "lunar", "merry", "mild", "misty", "neat", "nimble", "noble", "pearl", "placid", "prime", "proud",
    "quick", "quiet", "ready", "rosy", "serene", "sharp", "silver", "smooth", "snug", "spry", "stout", "sunny",
    "swift", "tidy", "vivid",
];

/// People who built boats, charted waters, or made messages travel.
const PEOPLE: [&str; 64] = [
    "amundsen",
    "baltzar",
    "banks",
    "barton",
    "battuta",
    "beaufort",
    "bering",
    "bligh",
    "bowditch",
    "brunel",
    "cabot",
    "chapman",
    "chartier",
    "coleman",
    "cook",
    "cousteau",
    "darwin",
    "dias",
    "drake",
    "earle",
    "ericson",
    "faxian",
    "fitzroy",
    "flinders",
    "foyn",
    "franklin",
    "froude",
    "gama",
    "griffiths",
    "halley",
    "harrison",
    "heyerdahl",
    "hudson",
    "humboldt",
    "kelvin",
    "laperouse",
    "lapworth",
    "magellan",
    "marconi",
    "marin",
    "maury",
    "mercator",
    "minard",
    "nansen",
    "napier",
    "nelson",
    "norwood",
    "pytheas",
    "ross",
    "samudio",
    "scoresby",
    "shackleton",
    "slocum",
    "stephens",
    "tasman",
    "tharp",
    "tupaia",
    "vancouver",
    "vespucci",
    "wallis",
    "watts",
    "xuande",
    "zhanghe",
    "zhenghe",
];

/// `mood_person`; with digits behind it once the plain ones are taken.
pub(super) fn made_up(is_taken: impl Fn(&str) -> bool) -> String {
    let mut rng = rand::rng();
    for attempt in 0_u32.. {
        let mood = MOODS.choose(&mut rng).copied().unwrap_or("calm");
        let person = PEOPLE.choose(&mut rng).copied().unwrap_or("cook");
        let name = match attempt {
            0..8 => format!("{mood}_{person}"),
            _ => format!("{mood}_{person}{}", rand::random_range(0..10_u32.saturating_pow(attempt.min(16) / 8 + 1))),
        };
        if !is_taken(&name) {
            return name;
        }
    }
    unreachable!("the loop has no end")
}

/// A typed name without its leading slash. Spec: Docker's `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, and a bound.
pub(super) fn check(name: &str) -> Result<&str, ContainerError> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let mut letters = bare.bytes();
    let starts = letters.next().is_some_and(|letter| letter.is_ascii_alphanumeric());
    let goes_on = letters.all(|letter| letter.is_ascii_alphanumeric() || b"_.-".contains(&letter));
    if starts && goes_on && (2..=BYTES).contains(&bare.len()) {
        return Ok(bare);
    }
    Err(ContainerError::Invalid {
        message: format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 2 to {BYTES} of them"
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{check, made_up};

    #[test]
    fn made_up_names_are_right_and_do_not_run_out() {
        let mut taken = HashSet::new();
        for _ in 0..6_000 {
            let name = made_up(|name| taken.contains(name));
            assert_eq!(check(&name).expect("a right name"), name);
            assert!(taken.insert(name));
        }
    }

    #[test]
    fn typed_names_are_checked() {
        assert_eq!(check("/web-1.a_b").expect("right"), "web-1.a_b");
        for wrong in ["", "a", "-a", ".a", "a b", "a/b", "//ab", "ä1", &"a".repeat(129)] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}

//! Names of repositories and tags, as the distribution-spec has them.

use std::fmt;
use std::str::FromStr;

use super::RegistryError;
use crate::reference;

/// Most bytes of a repository's name with its team: clients allow 255 for it and the registry's host together.
const WHOLE_MAX: usize = 200;

/// `team/name`; the name may have further slashes. Spec: distribution-spec, "Pulling manifests".
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName {
    whole: String,
    /// Where the first slash is.
    slash: usize,
}

impl RepositoryName {
    /// The team's part, in lower case.
    pub fn team(&self) -> &str {
        &self.whole[..self.slash]
    }

    /// What is behind the team and its slash.
    pub fn name(&self) -> &str {
        &self.whole[self.slash + 1..]
    }

    /// Both.
    pub fn whole(&self) -> &str {
        &self.whole
    }
}

impl FromStr for RepositoryName {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let refused = |reason| RegistryError::BadName { name: text.chars().take(WHOLE_MAX).collect(), reason };
        if text.len() > WHOLE_MAX {
            return Err(refused("team and name have at most 200 characters"));
        }
        if !text.split('/').all(reference::is_path_component) {
            return Err(refused(
                "each part is lower-case letters and digits, with single dots, dashes or underscores between them",
            ));
        }
        let slash = text.find('/').ok_or_else(|| refused("a repository is named TEAM/NAME"))?;
        Ok(Self { whole: text.to_owned(), slash })
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.whole)
    }
}

/// A tag: 1 to 128 letters, digits, dots, dashes and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        match reference::is_tag(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(RegistryError::BadTag { tag: text.chars().take(128).collect() }),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_a_team_and_a_name_that_may_have_slashes() {
        let name: RepositoryName = "blue/apps/web".parse().unwrap();
        assert_eq!((name.team(), name.name(), name.whole()), ("blue", "apps/web", "blue/apps/web"));
        for bad in ["blue", "", "/a", "blue/", "Blue/web", "blue//web", "blue/../x", "blue/-a", "a/b:c", "a/b@c"] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad:?}");
        }
        assert!(format!("blue/{}", "a".repeat(195)).parse::<RepositoryName>().is_ok());
        assert!(format!("blue/{}", "a".repeat(196)).parse::<RepositoryName>().is_err());
    }

    #[test]
    fn a_tag_is_short_and_plain() {
        for good in ["1", "v1.2-rc_3", "_x", &"a".repeat(128)] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "a:b", "a/b", "é", &"a".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
        }
    }
}

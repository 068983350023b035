//! Names of images as people type them.

mod grammar;

use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::Reference;

use crate::digest::Digest;

/// A checked image reference, always whole: `docker.io/library/nginx:1.29`, with a tag or a digest (or both).
///
/// Parsing normalises as Docker does: no registry means `docker.io`, no namespace there means `library`, neither tag
/// nor digest means `:latest`. Source: github.com/distribution/reference, normalize.go.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImageReference(Reference);

/// Why a text is no [`ImageReference`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference format: {text:?}: {reason}")]
pub struct ReferenceError {
    /// What was given, cut to 300 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Whether a text is one part of a repository's name. Spec: OCI distribution-spec, `<name>`.
pub(crate) fn is_path_component(text: &str) -> bool {
    grammar::is_path_component(text)
}

/// Whether a text is a tag. Spec: OCI distribution-spec, `<tag-or-digest>` as a tag.
pub(crate) fn is_tag(text: &str) -> bool {
    grammar::is_tag(text)
}

/// The most characters a reference can have: host, repository of 255, tag of 128, digest.
const LENGTH_MAX: usize = 800;

impl ImageReference {
    /// `docker.io`, `registry.example:5000`, …
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// `library/nginx`.
    pub fn repository(&self) -> &str {
        self.0.repository()
    }

    /// `1.29`, or none when only a digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.0.tag()
    }

    /// The digest after `@`.
    pub fn digest(&self) -> Option<Digest> {
        self.0.digest().and_then(|digest| digest.parse().ok())
    }

    /// Registry and repository as Docker shows them: `nginx`, `someone/thing`, `registry.example:5000/thing`.
    pub fn familiar_name(&self) -> String {
        match (self.registry(), self.repository()) {
            ("docker.io", repository) => {
                repository.strip_prefix("library/").filter(|rest| !rest.contains('/')).unwrap_or(repository).to_owned()
            }
            (registry, repository) => format!("{registry}/{repository}"),
        }
    }

    /// The whole reference as Docker shows it: `nginx:1.29`.
    pub fn familiar(&self) -> String {
        let mut text = self.familiar_name();
        if let Some(tag) = self.tag() {
            text = format!("{text}:{tag}");
        }
        match self.0.digest() {
            Some(digest) => format!("{text}@{digest}"),
            None => text,
        }
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refuse =
            |reason: &str| ReferenceError { text: text.chars().take(300).collect(), reason: reason.to_owned() };
        if text.len() > LENGTH_MAX {
            return Err(refuse("it is too long"));
        }
        if Digest::from_hex(text).is_some() {
            return Err(refuse("64 hexadecimal digits are an id and cannot be a name"));
        }
        grammar::read(text).map(Self).map_err(refuse)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl fmt::Debug for ImageReference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_made_whole_and_shown_short_as_docker_does() {
        for (typed, whole, shown) in [
            ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("nginx:1.29", "docker.io/library/nginx:1.29", "nginx:1.29"),
            ("someone/thing", "docker.io/someone/thing:latest", "someone/thing:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("localhost:5000/a/b/c:x", "localhost:5000/a/b/c:x", "localhost:5000/a/b/c:x"),
            ("ghcr.io/a/b", "ghcr.io/a/b:latest", "ghcr.io/a/b:latest"),
        ] {
            let reference = typed.parse::<ImageReference>().unwrap();
            assert_eq!((reference.to_string(), reference.familiar()), (whole.to_owned(), shown.to_owned()));
        }
        let digest = Digest::of(b"").to_string();
        let reference = format!("nginx@{digest}").parse::<ImageReference>().unwrap();
        assert_eq!(reference.to_string(), format!("docker.io/library/nginx@{digest}"));
        assert_eq!((reference.tag(), reference.digest()), (None, Some(Digest::of(b""))));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in [
            "",
            "UPPER",
            "../../../evil:latest",
            "a//b",
            "/a",
            "a:",
            "a b",
            "a@sha256:12",
            "-a",
            "a:ta/g",
            &"f".repeat(64),
            "nginx\n",
            "żółć",
        ] {
            assert!(bad.parse::<ImageReference>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn both_written_forms_read_back_as_the_same(
            host in prop::option::of("[a-z]{1,8}(\\.[a-z]{2,4}|:[0-9]{2,4})"),
            path in "[a-z0-9]{1,9}([._-][a-z0-9]{1,4})?(/[a-z0-9]{1,9}){0,3}",
            tag in prop::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
        ) {
            let typed = format!("{}{path}{}", host.map(|host| host + "/").unwrap_or_default(), tag.map(|tag| format!(":{tag}")).unwrap_or_default());
            let reference = typed.parse::<ImageReference>().unwrap();
            prop_assert_eq!(&reference.to_string().parse::<ImageReference>().unwrap(), &reference);
            prop_assert_eq!(&reference.familiar().parse::<ImageReference>().unwrap(), &reference);
        }

        #[test]
        fn any_text_is_answered_without_panic(text: String) {
            let _ = text.parse::<ImageReference>();
        }
    }
}

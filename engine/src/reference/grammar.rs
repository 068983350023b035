//! The grammar of image names. Source: github.com/distribution/reference, regexp.go and normalize.go.
//!
//! oci-spec reads the same grammar by a regular expression whose tables stay in memory once it was used: 7.5 MiB, a
//! quarter of what the whole server may take. The tests ask it whether both read alike.

use oci_spec::distribution::Reference;

use crate::digest::Digest;

const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";
const REPOSITORY_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// Reads a whole reference; what is wrong with it otherwise.
pub(super) fn read(text: &str) -> Result<Reference, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    if digest.is_some_and(|digest| digest.parse::<Digest>().is_err()) {
        return Err("only sha256 digests, of 64 digits in lower case, are known");
    }
    // A colon before the last slash is a port's.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(
            "a tag is 1 to 128 letters, digits, dots, dashes and underscores, and begins with none of dot and dash",
        );
    }
    let (registry, repository) = split(name)?;
    if repository.len() > REPOSITORY_MAX {
        return Err("the repository is longer than 255 characters");
    }
    let owned = str::to_owned;
    Ok(match (tag, digest) {
        (Some(tag), Some(digest)) => Reference::with_tag_and_digest(registry, repository, owned(tag), owned(digest)),
        (None, Some(digest)) => Reference::with_digest(registry, repository, owned(digest)),
        (tag, None) => Reference::with_tag(registry, repository, owned(tag.unwrap_or(DEFAULT_TAG))),
    })
}

/// Registry and repository, made whole.
fn split(name: &str) -> Result<(String, String), &'static str> {
    let (registry, path) = match name.split_once('/') {
        Some((host, path)) if is_host_like(host) => (host, path),
        _ => (DEFAULT_REGISTRY, name),
    };
    if !is_host(registry) {
        return Err("its registry is no host name");
    }
    if path.is_empty() {
        return Err("it has no name");
    }
    if !path.split('/').all(is_path_component) {
        return Err(
            "a repository is lower-case letters and digits, with single dots, dashes or underscores between them",
        );
    }
    let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
    if registry == DEFAULT_REGISTRY && !path.contains('/') {
        return Ok((registry.to_owned(), format!("{DEFAULT_NAMESPACE}/{path}")));
    }
    Ok((registry.to_owned(), path.to_owned()))
}

/// What makes the first part of a name a registry rather than a namespace.
fn is_host_like(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Components of letters, digits and inner dashes, or an IPv6 address in brackets; with a port or without.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_component = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let is_name = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'),
        None => host.split('.').all(is_component),
    };
    is_name && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Words of lower-case letters and digits, between them one dot, one or two underscores, or any number of dashes.
pub(super) fn is_path_component(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators =
        text.split(|letter: char| letter.is_ascii() && is_inner(letter as u8)).filter(|part| !part.is_empty());
    let ends = |byte: Option<&u8>| byte.copied().is_some_and(is_inner);
    let is_separator = |part: &str| matches!(part, "." | "_" | "__") || part.bytes().all(|byte| byte == b'-');
    ends(text.as_bytes().first()) && ends(text.as_bytes().last()) && separators.into_iter().all(is_separator)
}

pub(super) fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= TAG_MAX
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// oci-spec also knows longer digests, which no layer of ours has, and takes registries that are no host names
    /// (`a.b_c/d`).
    fn theirs(text: &str) -> Option<String> {
        let reference = Reference::try_from(text).ok()?;
        let known = reference.digest().is_none_or(|digest| digest.parse::<Digest>().is_ok());
        (known && is_host(reference.registry())).then(|| reference.whole())
    }

    #[test]
    fn upper_case_and_brackets_make_a_host_as_docker_has_it() {
        // oci-spec knows neither: to it, `Host/a` is a repository of docker.io.
        assert_eq!(read("Host/a").unwrap().whole(), "Host/a:latest");
        assert_eq!(read("[::1]:5000/a").unwrap().whole(), "[::1]:5000/a:latest");
    }

    #[test]
    fn hosts_with_ports_are_read() {
        for (typed, whole) in [("a-b.c:1/d:e", "a-b.c:1/d:e"), ("a__b/c--d", "docker.io/a__b/c--d:latest")] {
            assert_eq!(read(typed).unwrap().whole(), whole);
            assert_eq!(theirs(typed).as_deref(), Some(whole));
        }
        for bad in ["a___b", "a..b", "a-.b", "h.:1/a", "-h.x/a", "h.x:/a", "[]:1/a", "h.x/", "a@b@c", "a:b:c"] {
            assert!(read(bad).is_err() && theirs(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn names_are_read_as_oci_spec_reads_them(text in "[ab0._:/@\\[\\]-]{0,14}|([a-z0-9.-]{1,9}(:[0-9]{0,3})?/)?[a-z0-9._-]{1,12}(/[a-z_]{0,3})?(:[A-Za-z0-9._-]{0,9})?(@sha256:[0-9a-f]{63,65})?") {
            prop_assert_eq!(read(&text).ok().map(|reference| reference.whole()), theirs(&text));
        }
    }
}

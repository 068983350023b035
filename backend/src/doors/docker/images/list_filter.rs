//! The filters of `docker image ls`.
//!
//! Source: moby `daemon/images/images.go`; docker documentation, "docker image ls", "Filtering".

use regex::Regex;
use sampan_engine::images::Image;
use sampan_engine::reference::ImageReference;

use super::view::created_seconds;
use crate::doors::docker::error::DockerError;
use crate::doors::docker::filters::Filters;
use crate::doors::docker::times;

/// Keys that dockerd knows.
pub const KEYS: &[&str] = &["before", "dangling", "label", "label!", "reference", "since", "until"];

/// Filters with their values read.
pub struct ListFilter {
    filters: Filters,
    dangling: Option<bool>,
    before: Option<i64>,
    since: Option<i64>,
    until: Option<i64>,
    patterns: Vec<Regex>,
}

impl ListFilter {
    /// Reads the values; `find` looks the images of `before` and `since` up.
    ///
    /// # Errors
    /// 400 for a value that cannot be read, 404 for an image that is not there.
    pub fn new<'a>(
        filters: Filters,
        find: impl Fn(&str) -> Result<&'a Image, DockerError>,
    ) -> Result<Self, DockerError> {
        let moment = |key: &str| -> Result<Option<i64>, DockerError> {
            filters.get(key).last().map(|name| find(name).map(created)).transpose()
        };
        let pattern = |text: &String| {
            let refused = format!("invalid filter 'reference={text}': syntax error in pattern");
            Regex::new(&expression(text)).map_err(|_| DockerError::invalid(refused))
        };
        Ok(Self {
            dangling: if filters.contains("dangling") { Some(filters.flag("dangling", false)?) } else { None },
            before: moment("before")?,
            since: moment("since")?,
            until: times::until(&filters)?,
            patterns: filters.get("reference").iter().map(pattern).collect::<Result<_, _>>()?,
            filters,
        })
    }

    /// Whether an image is wanted.
    pub fn wants(&self, image: &Image) -> bool {
        let labels = &image.configuration.config.labels;
        self.dangling.is_none_or(|dangling| image.tags.is_empty() == dangling)
            && self.before.is_none_or(|before| created(image) < before)
            && self.since.is_none_or(|since| created(image) > since)
            && self.until.is_none_or(|until| created(image) < until / 1_000_000_000)
            && self.filters.fits_labels(|name| labels.get(name).map(String::as_str))
            && self.fits_reference(image)
    }

    fn fits_reference(&self, image: &Image) -> bool {
        self.patterns.is_empty() || image.tags.iter().any(|tag| self.shows(tag))
    }

    /// Whether a reference of an image is shown: with a pattern only those that it fits, as dockerd does.
    pub fn shows(&self, tag: &ImageReference) -> bool {
        let fits = |name: &str| self.patterns.iter().any(|pattern| pattern.is_match(name));
        self.patterns.is_empty() || fits(&tag.familiar()) || fits(&tag.familiar_name())
    }
}

fn created(image: &Image) -> i64 {
    created_seconds(image.configuration.created.as_deref(), image.created_at)
}

/// A shell pattern as a regular expression: `*` and `?` stop at a slash, as in Go's `path.Match`.
fn expression(pattern: &str) -> String {
    let mut out = String::from("^");
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' | ']' | '-' | '^' => out.push(character),
            '\\' => out.push_str(&regex::escape(&characters.next().unwrap_or('\\').to_string())),
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out.push('$');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_the_shells_and_stop_at_slashes() {
        let fits = |pattern: &str, text: &str| Regex::new(&expression(pattern)).unwrap().is_match(text);
        assert!(fits("busy*", "busybox"));
        assert!(fits("busybox:1.?", "busybox:1.3"));
        assert!(fits("*/nginx", "someone/nginx"));
        assert!(!fits("*nginx", "someone/nginx"));
        assert!(fits("b[a-u]sybox", "busybox"));
        assert!(!fits("busybox", "busybox2"));
        assert!(!fits("b.sybox", "busybox"));
    }
}

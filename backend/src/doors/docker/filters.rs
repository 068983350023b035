//! The `filters` parameter of lists, prunes and events.
//!
//! Two forms are spoken: `{"status":{"running":true}}` and the legacy `{"status":["running"]}`.
//! Source: moby `api/types/filters`.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;

use super::error::DockerError;

/// Filters as typed: for each key the values, of which one must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

/// One key's values in either form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Map(BTreeMap<String, bool>),
    List(Vec<String>),
}

impl Filters {
    /// Reads the parameter; empty is "no filter". Keys outside `known` are refused.
    ///
    /// # Errors
    /// 400 when it is not JSON of one of the two forms, or a key is not known.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, DockerError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let typed: BTreeMap<String, Values> =
            serde_json::from_str(text).map_err(|_| DockerError::invalid("invalid filter"))?;
        let mut filters = BTreeMap::new();
        for (key, values) in typed {
            if !known.contains(&key.as_str()) {
                return Err(DockerError::invalid(format!("invalid filter '{key}'")));
            }
            let values: Vec<String> = match values {
                Values::Map(map) => map.into_keys().collect(),
                Values::List(list) => list,
            };
            filters.insert(key, values);
        }
        Ok(Self(filters))
    }

    /// The values of a key; none when it was not given.
    pub fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether the key was given with at least one value.
    pub fn contains(&self, key: &str) -> bool {
        !self.get(key).is_empty()
    }

    /// True when the key was not given, or one value equals `source`.
    pub fn is_one_of(&self, key: &str, source: &str) -> bool {
        !self.contains(key) || self.get(key).iter().any(|value| value == source)
    }

    /// True when the key was not given, or one value equals `source` or matches it as a regular expression.
    pub fn matches(&self, key: &str, source: &str) -> bool {
        !self.contains(key)
            || self
                .get(key)
                .iter()
                .any(|value| value == source || Regex::new(value).is_ok_and(|expression| expression.is_match(source)))
    }

    /// True when every value of the key (`name` or `name=value`) is among the labels.
    pub fn has_labels<'a>(&self, key: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.get(key).iter().all(|wanted| match wanted.split_once('=') {
            Some((name, value)) => label(name) == Some(value),
            None => label(wanted).is_some(),
        })
    }

    /// As [`Self::has_labels`] for `label`, and that no value of `label!` is among them.
    pub fn fits_labels<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let unwanted = self.get("label!").iter().any(|unwanted| match unwanted.split_once('=') {
            Some((name, value)) => label(name) == Some(value),
            None => label(unwanted).is_some(),
        });
        !unwanted && self.has_labels("label", label)
    }

    /// A yes or no (`true`, `1`, `false`, `0`), or `default` when the key was not given.
    ///
    /// # Errors
    /// 400 when it is neither, or both.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, DockerError> {
        match self.get(key) {
            [] => Ok(default),
            [value] if value == "true" || value == "1" => Ok(true),
            [value] if value == "false" || value == "0" => Ok(false),
            values => Err(DockerError::invalid(format!("invalid filter '{key}={}'", values.join(",")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["status", "label", "name", "dangling"];

    #[test]
    fn both_forms_say_the_same() {
        let map = Filters::parse(r#"{"status":{"exited":true,"running":true}}"#, KNOWN).unwrap();
        let list = Filters::parse(r#"{"status":["exited","running"]}"#, KNOWN).unwrap();
        assert_eq!(map, list);
        assert_eq!(Filters::parse("", KNOWN).unwrap(), Filters::default());
    }

    #[test]
    fn unknown_keys_and_other_shapes_are_refused() {
        assert_eq!(Filters::parse(r#"{"colour":["red"]}"#, KNOWN).unwrap_err().message, "invalid filter 'colour'");
        for text in ["[]", "x", r#"{"status":"running"}"#, r#"{"status":[1]}"#] {
            assert_eq!(Filters::parse(text, KNOWN).unwrap_err(), DockerError::invalid("invalid filter"), "{text}");
        }
    }

    #[test]
    fn names_match_whole_or_as_regular_expression() {
        let filters = Filters::parse(r#"{"name":["^web$","b+"]}"#, KNOWN).unwrap();
        assert!(filters.matches("name", "web"));
        assert!(filters.matches("name", "abba"));
        assert!(!filters.matches("name", "we"));
        let odd = Filters::parse(r#"{"name":["a("]}"#, KNOWN).unwrap();
        assert!(odd.matches("name", "a("));
        assert!(!odd.matches("name", "a"));
    }

    #[test]
    fn every_label_must_be_there() {
        let filters = Filters::parse(r#"{"label":["a=1","b"]}"#, KNOWN).unwrap();
        let labels = BTreeMap::from([("a", "1"), ("b", "2")]);
        assert!(filters.has_labels("label", |name| labels.get(name).copied()));
        let labels = BTreeMap::from([("a", "2"), ("b", "2")]);
        assert!(!filters.has_labels("label", |name| labels.get(name).copied()));
    }

    #[test]
    fn flags_are_read_and_checked() {
        assert!(Filters::parse(r#"{"dangling":["1"]}"#, KNOWN).unwrap().flag("dangling", false).unwrap());
        assert!(!Filters::parse(r#"{"dangling":{"false":true}}"#, KNOWN).unwrap().flag("dangling", true).unwrap());
        assert!(Filters::default().flag("dangling", true).unwrap());
        assert!(Filters::parse(r#"{"dangling":["maybe"]}"#, KNOWN).unwrap().flag("dangling", true).is_err());
    }
}

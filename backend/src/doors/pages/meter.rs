//! A figure beside its limit, and a labelled fact.

use crate::texts::Texts;

/// One bar: use against its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Meter {
    /// What is measured.
    pub label: String,
    /// The figure, with its unit.
    pub value: String,
    /// `of 512 MiB`, or that there is none.
    pub limit: String,
    /// 0 to 100; `None`: no limit, so no bar is filled.
    pub percent: Option<f64>,
}

impl Meter {
    /// `value` of `limit`, both as numbers of one unit and as words.
    pub fn new(t: Texts, label: &str, value: (f64, String), limit: Option<(f64, String)>) -> Self {
        let percent =
            limit.as_ref().filter(|(most, _)| *most > 0.0).map(|(most, _)| (value.0 / most * 100.0).clamp(0.0, 100.0));
        let limit = limit.map_or_else(|| t.get("no-limit"), |(_, words)| words);
        Self { label: label.to_owned(), value: value.1, limit, percent }
    }

    /// The bar as SVG with presentation attributes only, since the policy for content blocks style attributes.
    pub fn bar(&self) -> String {
        let percent = self.percent.unwrap_or(0.0);
        let tone = if percent >= 95.0 {
            " bad"
        } else if percent >= 85.0 {
            " warn"
        } else {
            ""
        };
        drawn(percent, tone)
    }
}

/// How far something is that is to reach its end.
pub fn bar(percent: f64) -> String {
    drawn(percent.clamp(0.0, 100.0), "")
}

fn drawn(percent: f64, tone: &str) -> String {
    format!(
        r#"<svg class="bar" height="6" role="img" aria-label="{percent:.0}%"><rect class="ground" width="100%" height="6" rx="3"/><rect class="used{tone}" width="{percent:.1}%" height="6" rx="3"/></svg>"#
    )
}

/// A labelled value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub label: String,
    /// The value.
    pub value: String,
    /// Something that a person could type or copy.
    pub mono: bool,
}

impl Fact {
    /// Plain words.
    pub fn words(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), mono: false }
    }

    /// Something to type or copy.
    pub fn mono(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), mono: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Language;

    #[test]
    fn a_bar_warns_near_its_limit_and_stays_empty_without_one() {
        let t = Texts::of(Language::English);
        let of = |value: f64| Meter::new(t, "x", (value, String::new()), Some((100.0, String::new()))).bar();
        assert!(of(84.0).contains(r#"class="used""#));
        assert!(of(85.0).contains("used warn"));
        assert!(of(250.0).contains("used bad") && of(250.0).contains(r#"width="100.0%""#));
        let free = Meter::new(t, "x", (5.0, String::new()), None);
        assert_eq!((free.percent, free.limit.as_str()), (None, "no limit"));
    }
}

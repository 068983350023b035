use std::borrow::Cow;
use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::{LanguageIdentifier, langid};

/// The catalogue of each language as it lies in the source tree.
pub(super) const ENGLISH: &str = include_str!("../../../web/texts/en.ftl");
pub(super) const CHINESE: &str = include_str!("../../../web/texts/zh-CN.ftl");

static ENGLISH_BUNDLE: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle(langid!("en"), ENGLISH));
static CHINESE_BUNDLE: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle(langid!("zh-CN"), CHINESE));

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// 简体中文.
    Chinese,
}

impl Language {
    /// The tag for the `lang` attribute, the cookie and the database.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// The language that a stored tag or a cookie names.
    pub fn from_tag(tag: &str) -> Option<Self> {
        match tag {
            "en" => Some(Self::English),
            "zh-CN" | "zh" => Some(Self::Chinese),
            _ => None,
        }
    }

    /// The first language of an `Accept-Language` header that there is a catalogue for, by the browser's order.
    pub fn negotiate(header: &str) -> Self {
        header
            .split(',')
            .map(|part| part.split(';').next().unwrap_or_default().trim())
            .find_map(|tag| match tag.split('-').next() {
                Some("zh") => Some(Self::Chinese),
                Some("en") => Some(Self::English),
                _ => None,
            })
            .unwrap_or_default()
    }
}

/// The texts of one language, as templates use them: `{{ t.get("containers-title") }}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Texts {
    language: Language,
}

impl Texts {
    /// The texts of `language`.
    pub fn of(language: Language) -> Self {
        Self { language }
    }

    /// The language itself.
    pub fn language(&self) -> Language {
        self.language
    }

    /// A sentence without values.
    pub fn get(&self, key: &str) -> String {
        self.format(key, None)
    }

    /// A sentence with one value named `value`.
    pub fn with(&self, key: &str, value: impl Into<FluentValue<'static>>) -> String {
        self.args(key, vec![("value", value.into())])
    }

    /// A sentence with two values named `value` and `other`.
    pub fn with2(
        &self,
        key: &str,
        value: impl Into<FluentValue<'static>>,
        other: impl Into<FluentValue<'static>>,
    ) -> String {
        self.args(key, vec![("value", value.into()), ("other", other.into())])
    }

    /// A sentence with any values.
    pub fn args(&self, key: &str, values: Vec<(&'static str, FluentValue<'static>)>) -> String {
        let args: FluentArgs<'_> = values.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        self.format(key, Some(&args))
    }

    fn format(&self, key: &str, args: Option<&FluentArgs<'_>>) -> String {
        let bundle = match self.language {
            Language::English => &*ENGLISH_BUNDLE,
            Language::Chinese => &*CHINESE_BUNDLE,
        };
        let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) else {
            tracing::error!(text.key = key, "a text is missing from the catalogue");
            return key.to_owned();
        };
        let mut errors = Vec::new();
        bundle.format_pattern(pattern, args, &mut errors).into_owned()
    }
}

fn bundle(language: LanguageIdentifier, source: &str) -> FluentBundle<FluentResource> {
    // A syntax error leaves out the message it stands in; the test of the catalogues fails on any.
    let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(resource, _)| resource);
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Marks around values are for text of mixed direction, which neither language has; they would end up in titles.
    bundle.set_use_isolating(false);
    bundle.add_resource_overriding(resource);
    bundle
}

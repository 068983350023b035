//! What containers of an image are started with, setting by setting.

use std::collections::{BTreeMap, BTreeSet};

use crate::images::ImageConfiguration;

/// What a setting is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SettingKind {
    /// `os/architecture[/variant]`.
    Platform,
    /// Put before the command.
    Entrypoint,
    /// Default command or arguments.
    Command,
    /// `user[:group]`.
    User,
    /// Where it starts.
    WorkingDirectory,
    /// A variable, by name.
    Environment,
    /// A port, `80/tcp`.
    ExposedPort,
    /// A path that becomes an anonymous volume.
    Volume,
    /// A label, by name.
    Label,
    /// Name or number.
    StopSignal,
    /// The probe.
    HealthCheck,
    /// For the shell form of commands.
    Shell,
}

/// One setting that differs. `None`: it is not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What it is about.
    pub kind: SettingKind,
    /// Which one, where there are several; else empty.
    pub name: String,
    /// Its value before.
    pub before: Option<String>,
    /// Its value after.
    pub after: Option<String>,
}

/// What differs, by kind and name.
pub(super) fn compare(before: &ImageConfiguration, after: &ImageConfiguration) -> Vec<Setting> {
    let (old, new) = (settings(before), settings(after));
    let keys: BTreeSet<&(SettingKind, String)> = old.keys().chain(new.keys()).collect();
    let differs = |key: &&(SettingKind, String)| old.get(*key) != new.get(*key);
    let setting = |key: &(SettingKind, String)| Setting {
        kind: key.0,
        name: key.1.clone(),
        before: old.get(key).cloned(),
        after: new.get(key).cloned(),
    };
    keys.into_iter().filter(differs).map(setting).collect()
}

fn settings(configuration: &ImageConfiguration) -> BTreeMap<(SettingKind, String), String> {
    use SettingKind as K;
    let config = &configuration.config;
    let words = |words: &Option<Vec<String>>| words.as_ref().map(|words| serde_json::json!(words).to_string());
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let single = [
        (K::Platform, Some(configuration.platform())),
        (K::Entrypoint, words(&config.entrypoint)),
        (K::Command, words(&config.cmd)),
        (K::User, given(&config.user)),
        (K::WorkingDirectory, given(&config.working_dir)),
        (K::StopSignal, given(&config.stop_signal)),
        (K::HealthCheck, config.healthcheck.as_ref().map(|check| serde_json::json!(check).to_string())),
        (K::Shell, words(&config.shell)),
    ];
    let variables = config.env.iter().map(|line| line.split_once('=').unwrap_or((line, "")));
    let several = variables
        .map(|(name, value)| (K::Environment, name, value.to_owned()))
        .chain(config.exposed_ports.keys().map(|name| (K::ExposedPort, name.as_str(), String::new())))
        .chain(config.volumes.keys().map(|name| (K::Volume, name.as_str(), String::new())))
        .chain(config.labels.iter().map(|(name, value)| (K::Label, name.as_str(), value.clone())));
    single
        .into_iter()
        .filter_map(|(kind, value)| value.map(|value| ((kind, String::new()), value)))
        .chain(several.map(|(kind, name, value)| ((kind, name.to_owned()), value)))
        .collect()
}

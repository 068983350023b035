//! Docker's `Config`: what a container is on any host.
//!
//! Spec: Docker Engine API, `ContainerConfig`. A field that dockerd leaves out when it is empty is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// As sent with `create` and given back by `inspect`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// Default: the short id.
    pub hostname: String,
    /// NIS domain name.
    pub domainname: String,
    /// `name|uid[:group|gid]`.
    pub user: String,
    /// The creating client attaches stdin.
    pub attach_stdin: bool,
    /// The creating client attaches stdout.
    pub attach_stdout: bool,
    /// The creating client attaches stderr.
    pub attach_stderr: bool,
    /// `80/tcp` → `{}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, Empty>>,
    /// A pseudo-terminal.
    pub tty: bool,
    /// Stdin stays open.
    pub open_stdin: bool,
    /// Stdin closes when the first client leaves.
    pub stdin_once: bool,
    /// `NAME=value`.
    pub env: Option<Vec<String>>,
    /// The command.
    pub cmd: Option<Words>,
    /// A probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Windows only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// As typed.
    pub image: String,
    /// Paths of anonymous volumes.
    pub volumes: Option<BTreeMap<String, Empty>>,
    /// Working directory.
    pub working_dir: String,
    /// The entry point.
    pub entrypoint: Option<Words>,
    /// No network at all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub network_disabled: bool,
    /// Deprecated place of the endpoint's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    /// Of the image, for builds.
    pub on_build: Option<Vec<String>>,
    /// Labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Name or number.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// For `CMD-SHELL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Words>,
}

/// A probe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", text]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// `{}`: the value of a map whose keys alone matter. Anything is read as it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Empty {}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

/// A command: a list of words, or one word given as a string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            One(String),
            Many(Vec<String>),
        }
        Ok(Self(match Either::deserialize(deserializer)? {
            Either::One(word) => vec![word],
            Either::Many(words) => words,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lists_or_one_word() {
        let config: Config = serde_json::from_str(r#"{"Cmd": "true", "Entrypoint": ["a", "b"]}"#).unwrap();
        assert_eq!(config.cmd, Some(Words(vec!["true".into()])));
        assert_eq!(config.entrypoint, Some(Words(vec!["a".into(), "b".into()])));
        assert!(serde_json::from_str::<Config>(r#"{"Cmd": 5}"#).is_err());
    }

    #[test]
    fn an_empty_config_is_written_as_dockerd_writes_it() {
        assert_eq!(
            serde_json::to_string(&Config::default()).unwrap(),
            concat!(
                r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"#,
                r#""AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"#,
                r#""Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}"#
            )
        );
    }
}

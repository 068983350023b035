//! The configuration that an image brings, as the engine needs it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::ImageError;
use crate::digest::Digest;

/// Most bytes of one configuration.
pub const CONFIG_BYTES: usize = 4 << 20;

/// An image's configuration: unknown fields are passed over, `null` means absent, wrong types are refused. The bytes
/// as they came are kept beside it, since their digest is the image's id. Spec: OCI image-spec, config.md, and the
/// fields that Docker adds (health check, shell, build triggers).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfiguration {
    /// `amd64`, `arm64`, …
    #[serde(deserialize_with = "or_default")]
    pub architecture: String,
    /// `v8`, … of the architecture.
    #[serde(deserialize_with = "or_default")]
    pub variant: String,
    /// `linux`.
    #[serde(deserialize_with = "or_default")]
    pub os: String,
    /// RFC 3339.
    pub created: Option<String>,
    /// Who made it.
    #[serde(deserialize_with = "or_default")]
    pub author: String,
    /// What a container of it runs.
    #[serde(deserialize_with = "or_default")]
    pub config: ProcessConfiguration,
    /// The layers.
    #[serde(deserialize_with = "or_default")]
    pub rootfs: RootFs,
    /// How the layers were made, bottom to top.
    #[serde(deserialize_with = "or_default")]
    pub history: Vec<HistoryEntry>,
}

/// What a container of the image runs, unless told otherwise. Names on the wire are Docker's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ProcessConfiguration {
    /// `user[:group]`, names or numbers.
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    /// `NAME=value`.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// Put before the command.
    pub entrypoint: Option<Vec<String>>,
    /// Default command or arguments.
    pub cmd: Option<Vec<String>>,
    /// Where it starts.
    #[serde(deserialize_with = "or_default")]
    pub working_dir: String,
    /// Labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// `80/tcp`.
    #[serde(deserialize_with = "or_default")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// Paths that become anonymous volumes.
    #[serde(deserialize_with = "or_default")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// Name or number.
    #[serde(deserialize_with = "or_default")]
    pub stop_signal: String,
    /// Seconds.
    pub stop_timeout: Option<i64>,
    /// The probe.
    pub healthcheck: Option<HealthCheck>,
    /// For the shell form of a Dockerfile's commands.
    pub shell: Option<Vec<String>>,
    /// Build triggers.
    pub on_build: Option<Vec<String>>,
}

/// How a container tells that it is well. Times are nanoseconds; 0 is Docker's default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthCheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`.
    #[serde(deserialize_with = "or_default")]
    pub test: Vec<String>,
    /// Between two probes.
    #[serde(deserialize_with = "or_default")]
    pub interval: i64,
    /// For one probe.
    #[serde(deserialize_with = "or_default")]
    pub timeout: i64,
    /// In which failures do not count.
    #[serde(deserialize_with = "or_default")]
    pub start_period: i64,
    /// Between probes of the start period.
    #[serde(deserialize_with = "or_default")]
    pub start_interval: i64,
    /// Failures in a row until it is unhealthy.
    #[serde(deserialize_with = "or_default")]
    pub retries: i64,
}

/// The layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// Digests of the uncompressed tars, bottom to top.
    #[serde(deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

/// One step of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// RFC 3339.
    pub created: Option<String>,
    /// The command.
    #[serde(deserialize_with = "or_default")]
    pub created_by: String,
    /// A remark.
    #[serde(deserialize_with = "or_default")]
    pub comment: String,
    /// Who.
    #[serde(deserialize_with = "or_default")]
    pub author: String,
    /// It made no layer.
    #[serde(deserialize_with = "or_default")]
    pub empty_layer: bool,
}

impl ImageConfiguration {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// [`ImageError::Configuration`] when it is too large, no JSON object, has a field of a wrong type, a diff id that
    /// is no digest, or layers of an unknown kind.
    pub fn parse(raw: &[u8]) -> Result<Self, ImageError> {
        let refuse = |reason: String| ImageError::Configuration { reason };
        if raw.len() > CONFIG_BYTES {
            return Err(refuse(format!("it has {} bytes, more than {CONFIG_BYTES}", raw.len())));
        }
        if raw.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(refuse("it is no JSON object".to_owned()));
        }
        let configuration: Self = serde_json::from_slice(raw).map_err(|error| refuse(error.to_string()))?;
        if configuration.rootfs.kind != "layers" {
            return Err(refuse(format!(
                "its root file system is of type {:?}, not \"layers\"",
                configuration.rootfs.kind
            )));
        }
        if configuration.rootfs.diff_ids.len() > super::LAYERS_MAX {
            return Err(refuse(format!(
                "it has {} layers, more than {}",
                configuration.rootfs.diff_ids.len(),
                super::LAYERS_MAX
            )));
        }
        Ok(configuration)
    }

    /// `linux/arm64/v8`.
    pub fn platform(&self) -> String {
        let variant = if self.variant.is_empty() { String::new() } else { format!("/{}", self.variant) };
        format!("{}/{}{variant}", self.os, self.architecture)
    }
}

/// `null` is as good as absent: Go writes it for every empty list and map.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_and_unknown_fields_are_passed_over() {
        let raw = br#"{"architecture":"amd64","os":"linux","docker_version":"28","config":{"Env":null,"Cmd":["sh"],"New":1,
            "Healthcheck":{"Test":["CMD","true"],"Interval":1000000000}},"rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let configuration = ImageConfiguration::parse(raw).unwrap();
        assert_eq!(configuration.config.cmd, Some(vec!["sh".to_owned()]));
        assert_eq!(configuration.config.env, Vec::<String>::new());
        assert_eq!(configuration.config.healthcheck.as_ref().unwrap().interval, 1_000_000_000);
        assert_eq!(configuration.platform(), "linux/amd64");
    }

    #[test]
    fn wrong_shapes_are_refused() {
        for raw in [
            "[]",
            "null",
            "",
            "{",
            r#"{"rootfs":{"type":"layers"},"config":{"Env":1}}"#,
            r#"{"rootfs":{"type":"layers"},"config":{"Cmd":{"sh":1}}}"#,
            r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../../etc"]}}"#,
            r#"{"rootfs":{"type":"windows"}}"#,
        ] {
            assert!(
                matches!(ImageConfiguration::parse(raw.as_bytes()), Err(ImageError::Configuration { .. })),
                "{raw}"
            );
        }
        let huge = format!(r#"{{"rootfs":{{"type":"layers"}},"author":"{}"}}"#, "a".repeat(CONFIG_BYTES));
        assert!(ImageConfiguration::parse(huge.as_bytes()).is_err());
    }
}

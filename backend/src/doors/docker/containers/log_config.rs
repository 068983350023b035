//! Docker's log options, read into bounds of our log.
//!
//! Both of Docker's file drivers mean "keep it on this host and rotate", which is what our log does; with `none` it keeps
//! nothing; drivers that send logs elsewhere are refused. Source: docker documentation, "JSON File logging driver", "Local file logging driver".

use sampan_engine::containers::config::LogLimits;

use super::host_config::LogConfig;
use crate::doors::docker::error::DockerError;

/// The bounds; `None` when nothing was asked for.
///
/// # Errors
/// 400 for what cannot be read, 501 naming what is not there.
pub fn read_log(log: &LogConfig) -> Result<Option<LogLimits>, DockerError> {
    match log.driver.as_str() {
        "" | "json-file" | "local" => {}
        "none" if log.config.is_empty() => return Ok(Some(LogLimits { transient: true, ..LogLimits::default() })),
        "none" => return Err(DockerError::invalid("invalid logging opts for driver none")),
        other => {
            return Err(DockerError::unsupported(format!(
                "HostConfig.LogConfig.Type {other} is not there: logs are kept on this host (json-file, local)"
            )));
        }
    }
    let mut limits = LogLimits::default();
    let mut asked = false;
    for (name, value) in &log.config {
        let refused = || DockerError::invalid(format!("invalid value for log opt '{name}': {value}"));
        match name.as_str() {
            "max-size" if value == "-1" => {}
            "max-size" => {
                limits.file_bytes = size(value).filter(|bytes| *bytes > 0).ok_or_else(refused)?;
                asked = true;
            }
            "max-file" => {
                limits.files = value.parse().ok().filter(|files| *files > 0).ok_or_else(refused)?;
                asked = true;
            }
            "mode" if value == "blocking" => {}
            "compress" if value == "false" => {}
            "compress" | "mode" | "max-buffer-size" | "labels" | "labels-regex" | "env" | "env-regex" | "tag" => {
                return Err(DockerError::unsupported(format!("log opt '{name}={value}' is not there yet")));
            }
            _ => {
                return Err(DockerError::invalid(format!("unknown log opt '{name}' for {} log driver", log.driver)));
            }
        }
    }
    Ok(asked.then_some(limits))
}

/// `10m`: k, m and g are powers of 1024, as in docker/go-units `RAMInBytes`.
fn size(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, shift) = match bare.as_bytes().last()? {
        b'k' => (&bare[..bare.len() - 1], 10),
        b'm' => (&bare[..bare.len() - 1], 20),
        b'g' => (&bare[..bare.len() - 1], 30),
        _ => (bare, 0),
    };
    digits.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<Option<LogLimits>, DockerError> {
        read_log(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn bounds_are_read() {
        assert_eq!(read(serde_json::json!({"Type": "json-file", "Config": {}})).unwrap(), None);
        let limits = read(serde_json::json!({"Type": "local", "Config": {"max-size": "10m", "max-file": "3"}}));
        let none = read(serde_json::json!({"Type": "none"})).unwrap();
        assert!(none.is_some_and(|limits| limits.transient));
        assert_eq!(limits.unwrap(), Some(LogLimits { file_bytes: 10 << 20, files: 3, transient: false }));
    }

    #[test]
    fn other_drivers_and_options_are_refused() {
        for (json, status) in [
            (serde_json::json!({"Type": "syslog"}), 501),
            (serde_json::json!({"Type": "none", "Config": {"max-size": "1m"}}), 400),
            (serde_json::json!({"Config": {"compress": "true"}}), 501),
            (serde_json::json!({"Config": {"max-size": "lots"}}), 400),
            (serde_json::json!({"Config": {"max-file": "0"}}), 400),
            (serde_json::json!({"Config": {"colour": "red"}}), 400),
        ] {
            assert_eq!(read(json.clone()).unwrap_err().status, status, "{json}");
        }
    }
}

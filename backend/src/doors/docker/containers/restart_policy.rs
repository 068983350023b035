//! Docker's restart policies, read into the engine's and written back.

use sampan_engine::containers::config::RestartPolicy as Policy;

use super::host_config::RestartPolicy;
use crate::doors::docker::error::DockerError;

/// Reads a policy. Source: moby `api/types/container`, `ValidateRestartPolicy`.
///
/// # Errors
/// 400 in dockerd's words.
pub fn read_policy(policy: &RestartPolicy) -> Result<Policy, DockerError> {
    let count = policy.maximum_retry_count;
    let invalid = |why: String| Err(DockerError::invalid(format!("invalid restart policy: {why}")));
    match policy.name.as_str() {
        "always" | "no" | "unless-stopped" | "" if count != 0 => {
            let hint = if count < 0 { " and cannot be negative" } else { "" };
            invalid(format!("maximum retry count can only be used with 'on-failure'{hint}"))
        }
        "" | "no" => Ok(Policy::No),
        "always" => Ok(Policy::Always),
        "unless-stopped" => Ok(Policy::UnlessStopped),
        "on-failure" => match u32::try_from(count) {
            Ok(max_retries) => Ok(Policy::OnFailure { max_retries }),
            Err(_) => invalid("maximum retry count cannot be negative".to_owned()),
        },
        other => {
            invalid(format!("unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, maximum_retry_count: i64) -> Result<Policy, String> {
        read_policy(&RestartPolicy { name: name.into(), maximum_retry_count }).map_err(|error| error.message)
    }

    #[test]
    fn policies_are_read_or_refused() {
        assert_eq!(read("", 0), Ok(Policy::No));
        assert_eq!(read("on-failure", 3), Ok(Policy::OnFailure { max_retries: 3 }));
        assert_eq!(read("unless-stopped", 0), Ok(Policy::UnlessStopped));
        assert_eq!(
            read("always", 1),
            Err("invalid restart policy: maximum retry count can only be used with 'on-failure'".into())
        );
        assert!(read("sometimes", 0).is_err());
        assert!(read("on-failure", -1).is_err());
    }
}

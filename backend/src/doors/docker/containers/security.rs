//! Docker's options of isolation, read into the engine's.
//!
//! Source: moby `daemon/daemon_unix.go`, `parseSecurityOpt`, `verifyPlatformContainerSettings`.

use sampan_engine::containers::config::{NamespaceMode, Seccomp, Security};

use super::host_config::HostConfig;
use crate::doors::docker::error::DockerError;

impl HostConfig {
    /// What the container may do.
    ///
    /// # Errors
    /// 400 for what cannot be read, 501 naming what is not there.
    pub fn security(&self) -> Result<Security, DockerError> {
        let mut security = Security {
            privileged: self.privileged,
            capabilities_add: capabilities(self.cap_add.as_ref().map_or(&[], |words| &words.0))?,
            capabilities_drop: capabilities(self.cap_drop.as_ref().map_or(&[], |words| &words.0))?,
            read_only_root: self.readonly_rootfs,
            masked_paths: self.masked_paths.clone(),
            readonly_paths: self.readonly_paths.clone(),
            user_namespace_host: host_or(&self.userns_mode, "", "user")?,
            pid: namespace(&self.pid_mode, "PID")?,
            ipc: namespace(ipc_word(&self.ipc_mode), "IPC")?,
            ipc_shareable: self.ipc_mode == "shareable",
            without_shm: self.ipc_mode == "none",
            uts_host: host_or(&self.uts_mode, "", "UTS")?,
            cgroup_host: host_or(&self.cgroupns_mode, "private", "cgroup namespace")?,
            ..Security::default()
        };
        for option in self.security_opt.iter().flatten() {
            security_option(&mut security, option)?;
        }
        Ok(security)
    }
}

fn ipc_word(mode: &str) -> &str {
    match mode {
        "private" | "shareable" | "none" => "",
        other => other,
    }
}

fn namespace(mode: &str, name: &str) -> Result<NamespaceMode, DockerError> {
    match mode.split_once(':') {
        None if mode.is_empty() => Ok(NamespaceMode::Own),
        None if mode == "host" => Ok(NamespaceMode::Host),
        Some(("container", container)) if !container.is_empty() => {
            Ok(NamespaceMode::Container { container: container.to_owned() })
        }
        _ => Err(DockerError::invalid(format!("invalid {name} mode: {mode}"))),
    }
}

/// True for `host`, false for empty and `own`.
fn host_or(mode: &str, own: &str, name: &str) -> Result<bool, DockerError> {
    match mode {
        "host" => Ok(true),
        "" => Ok(false),
        other if other == own => Ok(false),
        _ => Err(DockerError::invalid(format!("invalid {name} mode: {mode}"))),
    }
}

/// Upper case with `CAP_`; `ALL` stays.
fn capabilities(typed: &[String]) -> Result<Vec<String>, DockerError> {
    typed
        .iter()
        .map(|text| {
            let upper = text.trim().to_ascii_uppercase();
            let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
            let right = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            if !right {
                return Err(DockerError::invalid(format!("invalid capability: {text:?}")));
            }
            Ok(if bare == "ALL" { "ALL".to_owned() } else { format!("CAP_{bare}") })
        })
        .collect()
}

fn security_option(security: &mut Security, option: &str) -> Result<(), DockerError> {
    let refused = || DockerError::invalid(format!("invalid --security-opt: {option:?}"));
    if option == "no-new-privileges" {
        security.no_new_privileges = true;
        return Ok(());
    }
    // The colon is the older form.
    let (name, value) = option.split_once('=').or_else(|| option.split_once(':')).ok_or_else(refused)?;
    match name {
        "no-new-privileges" => security.no_new_privileges = value.parse().map_err(|_| refused())?,
        "seccomp" => {
            security.seccomp = match value {
                "unconfined" => Seccomp::Unconfined,
                "builtin" => Seccomp::Default,
                json if json.trim_start().starts_with('{') => {
                    serde_json::from_str::<serde_json::Value>(json)
                        .map_err(|error| DockerError::invalid(format!("Decoding seccomp profile failed: {error}")))?;
                    Seccomp::Custom { json: json.to_owned() }
                }
                _ => return Err(refused()),
            };
        }
        // No container is confined by these two yet, so that "not confined" is what one gets.
        "apparmor" if value == "unconfined" => {}
        "label" if value == "disable" => {}
        "apparmor" | "label" | "writable-cgroups" => {
            return Err(DockerError::unsupported(format!("HostConfig.SecurityOpt {name} is not there yet")));
        }
        _ => return Err(refused()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<Security, DockerError> {
        serde_json::from_value::<HostConfig>(json).unwrap().security()
    }

    #[test]
    fn what_the_docker_cli_sends_by_default_is_the_default() {
        let sent = serde_json::json!({
            "CapAdd": null, "IpcMode": "", "PidMode": "", "UTSMode": "", "UsernsMode": "", "CgroupnsMode": "private",
            "SecurityOpt": null, "MaskedPaths": null, "ReadonlyPaths": null, "Privileged": false,
        });
        let mut sent = sent;
        sent.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        assert_eq!(read(sent).unwrap(), Security::default());
    }

    #[test]
    fn options_are_read() {
        let security = read(serde_json::json!({
            "CapAdd": ["net_admin", "CAP_SYS_TIME"], "CapDrop": ["all"], "PidMode": "container:web", "IpcMode": "shareable",
            "SecurityOpt": ["no-new-privileges:true", "seccomp=unconfined"], "UsernsMode": "host",
        }))
        .unwrap();
        assert_eq!(security.capabilities_add, ["CAP_NET_ADMIN", "CAP_SYS_TIME"]);
        assert_eq!(security.capabilities_drop, ["ALL"]);
        assert_eq!(security.pid, NamespaceMode::Container { container: "web".into() });
        assert!(security.ipc == NamespaceMode::Own && security.ipc_shareable);
        assert!(security.no_new_privileges && security.user_namespace_host);
        assert_eq!(security.seccomp, Seccomp::Unconfined);
    }

    #[test]
    fn what_cannot_be_read_or_is_not_there_is_refused() {
        for (json, status) in [
            (serde_json::json!({"PidMode": "container:"}), 400),
            (serde_json::json!({"PidMode": "private"}), 400),
            (serde_json::json!({"UTSMode": "x"}), 400),
            (serde_json::json!({"CapAdd": ["NET ADMIN"]}), 400),
            (serde_json::json!({"SecurityOpt": ["seccomp=/a/path"]}), 400),
            (serde_json::json!({"SecurityOpt": ["seccomp={"]}), 400),
            (serde_json::json!({"SecurityOpt": ["what"]}), 400),
            (serde_json::json!({"SecurityOpt": ["apparmor=docker-default"]}), 501),
        ] {
            assert_eq!(read(json.clone()).unwrap_err().status, status, "{json}");
        }
    }
}

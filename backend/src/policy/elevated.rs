//! What in a container's description reaches beyond the team's own sandbox: for an administrator only.
//!
//! Decided on the resolved [`ContainerConfig`], never on what a door was sent: each door translates first, and the
//! value that is looked at here is the value that is made.

use sampan_engine::containers::Update;
use sampan_engine::containers::config::{ContainerConfig, Limits, MountSource, NamespaceMode, Network, Seccomp};

/// Docker's default capabilities, which a container has anyway.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Kernel parameters that belong to a namespace of the container's own (sysctl(8), namespaces(7)).
const IPC_SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Each thing in `config` that a team may not ask for by itself, as words for a person; empty: nothing.
pub fn beyond_team(config: &ContainerConfig) -> Vec<String> {
    let security = &config.security;
    let mut found = Vec::new();
    let mut say = |is: bool, what: &str| {
        if is {
            found.push(what.to_owned());
        }
    };
    say(security.privileged, "privileged mode");
    say(config.network == Network::Host, "the host's network");
    say(security.pid == NamespaceMode::Host, "the host's process ids");
    say(security.ipc == NamespaceMode::Host, "the host's IPC");
    say(security.uts_host, "the host's name");
    say(security.cgroup_host, "the host's cgroup namespace");
    say(security.user_namespace_host, "the host's user namespace");
    say(security.seccomp == Seccomp::Unconfined, "no seccomp filter");
    say(matches!(security.seccomp, Seccomp::Custom { .. }), "an own seccomp profile");
    say(security.masked_paths.is_some(), "other masked paths");
    say(security.readonly_paths.is_some(), "other read-only paths");
    found.extend(limits_beyond_team(&config.limits));
    for capability in &security.capabilities_add {
        if !is_default_capability(capability) {
            found.push(format!("the capability {capability}"));
        }
    }
    for device in &config.devices {
        found.push(format!("the device {}", device.host_path.display()));
    }
    for mount in &config.mounts {
        if let MountSource::Bind { path, granted: false, .. } = &mount.source {
            found.push(format!("the host's {}", path.display()));
        }
    }
    for name in config.sysctls.keys() {
        if !is_namespaced_sysctl(name) {
            found.push(format!("the kernel parameter {name}"));
        }
    }
    found
}

/// The same for a change of limits.
pub(super) fn update_beyond_team(update: &Update) -> Vec<String> {
    limits_beyond_team(&update.limits)
}

fn limits_beyond_team(limits: &Limits) -> Vec<String> {
    let mut found = Vec::new();
    if limits.oom_kill_disable {
        found.push("no out-of-memory killer".to_owned());
    }
    if limits.oom_score_adjust.is_some_and(|score| score < 0) {
        found.push("a negative out-of-memory score".to_owned());
    }
    found
}

fn is_default_capability(name: &str) -> bool {
    let name = name.trim().to_ascii_uppercase();
    DEFAULT_CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(&name))
}

/// Checked as the kernel sees it: `/` and `.` name the same file, and nothing may climb.
fn is_namespaced_sysctl(name: &str) -> bool {
    let name = name.replace('/', ".");
    let climbs = name.contains("..") || name.starts_with('.');
    !climbs && (IPC_SYSCTLS.contains(&name.as_str()) || name.starts_with("net.") || name.starts_with("fs.mqueue."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_engine::containers::config::{Device, Mount};

    fn with(change: impl FnOnce(&mut ContainerConfig)) -> Vec<String> {
        let mut config = ContainerConfig::default();
        change(&mut config);
        beyond_team(&config)
    }

    #[test]
    fn an_ordinary_container_needs_no_administrator() {
        let found = with(|config| {
            config.security.capabilities_add = vec!["CAP_NET_RAW".into(), "chown".into()];
            config.security.capabilities_drop = vec!["ALL".into()];
            config.sysctls.insert("net.ipv4.ip_forward".into(), "1".into());
            config.limits.oom_score_adjust = Some(500);
            let volume = MountSource::Volume { name: Some("data".into()), no_copy: false };
            let (path, create, propagation) = ("/srv/shared".into(), false, None);
            let granted = MountSource::Bind { path, create, propagation, non_recursive: false, granted: true };
            config.mounts = [(volume, "/data"), (granted, "/shared")]
                .map(|(source, to)| Mount { source, destination: to.into(), read_only: false })
                .into();
            config.network = Network::Container { container: "web".into() };
        });
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn whatever_reaches_the_host_is_named() {
        let (path, create, propagation) = ("/".into(), false, None);
        let bind = MountSource::Bind { path, create, propagation, non_recursive: false, granted: false };
        type Change = Box<dyn FnOnce(&mut ContainerConfig)>;
        let cases: Vec<(&str, Change)> = vec![
            ("privileged mode", Box::new(|c| c.security.privileged = true)),
            ("the host's network", Box::new(|c| c.network = Network::Host)),
            ("the host's process ids", Box::new(|c| c.security.pid = NamespaceMode::Host)),
            ("the host's IPC", Box::new(|c| c.security.ipc = NamespaceMode::Host)),
            ("the host's name", Box::new(|c| c.security.uts_host = true)),
            ("the host's cgroup namespace", Box::new(|c| c.security.cgroup_host = true)),
            ("the host's user namespace", Box::new(|c| c.security.user_namespace_host = true)),
            ("no seccomp filter", Box::new(|c| c.security.seccomp = Seccomp::Unconfined)),
            ("an own seccomp profile", Box::new(|c| c.security.seccomp = Seccomp::Custom { json: "{}".into() })),
            ("other masked paths", Box::new(|c| c.security.masked_paths = Some(vec![]))),
            ("other read-only paths", Box::new(|c| c.security.readonly_paths = Some(vec![]))),
            ("the capability ALL", Box::new(|c| c.security.capabilities_add = vec!["ALL".into()])),
            ("the capability cap_sys_admin", Box::new(|c| c.security.capabilities_add = vec!["cap_sys_admin".into()])),
            (
                "the device /dev/mem",
                Box::new(|c| {
                    let path = std::path::PathBuf::from("/dev/mem");
                    c.devices =
                        vec![Device { host_path: path.clone(), container_path: path, permissions: "rwm".into() }];
                }),
            ),
            (
                "the host's /",
                Box::new(move |c| {
                    c.mounts = vec![Mount { source: bind, destination: "/host".into(), read_only: true }];
                }),
            ),
            (
                "the kernel parameter kernel.core_pattern",
                Box::new(|c| {
                    c.sysctls.insert("kernel.core_pattern".into(), "|/x".into());
                }),
            ),
            (
                "the kernel parameter net/../kernel/core_pattern",
                Box::new(|c| {
                    c.sysctls.insert("net/../kernel/core_pattern".into(), "|/x".into());
                }),
            ),
            ("a negative out-of-memory score", Box::new(|c| c.limits.oom_score_adjust = Some(-1))),
        ];
        for (word, change) in cases {
            assert_eq!(with(change), vec![word.to_owned()]);
        }
    }
}

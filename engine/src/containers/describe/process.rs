//! The process of a description, the main one or an exec's.

use oci_spec::runtime::{BoxBuilder, LinuxCapabilities, PosixRlimit, PosixRlimitBuilder, Process, User};
use sampan_runtime::capabilities::CapabilitySet;
use sampan_runtime::rlimits;

use super::invalid;
use crate::containers::config::{ContainerConfig, Ulimit};
use crate::containers::{ContainerError, ExecConfig, Resolved};

/// Put before everything else when the image names none. Docker's.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Soft and hard limit of open files when nothing is said: what systemd gives a service that says nothing either.
const OPEN_FILES: (i64, i64) = (1024, 524_288);

pub(super) fn main(
    config: &ContainerConfig,
    resolved: &Resolved,
    capabilities: CapabilitySet,
) -> Result<Process, ContainerError> {
    let mut process = Process::default();
    process
        .set_terminal(Some(config.tty))
        .set_console_size(config.terminal_size.filter(|_| config.tty).map(console))
        .set_user(user(&resolved.user))
        .set_args(Some(resolved.arguments.clone()))
        .set_env(Some(environment(resolved, config.tty)))
        .set_cwd(resolved.working_directory.clone())
        .set_capabilities(Some(sets(capabilities)))
        .set_rlimits(Some(ulimits(&config.limits.ulimits)?))
        .set_no_new_privileges(Some(config.security.no_new_privileges))
        .set_oom_score_adj(oom_score(config)?);
    Ok(process)
}

/// The process of an exec in a container.
pub(in crate::containers) fn exec(
    exec: &ExecConfig,
    config: &ContainerConfig,
    resolved: &Resolved,
) -> Result<Process, ContainerError> {
    if exec.command.first().is_none_or(String::is_empty) {
        return Err(invalid("no exec command specified"));
    }
    let capabilities = if exec.privileged { CapabilitySet::all() } else { super::capabilities(config)? };
    let mut all = resolved.clone();
    for variable in &exec.environment {
        let (name, _) = variable.split_once('=').unwrap_or((variable, ""));
        if name.is_empty() {
            return Err(invalid(format!("invalid environment variable: {variable}")));
        }
        all.environment.retain(|other| other.split('=').next() != Some(name));
        if variable.contains('=') {
            all.environment.push(variable.clone());
        }
    }
    let folder = exec.working_directory.clone().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| resolved.working_directory.clone());
    if !folder.is_absolute() {
        return Err(invalid(format!("the working directory {} is not an absolute path", folder.display())));
    }
    let typed = exec.user.as_deref().filter(|user| !user.is_empty());
    let mut process = Process::default();
    process
        .set_terminal(Some(exec.tty))
        .set_user(user(typed.unwrap_or(&resolved.user)))
        .set_args(Some(exec.command.clone()))
        .set_env(Some(environment(&all, exec.tty)))
        .set_cwd(folder)
        .set_capabilities(Some(sets(capabilities)))
        .set_rlimits(Some(ulimits(&config.limits.ulimits)?))
        .set_no_new_privileges(Some(config.security.no_new_privileges))
        .set_oom_score_adj(oom_score(config)?);
    Ok(process)
}

/// A terminal's rows and columns.
pub(in crate::containers) fn console((rows, columns): (u16, u16)) -> oci_spec::runtime::Box {
    // Both fields have defaults, so that nothing can be missing.
    BoxBuilder::default().height(rows).width(columns).build().unwrap_or_default()
}

/// As typed; init looks it up in the root's own files and sets HOME.
fn user(typed: &str) -> User {
    let mut user = User::default();
    user.set_username(Some(if typed.is_empty() { "0".to_owned() } else { typed.to_owned() }));
    user
}

fn environment(resolved: &Resolved, tty: bool) -> Vec<String> {
    let has = |name: &str| resolved.environment.iter().any(|variable| variable.split('=').next() == Some(name));
    let mut environment = Vec::with_capacity(resolved.environment.len() + 3);
    if !has("PATH") {
        environment.push(PATH.to_owned());
    }
    if !has("HOSTNAME") {
        environment.push(format!("HOSTNAME={}", resolved.hostname));
    }
    if tty && !has("TERM") {
        environment.push("TERM=xterm".to_owned());
    }
    environment.extend(resolved.environment.iter().cloned());
    environment
}

/// Inheritable and ambient stay empty (CVE-2022-24769).
fn sets(capabilities: CapabilitySet) -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(capabilities.to_oci()))
        .set_effective(Some(capabilities.to_oci()))
        .set_permitted(Some(capabilities.to_oci()))
        .set_inheritable(None)
        .set_ambient(None);
    sets
}

/// The typed ones; open files always, so that they do not depend on who started the server.
fn ulimits(typed: &[Ulimit]) -> Result<Vec<PosixRlimit>, ContainerError> {
    let value = |number: i64| u64::try_from(number).unwrap_or(u64::MAX);
    let files = Ulimit { name: "nofile".into(), soft: OPEN_FILES.0, hard: OPEN_FILES.1 };
    let files = (!typed.iter().any(|limit| limit.name.eq_ignore_ascii_case("nofile"))).then_some(&files);
    let limits = typed
        .iter()
        .chain(files)
        .map(|limit| {
            let kind = rlimits::parse(&limit.name).map_err(|error| invalid(error.to_string()))?;
            PosixRlimitBuilder::default()
                .typ(kind)
                .soft(value(limit.soft))
                .hard(value(limit.hard))
                .build()
                .map_err(|error| invalid(error.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    rlimits::check(&limits).map_err(|error| invalid(error.to_string()))?;
    Ok(limits)
}

fn oom_score(config: &ContainerConfig) -> Result<Option<i32>, ContainerError> {
    match config.limits.oom_score_adjust {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(invalid(format!("invalid value {score}, range for oom score adj is [-1000, 1000]")))
        }
        score => Ok(score),
    }
}

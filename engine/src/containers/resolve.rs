//! What a configuration and an image make together. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::config::{ContainerConfig, ExposedPort, Healthcheck, Mount, MountSource, Protocol};
use super::{ContainerError, Resolved, signals};

/// What an image says of its containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Defaults {
    pub entrypoint: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    pub environment: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub user: String,
    pub working_directory: String,
    /// `80/tcp`.
    pub exposed_ports: Vec<String>,
    pub volumes: Vec<String>,
    pub stop_signal: String,
    pub healthcheck: Option<Healthcheck>,
    pub shell: Vec<String>,
}

/// Resolves all but the mounts' sources and the host name of shared namespaces.
pub(super) fn resolve(config: &ContainerConfig, image: &Defaults, id: &str) -> Result<Resolved, ContainerError> {
    let (entrypoint, command) = command(config, image);
    let arguments: Vec<String> = entrypoint.iter().chain(&command).cloned().collect();
    if arguments.first().is_none_or(String::is_empty) {
        return Err(invalid("no command is given, and the image names none"));
    }
    let mut labels = image.labels.clone();
    labels.extend(config.labels.clone());
    let stop_signal = match (config.stop_signal.as_deref(), image.stop_signal.as_str()) {
        (Some(signal), _) if !signal.is_empty() => signal,
        (_, "") => "TERM",
        (_, signal) => signal,
    };
    Ok(Resolved {
        arguments,
        environment: environment(&image.environment, &config.environment)?,
        entrypoint,
        command,
        user: config.user.clone().filter(|user| !user.is_empty()).unwrap_or_else(|| image.user.clone()),
        working_directory: working_directory(config, image)?,
        hostname: hostname(config, id)?,
        labels,
        exposed_ports: exposed_ports(config, image)?,
        stop_signal: signals::parse(stop_signal)?,
        healthcheck: healthcheck(config.healthcheck.as_ref(), image.healthcheck.as_ref()),
        shell: image.shell.clone(),
        ..Resolved::default()
    })
}

/// What is not said of the container's probe is the image's.
fn healthcheck(typed: Option<&Healthcheck>, image: Option<&Healthcheck>) -> Option<Healthcheck> {
    let (Some(typed), Some(image)) = (typed, image) else { return typed.or(image).cloned() };
    let or = |typed: i64, image: i64| if typed == 0 { image } else { typed };
    Some(Healthcheck {
        test: if typed.test.is_empty() { image.test.clone() } else { typed.test.clone() },
        interval_ns: or(typed.interval_ns, image.interval_ns),
        timeout_ns: or(typed.timeout_ns, image.timeout_ns),
        start_period_ns: or(typed.start_period_ns, image.start_period_ns),
        start_interval_ns: or(typed.start_interval_ns, image.start_interval_ns),
        retries: if typed.retries == 0 { image.retries } else { typed.retries },
    })
}

fn invalid(message: impl Into<String>) -> ContainerError {
    ContainerError::Invalid { message: message.into() }
}

/// Docker's rules: a typed entry point also drops the image's command, an empty one resets the image's.
fn command(config: &ContainerConfig, image: &Defaults) -> (Vec<String>, Vec<String>) {
    let typed = config.command.clone().filter(|command| !command.is_empty());
    match &config.entrypoint {
        Some(entrypoint) if !entrypoint.is_empty() => {
            let reset = entrypoint.len() == 1 && entrypoint[0].is_empty();
            (if reset { Vec::new() } else { entrypoint.clone() }, typed.unwrap_or_default())
        }
        Some(_) => (Vec::new(), typed.or_else(|| image.command.clone()).unwrap_or_default()),
        None => {
            (image.entrypoint.clone().unwrap_or_default(), typed.or_else(|| image.command.clone()).unwrap_or_default())
        }
    }
}

/// The image's variables with the typed ones over them, each at the place of the first of its name.
fn environment(image: &[String], typed: &[String]) -> Result<Vec<String>, ContainerError> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let mut all: Vec<String> = image.to_vec();
    for variable in typed {
        let name_of_it = name(variable);
        if name_of_it.is_empty() {
            return Err(invalid(format!("invalid environment variable: {variable}")));
        }
        let place = all.iter().position(|other| name(other) == name_of_it);
        match (place, variable.contains('=')) {
            (Some(place), true) => all[place].clone_from(variable),
            (Some(place), false) => drop(all.remove(place)),
            (None, true) => all.push(variable.clone()),
            (None, false) => {}
        }
    }
    Ok(all)
}

fn working_directory(config: &ContainerConfig, image: &Defaults) -> Result<PathBuf, ContainerError> {
    let typed = config.working_directory.clone().filter(|folder| !folder.as_os_str().is_empty());
    let folder = typed.unwrap_or_else(|| PathBuf::from(&image.working_directory));
    if folder.as_os_str().is_empty() {
        return Ok(PathBuf::from("/"));
    }
    if folder.is_absolute() {
        return Ok(folder);
    }
    Err(invalid(format!("the working directory {} is not an absolute path", folder.display())))
}

/// Spec: hostname(7); Docker's bound of 63 characters.
fn hostname(config: &ContainerConfig, id: &str) -> Result<String, ContainerError> {
    let Some(name) = config.hostname.as_deref().filter(|name| !name.is_empty()) else {
        return Ok(id.chars().take(12).collect());
    };
    let right = name.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-._".contains(&letter));
    if right && name.len() <= 63 && !name.starts_with(['-', '.']) {
        return Ok(name.to_owned());
    }
    Err(invalid(format!("invalid hostname: {name:?}")))
}

fn exposed_ports(config: &ContainerConfig, image: &Defaults) -> Result<Vec<ExposedPort>, ContainerError> {
    let mut ports = config.exposed_ports.clone();
    for text in &image.exposed_ports {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            // What cannot be published is only a remark of the image.
            _ => continue,
        };
        let port = number.parse().map_err(|_| invalid(format!("the image exposes {text}, which is no port")))?;
        ports.push(ExposedPort { port, protocol });
    }
    ports.extend(config.ports.iter().map(|port| ExposedPort { port: port.container_port, protocol: port.protocol }));
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// The typed mounts, checked, then an anonymous volume for each of the image's that no typed one covers.
pub(super) fn mounts(config: &ContainerConfig, image: &Defaults) -> Result<Vec<Mount>, ContainerError> {
    let mut mounts: Vec<Mount> = Vec::new();
    for mount in &config.mounts {
        let destination = destination(&mount.destination)?;
        if mounts.iter().any(|other| other.destination == destination) {
            return Err(invalid(format!("duplicate mount point: {}", destination.display())));
        }
        check_source(&mount.source)?;
        mounts.push(Mount { destination, ..mount.clone() });
    }
    for path in &image.volumes {
        let destination = destination(path.as_ref())?;
        if !mounts.iter().any(|other| other.destination == destination) {
            let source = MountSource::Volume { name: None, no_copy: false };
            mounts.push(Mount { source, destination, read_only: false });
        }
    }
    // What lies deeper is mounted later.
    mounts.sort_by_key(|mount| mount.destination.components().count());
    Ok(mounts)
}

fn destination(path: &std::path::Path) -> Result<PathBuf, ContainerError> {
    use std::path::Component;
    let wrong = |why: &str| invalid(format!("invalid mount destination {}: {why}", path.display()));
    if !path.is_absolute() {
        return Err(wrong("it must be an absolute path"));
    }
    if path.components().any(|part| matches!(part, Component::ParentDir)) {
        return Err(wrong("it must not contain .."));
    }
    let clean: PathBuf = path.components().collect();
    if clean == std::path::Path::new("/") {
        return Err(wrong("it must not be the root"));
    }
    Ok(clean)
}

fn check_source(source: &MountSource) -> Result<(), ContainerError> {
    const WORDS: [&str; 10] =
        ["exec", "noexec", "suid", "nosuid", "dev", "nodev", "noatime", "relatime", "strictatime", "nodiratime"];
    match source {
        MountSource::Bind { path, propagation, .. } => {
            if !path.is_absolute() || path.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
                return Err(invalid(format!("invalid mount source {}: it must be an absolute path", path.display())));
            }
            match propagation.as_deref() {
                None | Some("" | "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave") => Ok(()),
                Some(other) => Err(invalid(format!("invalid mount propagation: {other}"))),
            }
        }
        MountSource::Tmpfs { options, .. } => match options.iter().find(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let number = !value.is_empty() && value.bytes().all(|digit| digit.is_ascii_digit());
            let known = WORDS.contains(&option.as_str())
                || matches!(name, "uid" | "gid" | "nr_inodes") && number
                || matches!(option.as_str(), "rw" | "ro");
            !known
        }) {
            None => Ok(()),
            Some(other) => Err(invalid(format!("invalid tmpfs option: {other}"))),
        },
        MountSource::Volume { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn image() -> Defaults {
        Defaults {
            entrypoint: Some(words("/entry")),
            command: Some(words("serve -a")),
            environment: words("PATH=/bin A=1"),
            exposed_ports: words("80/tcp 53/udp 9/sctp"),
            volumes: words("/data /typed"),
            ..Defaults::default()
        }
    }

    fn arguments(entrypoint: Option<&str>, command: Option<&str>) -> Vec<String> {
        let config = ContainerConfig {
            entrypoint: entrypoint.map(words),
            command: command.map(words),
            ..ContainerConfig::default()
        };
        resolve(&config, &image(), "0123456789abcdef").map(|resolved| resolved.arguments).unwrap_or_default()
    }

    #[test]
    fn entry_point_and_command_join_as_dockers_do() {
        assert_eq!(arguments(None, None), words("/entry serve -a"));
        assert_eq!(arguments(None, Some("look")), words("/entry look"));
        assert_eq!(arguments(Some("/other"), None), words("/other"));
        assert_eq!(arguments(Some("/other"), Some("look")), words("/other look"));
        assert_eq!(arguments(Some(""), None), words("serve -a"));
        let reset = ContainerConfig { entrypoint: Some(vec![String::new()]), ..ContainerConfig::default() };
        assert!(resolve(&reset, &image(), "0").is_err(), "nothing to run is left");
    }

    #[test]
    fn typed_variables_replace_add_and_remove() {
        assert_eq!(
            environment(&words("PATH=/bin A=1 B=2"), &words("A=3 B C=4=5")).expect("right"),
            words("PATH=/bin A=3 C=4=5")
        );
        assert!(environment(&[], &words("=1")).is_err());
    }

    #[test]
    fn what_is_not_said_of_the_probe_is_the_images() {
        let of = |test: &str, interval_ns, retries| Healthcheck {
            test: words(test),
            interval_ns,
            retries,
            ..Healthcheck::default()
        };
        let image = of("CMD a", 7, 0);
        assert_eq!(healthcheck(None, Some(&image)), Some(image.clone()));
        assert_eq!(healthcheck(Some(&of("", 0, 2)), Some(&image)), Some(of("CMD a", 7, 2)));
        assert_eq!(healthcheck(Some(&of("NONE", 0, 0)), Some(&image)), Some(of("NONE", 7, 0)));
        assert_eq!(healthcheck(Some(&of("CMD b", 9, 0)), None), Some(of("CMD b", 9, 0)));
        assert_eq!(healthcheck(None, None), None);
    }

    #[test]
    fn the_rest_comes_from_the_image_or_dockers_defaults() {
        let resolved = resolve(&ContainerConfig::default(), &image(), "0123456789abcdef").expect("right");
        assert_eq!(resolved.hostname, "0123456789ab");
        assert_eq!(resolved.working_directory, PathBuf::from("/"));
        assert_eq!(resolved.stop_signal, 15);
        assert_eq!(
            resolved.exposed_ports,
            [ExposedPort { port: 53, protocol: Protocol::Udp }, ExposedPort { port: 80, protocol: Protocol::Tcp }]
        );
    }

    #[test]
    fn a_typed_mount_covers_the_images_volume_and_bad_places_are_refused() {
        let tmpfs = |destination: &str| Mount {
            source: MountSource::Tmpfs { size_bytes: None, mode: None, options: Vec::new() },
            destination: destination.into(),
            read_only: false,
        };
        let config = ContainerConfig { mounts: vec![tmpfs("/typed/./")], ..ContainerConfig::default() };
        let mounts = mounts(&config, &image()).expect("right");
        assert_eq!(mounts.len(), 2);
        assert!(mounts.iter().any(|mount| mount.destination == std::path::Path::new("/data")));
        for wrong in ["/", "a", "/a/../b"] {
            let config = ContainerConfig { mounts: vec![tmpfs(wrong)], ..ContainerConfig::default() };
            assert!(super::mounts(&config, &image()).is_err(), "{wrong}");
        }
    }
}

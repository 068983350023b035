//! `docker commit`: a container's files and configuration as an image.

use std::collections::BTreeMap;
use std::io;

use sampan_runtime::wire::archive::Work;
use serde_json::json;
use tokio_util::io::StreamReader;

use super::archive::{Working, stream};
use super::config::{MountSource, Protocol};
use super::{Container, ContainerError, Containers, State};
use crate::clock::now_ns;
use crate::digest::Digest;
use crate::engine::Shared;
use crate::events::Action;
use crate::images::{HealthCheck, Image, Making, ProcessConfiguration, apply};
use crate::owner::Owner;
use crate::reference::ImageReference;

/// What to make of a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Commit {
    /// A name for the image.
    pub name: Option<ImageReference>,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// Its processes stand still meanwhile.
    pub pause: bool,
    /// What the image says otherwise than the container.
    pub config: ProcessConfiguration,
    /// Instructions of a Dockerfile, carried out on `config`.
    pub changes: Vec<String>,
}

impl Containers {
    /// Makes an image of a container, running or not: the layers of its image and one of what it changed, without what is
    /// mounted in it. All of it or nothing.
    pub async fn commit(&self, owner: &Owner, reference: &str, mut commit: Commit) -> Result<Digest, ContainerError> {
        let slot = self.shared.table.find(owner, reference)?;
        let shared = self.shared.clone();
        let owner = owner.clone();
        Shared::whole(async move {
            // No other verb meanwhile: one that pauses or stops it would meet the pause of this one.
            let _verb = slot.verb.lock().await;
            let container = slot.now();
            if matches!(container.state, State::Removing | State::Dead) {
                return Err(ContainerError::WrongState {
                    name: container.name.clone(),
                    state: container.state.word(),
                    wanted: "it cannot be committed",
                });
            }
            let image = shared.images.find(&owner, &container.image_id).await?;
            let _lease = shared.images.hold(&image);
            let own = configuration(&container, &image);
            apply(&mut commit.config, &own.env, &commit.changes)?;
            let making = Making {
                name: commit.name,
                author: commit.author,
                comment: commit.comment,
                config: merged(commit.config, own),
                created_by: container.resolved.command.join(" "),
                container: Some(container.id.clone()),
            };
            let (comment, name) = (making.comment.clone(), making.name.clone());
            let work = Work::Layer { pause: commit.pause };
            let (working, pipe) = Working::begin(&shared, &container, work).await?;
            let pipe = pipe.ok_or_else(|| ContainerError::Stream(io::ErrorKind::NotConnected.into()))?;
            let tar = StreamReader::new(stream(pipe, working, || ()));
            let made = shared.images.commit(&owner, &image, tar, making).await?;
            let attributes = [
                ("comment".to_owned(), comment),
                ("imageID".to_owned(), made.id.to_string()),
                ("imageRef".to_owned(), name.map(|name| name.familiar()).unwrap_or_default()),
            ];
            shared.tell(&container, now_ns(), Action::Commit, attributes);
            Ok(made.id)
        })
        .await
    }
}

/// What the container is, in an image's words.
fn configuration(container: &Container, image: &Image) -> ProcessConfiguration {
    let (resolved, config, of_image) = (&container.resolved, &container.config, &image.configuration.config);
    let mut volumes = of_image.volumes.clone();
    for mount in &config.mounts {
        if matches!(mount.source, MountSource::Volume { name: None, .. }) {
            volumes.insert(mount.destination.to_string_lossy().into_owned(), json!({}));
        }
    }
    let exposed = resolved.exposed_ports.iter().map(|port| {
        let protocol = if port.protocol == Protocol::Udp { "udp" } else { "tcp" };
        (format!("{}/{protocol}", port.port), json!({}))
    });
    let asked_for_a_folder = config.working_directory.is_some() || !of_image.working_dir.is_empty();
    ProcessConfiguration {
        user: resolved.user.clone(),
        env: resolved.environment.clone(),
        entrypoint: Some(resolved.entrypoint.clone()).filter(|words| !words.is_empty()),
        cmd: Some(resolved.command.clone()).filter(|words| !words.is_empty()),
        working_dir: if asked_for_a_folder {
            resolved.working_directory.to_string_lossy().into_owned()
        } else {
            String::new()
        },
        labels: resolved.labels.clone(),
        exposed_ports: of_image.exposed_ports.clone().into_iter().chain(exposed).collect(),
        volumes,
        stop_signal: config.stop_signal.clone().unwrap_or_else(|| of_image.stop_signal.clone()),
        stop_timeout: None,
        healthcheck: resolved.healthcheck.as_ref().map(|probe| HealthCheck {
            test: probe.test.clone(),
            interval: probe.interval_ns,
            timeout: probe.timeout_ns,
            start_period: probe.start_period_ns,
            start_interval: probe.start_interval_ns,
            retries: i64::from(probe.retries),
        }),
        shell: of_image.shell.clone(),
        on_build: None,
    }
}

/// What was asked for, filled up from the container. Docker's rules: moby `daemon/commit.go`, `merge`.
fn merged(mut asked: ProcessConfiguration, own: ProcessConfiguration) -> ProcessConfiguration {
    let or = |asked: String, own: String| if asked.is_empty() { own } else { asked };
    let name = |line: &str| line.split('=').next().unwrap_or_default().to_owned();
    let said: Vec<String> = asked.env.iter().map(|line| name(line)).collect();
    asked.env.extend(own.env.into_iter().filter(|line| !said.contains(&name(line))));
    let has = |words: &Option<Vec<String>>| words.as_ref().is_some_and(|words| !words.is_empty());
    if !has(&asked.entrypoint) {
        if !has(&asked.cmd) {
            asked.cmd = own.cmd;
        }
        if asked.entrypoint.is_none() {
            asked.entrypoint = own.entrypoint;
        }
    }
    ProcessConfiguration {
        user: or(asked.user, own.user),
        working_dir: or(asked.working_dir, own.working_dir),
        stop_signal: or(asked.stop_signal, own.stop_signal),
        labels: own.labels.into_iter().chain(asked.labels).collect(),
        exposed_ports: own.exposed_ports.into_iter().chain(asked.exposed_ports).collect(),
        volumes: own.volumes.into_iter().chain(asked.volumes).collect::<BTreeMap<_, _>>(),
        healthcheck: probe(asked.healthcheck, own.healthcheck),
        shell: asked.shell.or(own.shell),
        ..asked
    }
}

fn probe(asked: Option<HealthCheck>, own: Option<HealthCheck>) -> Option<HealthCheck> {
    let (Some(asked), Some(own)) = (&asked, &own) else { return asked.or(own) };
    let or = |asked: i64, own: i64| if asked == 0 { own } else { asked };
    Some(HealthCheck {
        test: if asked.test.is_empty() { own.test.clone() } else { asked.test.clone() },
        interval: or(asked.interval, own.interval),
        timeout: or(asked.timeout, own.timeout),
        start_period: or(asked.start_period, own.start_period),
        start_interval: or(asked.start_interval, own.start_interval),
        retries: or(asked.retries, own.retries),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        Some(text.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn what_is_asked_for_wins_and_the_rest_is_the_containers() {
        let own = ProcessConfiguration {
            env: words("PATH=/bin A=1").unwrap(),
            entrypoint: words("/entry"),
            cmd: words("serve"),
            user: "web".into(),
            ..ProcessConfiguration::default()
        };
        let asked = ProcessConfiguration { env: words("A=2").unwrap(), ..ProcessConfiguration::default() };
        let both = merged(asked, own.clone());
        assert_eq!(both.env, ["A=2", "PATH=/bin"]);
        assert_eq!((both.entrypoint, both.cmd, both.user.as_str()), (words("/entry"), words("serve"), "web"));
        let asked = ProcessConfiguration { cmd: words("look"), ..ProcessConfiguration::default() };
        let both = merged(asked, own.clone());
        assert_eq!((both.entrypoint, both.cmd), (words("/entry"), words("look")));
        let asked = ProcessConfiguration { entrypoint: words("/other"), ..ProcessConfiguration::default() };
        let both = merged(asked, own);
        assert_eq!((both.entrypoint, both.cmd), (words("/other"), None), "an entry point drops the command");
    }
}

//! `GET /containers/{id}/configuration`: how it was made; values of variables are hidden until somebody reveals them,
//! which stands in the audit trail.

use actix_web::{HttpResponse, web};
use askama::Template;
use sampan_engine::containers::Container;
use sampan_engine::containers::config::{ContainerConfig, MountSource, Network};
use serde::Deserialize;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::meter::Fact;
use super::super::reader::Reader;
use super::super::words::{clock, memory};
use super::Head;
use crate::app::App;
use crate::policy::action::{Update, View};
use crate::service;
use crate::texts::Texts;

#[derive(Template)]
#[template(path = "container_configuration.html")]
struct Page {
    frame: Frame,
    head: Head,
    facts: Vec<Fact>,
    environment: Vec<Fact>,
    revealed: bool,
    labels: Vec<Fact>,
    docker_command: String,
}

/// The form of the button that reveals.
#[derive(Debug, Deserialize)]
pub struct Form {
    csrf: String,
}

/// The page.
pub async fn show(app: web::Data<App>, reader: Reader, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    page(&app, &reader, &id, false).await
}

/// `POST …/reveal`: the same with the values; takes the right to change the container.
pub async fn reveal(
    app: web::Data<App>,
    reader: Reader,
    id: web::Path<String>,
    form: web::Form<Form>,
) -> Result<HttpResponse, PageError> {
    reader.check(&form.csrf)?;
    let target = app.policy().container::<Update>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    service::containers::reveal_environment(&app, &target).await.map_err(|e| reader.refuse(e))?;
    page(&app, &reader, &id, true).await
}

async fn page(app: &App, reader: &Reader, id: &str, revealed: bool) -> Result<HttpResponse, PageError> {
    let target = app.policy().container::<View>(&reader.caller, id).map_err(|e| reader.refuse(e))?;
    let container = service::containers::inspect(app, &target).map_err(|e| reader.refuse(e))?;
    let variable = |line: &String| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        if revealed { Fact::mono(name, value) } else { Fact::words(name, reader.t.get("environment-hidden")) }
    };
    reader.page(&Page {
        head: Head::of(&container, reader.t, "configuration"),
        frame: reader.frame(app, "containers").await.map_err(|e| reader.refuse(e))?,
        facts: facts(&container, reader.t),
        environment: container.resolved.environment.iter().map(variable).collect(),
        revealed,
        labels: container.resolved.labels.iter().map(|(name, value)| Fact::mono(name, value)).collect(),
        docker_command: docker_command(Some(&container.name), &container.config),
    })
}

fn facts(container: &Container, t: Texts) -> Vec<Fact> {
    let config = &container.config;
    let network = match &config.network {
        Network::Bridge => "bridge".to_owned(),
        Network::None => "none".to_owned(),
        Network::Host => "host".to_owned(),
        Network::Container { container } => format!("container:{container}"),
    };
    vec![
        Fact::mono("Id", &container.id),
        Fact::words(t.get("created"), clock(container.created_at_ns)),
        Fact::mono(t.get("image"), &config.image),
        Fact::mono(t.get("network"), network),
        Fact::mono(t.get("restart-policy"), restart(config)),
        Fact::words(t.get("memory"), config.limits.memory_bytes.map_or_else(|| t.get("no-limit"), memory)),
        Fact::mono("hostname", &container.resolved.hostname),
    ]
}

fn restart(config: &ContainerConfig) -> String {
    use sampan_engine::containers::config::RestartPolicy as Policy;
    match config.restart {
        Policy::No => "no".to_owned(),
        Policy::Always => "always".to_owned(),
        Policy::UnlessStopped => "unless-stopped".to_owned(),
        Policy::OnFailure { max_retries: 0 } => "on-failure".to_owned(),
        Policy::OnFailure { max_retries } => format!("on-failure:{max_retries}"),
    }
}

/// The `docker run` that makes the same container, values of variables left out.
pub(in super::super) fn docker_command(name: Option<&str>, config: &ContainerConfig) -> String {
    let mut words = vec!["docker".to_owned(), "run".to_owned(), if config.tty { "-dit" } else { "-d" }.to_owned()];
    let mut option = |flag: &str, value: String| words.extend([flag.to_owned(), quote(&value)]);
    if let Some(name) = name {
        option("--name", name.to_owned());
    }
    match &config.network {
        Network::Bridge => {}
        Network::None => option("--network", "none".to_owned()),
        Network::Host => option("--network", "host".to_owned()),
        Network::Container { container } => option("--network", format!("container:{container}")),
    }
    for port in &config.ports {
        let host = port
            .host_ports
            .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
        let address = port.host_address.map(|address| format!("{address}:")).unwrap_or_default();
        let protocol = if port.protocol == sampan_engine::containers::config::Protocol::Udp { "/udp" } else { "" };
        option("-p", format!("{address}{}:{}{protocol}", host.unwrap_or_default(), port.container_port));
    }
    for mount in &config.mounts {
        let (to, mode) = (mount.destination.display(), if mount.read_only { ":ro" } else { "" });
        match &mount.source {
            MountSource::Volume { name: Some(name), .. } => option("-v", format!("{name}:{to}{mode}")),
            MountSource::Volume { name: None, .. } => option("-v", to.to_string()),
            MountSource::Bind { path, .. } => option("-v", format!("{}:{to}{mode}", path.display())),
            MountSource::Tmpfs { .. } => option("--tmpfs", to.to_string()),
        }
    }
    for variable in &config.environment {
        option("-e", variable.split('=').next().unwrap_or_default().to_owned());
    }
    if let Some(bytes) = config.limits.memory_bytes {
        option("--memory", bytes.to_string());
    }
    if let Some(nano) = config.limits.nano_cpus {
        #[expect(clippy::cast_precision_loss, reason = "a handful of cores")]
        option("--cpus", (nano as f64 / 1e9).to_string());
    }
    if restart(config) != "no" {
        option("--restart", restart(config));
    }
    words.push(quote(&config.image));
    words.extend(config.command.iter().flatten().map(|word| quote(word)));
    words.join(" ")
}

/// As a POSIX shell reads it back.
fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%_+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_quotes_what_a_shell_would_split_and_leaves_values_out() {
        let config = ContainerConfig {
            image: "busybox".into(),
            command: Some(vec!["sh".into(), "-c".into(), "echo 'a b'".into()]),
            environment: vec!["PASSWORD=secret".into()],
            ..ContainerConfig::default()
        };
        let command = docker_command(Some("web"), &config);
        assert_eq!(command, r"docker run -d --name web -e PASSWORD busybox sh -c 'echo '\''a b'\'''");
    }
}

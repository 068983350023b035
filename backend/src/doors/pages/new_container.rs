//! `GET /containers/new` and its form: image, ports, volumes, variables, limits; the same thing as a docker command.

use actix_web::{HttpResponse, web};
use askama::Template;
use sampan_engine::containers::config::{
    ContainerConfig, Mount, MountSource, Network, PortRequest, Protocol, RestartPolicy,
};
use serde::Deserialize;

use super::container::configuration::docker_command;
use super::error::PageError;
use super::frame::Frame;
use super::reader::Reader;
use crate::app::App;
use crate::policy::action::{List, Start};
use crate::policy::{Denied, Images};
use crate::service;
use crate::texts::Texts;

/// The form as it was typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Form {
    csrf: String,
    image: String,
    name: String,
    command: String,
    tty: bool,
    network: String,
    ports: String,
    volumes: String,
    environment: String,
    memory: String,
    cpus: String,
    restart: String,
    start: bool,
}

/// What the address may bring along.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Query {
    image: String,
}

#[derive(Template)]
#[template(path = "new_container.html")]
struct Page {
    frame: Frame,
    form: Form,
    images: Vec<String>,
    error: Option<String>,
    docker_command: String,
}

/// The empty form.
pub async fn show(app: web::Data<App>, reader: Reader, query: web::Query<Query>) -> Result<HttpResponse, PageError> {
    page(&app, &reader, Form { image: query.image.clone(), ..Form::default() }, None).await
}

/// Makes it, and starts it where asked. What was wrong is said above the form, which keeps what was typed.
pub async fn create(app: web::Data<App>, reader: Reader, form: web::Form<Form>) -> Result<HttpResponse, PageError> {
    let form = form.into_inner();
    reader.check(&form.csrf)?;
    let config = match config(&form, reader.t) {
        Ok(config) => config,
        Err(error) => return page(&app, &reader, form, Some(error)).await,
    };
    let name = Some(form.name.trim().to_owned()).filter(|name| !name.is_empty());
    let target = match app.policy().new_container(&reader.caller, name, config).await {
        Err(error @ Denied::Folder { .. }) => return page(&app, &reader, form, Some(error.to_string())).await,
        target => target.map_err(|e| reader.refuse(e))?,
    };
    let created = match service::containers::create(&app, target).await {
        Ok(created) => created,
        Err(error) => return page(&app, &reader, form, Some(reader.words(&error))).await,
    };
    let place = format!("/containers/{}", created.id);
    if !form.start {
        return Ok(reader.back(&place, "ok", &created.warnings.join(" ")));
    }
    let target = app.policy().container::<Start>(&reader.caller, &created.id).map_err(|e| reader.refuse(e))?;
    match service::containers::start(&app, target).await {
        Ok(()) => Ok(reader.back(&place, "ok", &reader.t.get("state-running"))),
        Err(error) => Ok(reader.back_with(&place, &error)),
    }
}

async fn page(app: &App, reader: &Reader, form: Form, error: Option<String>) -> Result<HttpResponse, PageError> {
    let target = app.policy().team::<List, _>(&reader.caller, Images).map_err(|e| reader.refuse(e))?;
    let images = service::images::list(app, &target).await.map_err(|e| reader.refuse(e))?;
    let docker_command = config(&form, reader.t)
        .map(|config| docker_command(Some(form.name.trim()).filter(|name| !name.is_empty()), &config))
        .unwrap_or_default();
    reader.page(&Page {
        frame: reader.frame(app, "containers").await.map_err(|e| reader.refuse(e))?,
        images: images.iter().flat_map(|image| image.tags.iter().map(|tag| tag.familiar())).collect(),
        error,
        docker_command,
        form,
    })
}

/// The form as the engine's description, or the sentence that says which line cannot be read.
fn config(form: &Form, t: Texts) -> Result<ContainerConfig, String> {
    let bad = |what: &str, line: &str| t.with2("new-bad-line", line.to_owned(), t.get(what));
    let lines = |text: &'_ str| -> Vec<String> {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    let mut config = ContainerConfig {
        image: form.image.trim().to_owned(),
        command: words(&form.command).filter(|words| !words.is_empty()),
        tty: form.tty,
        open_stdin: form.tty,
        environment: lines(&form.environment),
        network: if form.network == "none" { Network::None } else { Network::Bridge },
        ..ContainerConfig::default()
    };
    if !form.command.trim().is_empty() && config.command.is_none() {
        return Err(bad("command", &form.command));
    }
    for line in lines(&form.ports) {
        config.ports.push(port(&line).ok_or_else(|| bad("ports", &line))?);
    }
    for line in lines(&form.volumes) {
        config.mounts.push(volume(&line).ok_or_else(|| bad("nav-volumes", &line))?);
    }
    if !form.memory.trim().is_empty() {
        config.limits.memory_bytes = Some(size(&form.memory).ok_or_else(|| bad("memory", &form.memory))?);
    }
    if !form.cpus.trim().is_empty() {
        let cpus: f64 = form.cpus.trim().parse().map_err(|_| bad("cpu", &form.cpus))?;
        if !(cpus > 0.0 && cpus < 100_000.0) {
            return Err(bad("cpu", &form.cpus));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just above")]
        let nano = (cpus * 1e9) as u64;
        config.limits.nano_cpus = Some(nano);
    }
    config.restart = match form.restart.as_str() {
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => RestartPolicy::OnFailure { max_retries: 0 },
        _ => RestartPolicy::No,
    };
    Ok(config)
}

/// `[[address:]host:]container[/protocol]`.
fn port(line: &str) -> Option<PortRequest> {
    let (rest, protocol) = match line.rsplit_once('/') {
        Some((rest, "udp")) => (rest, Protocol::Udp),
        Some((rest, "tcp")) => (rest, Protocol::Tcp),
        Some(_) => return None,
        None => (line, Protocol::Tcp),
    };
    let parts: Vec<&str> = rest.split(':').collect();
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let host = |text: &str| number(text).map(|port| Some((port, port)));
    let (host_address, host_ports, container) = match parts.as_slice() {
        [container] => (None, None, container),
        [port, container] => (None, host(port)?, container),
        [address, port, container] => (Some(address.parse().ok()?), host(port)?, container),
        _ => return None,
    };
    Some(PortRequest { host_address, host_ports, container_port: number(container)?, protocol })
}

/// `volume:/folder[:ro]`, or an absolute path on the host instead of the volume, which is never made where it is missing.
fn volume(line: &str) -> Option<Mount> {
    let mut parts = line.split(':');
    let (name, destination) = (parts.next()?, parts.next()?);
    let read_only = match parts.next() {
        None | Some("rw") => false,
        Some("ro") => true,
        Some(_) => return None,
    };
    let absolute = |text: &str| text.starts_with('/') && !text.split('/').any(|part| part == "..");
    if absolute(name) && absolute(destination) && parts.next().is_none() {
        let (path, create) = (name.into(), false);
        let source = MountSource::Bind { path, create, propagation: None, non_recursive: false, granted: false };
        return Some(Mount { source, destination: destination.into(), read_only });
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let named = !name.is_empty() && name.chars().all(plain);
    if !named || !destination.starts_with('/') || parts.next().is_some() {
        return None;
    }
    let source = MountSource::Volume { name: Some(name.to_owned()), no_copy: false };
    Some(Mount { source, destination: destination.into(), read_only })
}

/// `512m`, `1.5g`, `1048576`.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (number, unit) = match text.char_indices().last()? {
        (at, 'k') => (&text[..at], 1_u64 << 10),
        (at, 'm') => (&text[..at], 1 << 20),
        (at, 'g') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let number: f64 = number.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "a unit")]
    let bytes = number * unit as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked here")]
    (1.0..9e15).contains(&bytes).then_some(bytes as u64)
}

/// A command line split at blanks, quotes grouping; `None` when a quote stays open. No shell is involved.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().push(chars.next()?),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_as_a_person_means_it() {
        let split = |text: &str| words(text).map(|words| words.join("|"));
        assert_eq!(split(r#"sh -c "echo 'a b'" x\ y ''"#).as_deref(), Some("sh|-c|echo 'a b'|x y|"));
        assert_eq!(split("echo 'open"), None);
    }

    #[test]
    fn ports_sizes_and_volumes_are_read_or_refused() {
        let read = port("127.0.0.1:8080:80/udp").expect("a port");
        assert_eq!((read.host_ports, read.container_port, read.protocol), (Some((8080, 8080)), 80, Protocol::Udp));
        for wrong in ["", "0", "80:", "1:2:3:4", "x:80", "80/sctp", "70000:80", ":80"] {
            assert_eq!(port(wrong), None, "{wrong}");
        }
        assert_eq!(
            (size("512m"), size("1.5g"), size("x"), size("-1")),
            (Some(536_870_912), Some(1_610_612_736), None, None)
        );
        assert!(volume("data:/d:ro").is_some_and(|mount| mount.read_only));
        assert!(
            volume("/srv/shared:/d")
                .is_some_and(|mount| matches!(mount.source, MountSource::Bind { create: false, .. }))
        );
        for wrong in ["/srv/../etc:/e", "/etc:/e:rw:z", "data", "data:relative", "data:/d:rw:z", "da ta:/d"] {
            assert_eq!(volume(wrong), None, "{wrong}");
        }
    }
}

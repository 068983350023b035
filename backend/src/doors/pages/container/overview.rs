//! `GET /containers/{id}`: why it ended first, then use against limits, then isolation.

use actix_web::{HttpResponse, web};
use askama::Template;
use sampan_engine::containers::config::{Network, Seccomp};
use sampan_engine::containers::{Container, HealthStatus, MountKind, ProbeResult, State};
use sampan_engine::stats::Sample;

use super::super::error::PageError;
use super::super::frame::Frame;
use super::super::meter::{Fact, Meter};
use super::super::reader::{Part, Reader};
use super::super::words::{clock, duration, exit_sentence, memory};
use super::Head;
use crate::app::App;
use crate::policy::action::{Stats, View};
use crate::service;
use crate::texts::Texts;

#[derive(Template)]
#[template(path = "container_overview.html")]
struct Whole {
    frame: Frame,
    head: Head,
    ended: Option<Ended>,
    meters: Vec<Meter>,
    runs_as: Vec<Fact>,
    ports: Vec<Fact>,
    mounts: Vec<Fact>,
    health: Option<HealthCard>,
    isolation: Isolation,
}

#[derive(Template)]
#[template(path = "container_overview.html", block = "live")]
struct Live<'a> {
    frame: &'a Frame,
    head: &'a Head,
    ended: &'a Option<Ended>,
    meters: &'a [Meter],
    runs_as: &'a [Fact],
    ports: &'a [Fact],
    mounts: &'a [Fact],
    health: &'a Option<HealthCard>,
    isolation: &'a Isolation,
}

/// What its health check found.
struct HealthCard {
    /// The present word; none while it does not run.
    word: Option<String>,
    facts: Vec<Fact>,
    /// Newest first.
    results: Vec<ProbeLine>,
}

struct ProbeLine {
    at: String,
    code: String,
    output: String,
}

struct Ended {
    tone: &'static str,
    title: String,
    text: String,
}

struct Isolation {
    note: String,
    pid: Option<i32>,
    namespaces: Vec<Namespace>,
    id_map: String,
    facts: Vec<Fact>,
}

struct Namespace {
    name: String,
    number: String,
    host: bool,
}

/// The page, or its live part.
pub async fn show(
    app: web::Data<App>,
    reader: Reader,
    id: web::Path<String>,
    part: web::Query<Part>,
) -> Result<HttpResponse, PageError> {
    let target = app.policy().container::<View>(&reader.caller, &id).map_err(|e| reader.refuse(e))?;
    let container = service::containers::inspect(&app, &target).map_err(|e| reader.refuse(e))?;
    let sample = if container.state.is_alive() { sample(&app, &reader, &id).await } else { None };
    // It may end at any moment; the page is whole without them.
    let spaces = match container.state.is_alive() {
        true => service::containers::namespaces(&app, &target).await.unwrap_or_default(),
        false => Vec::new(),
    };
    let t = reader.t;
    let whole = Whole {
        head: Head::of(&container, t, "overview"),
        ended: ended(&container, t),
        meters: sample.as_ref().map(|sample| meters(sample, t)).unwrap_or_default(),
        runs_as: runs_as(&container, t),
        ports: ports(&container),
        mounts: mounts(&container),
        health: health(&container, t),
        isolation: isolation(&container, &spaces, t),
        frame: reader.frame(&app, "containers").await.map_err(|e| reader.refuse(e))?,
    };
    if part.wanted() {
        let Whole { frame, head, ended, meters, runs_as, ports, mounts, health, isolation } = &whole;
        return reader.page(&Live { frame, head, ended, meters, runs_as, ports, mounts, health, isolation });
    }
    reader.page(&whole)
}

/// A reading, for a page that is whole without one: the container may end at any moment.
async fn sample(app: &App, reader: &Reader, id: &str) -> Option<std::sync::Arc<Sample>> {
    let target = app.policy().container::<Stats>(&reader.caller, id).ok()?;
    service::containers::sample(app, &target).await.ok()
}

fn ended(container: &Container, t: Texts) -> Option<Ended> {
    let run = &container.run;
    if !run.error.is_empty() && !container.state.is_alive() {
        let text = t.with("ended-start-text", run.error.clone());
        return Some(Ended { tone: "bad", title: t.with("ended-failed", "125"), text });
    }
    let at = clock(run.finished_at_ns?);
    if container.state == State::Created || (container.state.is_alive() && run.restarts == 0) {
        return None;
    }
    if run.out_of_memory {
        let limit = container.config.limits.memory_bytes.map_or_else(|| t.get("no-limit"), memory);
        return Some(Ended { tone: "bad", title: t.get("ended-oom"), text: t.with2("ended-oom-text", at, limit) });
    }
    let code = run.exit_code;
    let asked = run.stopped_by_person && matches!(code, Some(137 | 143));
    let tone = if code == Some(0) || asked { "" } else { "bad" };
    let title = code.map_or_else(|| t.get("state-unknown-exit"), |code| t.with("ended-failed", i64::from(code)));
    Some(Ended { tone, title, text: t.with2("ended-text", at, exit_sentence(t, code)) })
}

/// Use against limits; the container's own limit where it has one.
pub(super) fn meters(sample: &Sample, t: Texts) -> Vec<Meter> {
    #[expect(clippy::cast_precision_loss, reason = "shares of a bar")]
    let number = |value: u64| value as f64;
    let used = sample.memory_bytes.saturating_sub(sample.memory_inactive_file_bytes);
    let limit = (sample.memory_limit_bytes > 0)
        .then(|| (number(sample.memory_limit_bytes), t.with("of-limit", memory(sample.memory_limit_bytes))));
    let pids =
        (sample.pids_limit > 0).then(|| (number(sample.pids_limit), t.with("of-limit", sample.pids_limit.to_string())));
    vec![
        Meter::new(t, &t.get("memory"), (number(used), memory(used)), limit),
        Meter::new(t, &t.get("processes"), (number(sample.pids), sample.pids.to_string()), pids),
    ]
}

fn runs_as(container: &Container, t: Texts) -> Vec<Fact> {
    let resolved = &container.resolved;
    let user = if resolved.user.is_empty() { "root" } else { &resolved.user };
    vec![
        Fact::mono(t.get("image"), &container.config.image),
        Fact::mono(t.get("image-id"), container.image_id.chars().take(19).collect::<String>()),
        Fact::mono(t.get("command"), resolved.arguments.join(" ")),
        Fact::mono(t.get("user"), user),
        Fact::mono(t.get("working-directory"), resolved.working_directory.display().to_string()),
    ]
}

/// None for one without a health check.
fn health(container: &Container, t: Texts) -> Option<HealthCard> {
    let probe = container.resolved.healthcheck.as_ref()?;
    let command = match probe.test.split_first()? {
        (kind, words) if kind == "CMD" || kind == "CMD-SHELL" => words.join(" "),
        _ => return None,
    };
    let or = |nanoseconds: i64| if nanoseconds == 0 { 30_000_000_000 } else { nanoseconds };
    let found = container.run.health.as_ref();
    let word = found.filter(|_| container.state.is_alive()).map(|health| match health.status {
        HealthStatus::Starting => t.get("state-starting"),
        HealthStatus::Healthy => t.get("state-healthy"),
        HealthStatus::Unhealthy => t.get("state-unhealthy"),
    });
    let streak = found.map_or(0, |health| health.failing_streak).to_string();
    let retries = if probe.retries == 0 { 3 } else { probe.retries }.to_string();
    let times = t.with2("health-times", duration(t, or(probe.interval_ns)), duration(t, or(probe.timeout_ns)));
    let line = |result: &ProbeResult| ProbeLine {
        at: clock(result.start_ns),
        code: match result.exit_code {
            -1 => t.get("health-broken"),
            code => t.with("health-code", i64::from(code)),
        },
        output: result.output.clone(),
    };
    Some(HealthCard {
        word,
        facts: vec![
            Fact::mono(t.get("command"), command),
            Fact::words(t.get("health-check"), times),
            Fact::words(t.get("health-streak"), t.with2("health-streak-of", streak, retries)),
        ],
        results: found.iter().flat_map(|health| health.log.iter().rev()).map(line).collect(),
    })
}

fn ports(container: &Container) -> Vec<Fact> {
    let mut facts: Vec<Fact> = container
        .run
        .ports
        .iter()
        .map(|port| {
            let protocol = format!("{:?}", port.protocol).to_lowercase();
            Fact::mono(
                format!("{}/{protocol}", port.container_port),
                format!("{}:{}", port.host_address, port.host_port),
            )
        })
        .collect();
    if let Some(endpoint) = &container.run.endpoint {
        facts.insert(0, Fact::mono("eth0", format!("{}/{}", endpoint.address, endpoint.prefix)));
    }
    facts
}

fn mounts(container: &Container) -> Vec<Fact> {
    let what = |mount: &sampan_engine::containers::MountPoint| match mount.kind {
        MountKind::Volume => mount.volume.clone().unwrap_or_default(),
        MountKind::Bind => mount.source.display().to_string(),
        MountKind::Tmpfs => "tmpfs".to_owned(),
    };
    let mode = |mount: &sampan_engine::containers::MountPoint| if mount.read_only { " (ro)" } else { "" };
    let fact = |mount| Fact::mono(mount_destination(mount), format!("{}{}", what(mount), mode(mount)));
    container.resolved.mounts.iter().map(fact).collect()
}

fn mount_destination(mount: &sampan_engine::containers::MountPoint) -> String {
    mount.destination.display().to_string()
}

fn isolation(container: &Container, spaces: &[(String, u64)], t: Texts) -> Isolation {
    let security = &container.config.security;
    let host_user = security.user_namespace_host || security.privileged;
    let first = container.owner.base_id;
    let pid = container.run.pid.filter(|_| container.state.is_alive());
    let seccomp = match security.seccomp {
        _ if security.privileged => "seccomp-unconfined",
        Seccomp::Default => "seccomp-default",
        Seccomp::Unconfined => "seccomp-unconfined",
        Seccomp::Custom { .. } => "seccomp-custom",
    };
    let mut privileges = Vec::new();
    if security.privileged {
        privileges.push(t.get("privileged"));
    }
    if security.no_new_privileges {
        privileges.push(t.get("no-new-privileges"));
    }
    let root = if security.read_only_root { "read-only" } else { "writable" };
    let mut facts =
        vec![Fact::words(t.get("seccomp"), t.get(seccomp)), Fact::words(t.get("root-file-system"), t.get(root))];
    let changed: Vec<String> = (security.capabilities_add.iter().map(|name| format!("+{name}")))
        .chain(security.capabilities_drop.iter().map(|name| format!("-{name}")))
        .collect();
    let capabilities = if changed.is_empty() { t.get("seccomp-default") } else { changed.join(" ") };
    facts.push(Fact::words(t.get("capabilities"), capabilities));
    if !privileges.is_empty() {
        facts.push(Fact::words(t.get("privileges"), privileges.join(", ")));
    }
    facts.push(Fact::mono(
        t.get("cgroup"),
        format!("{}/{}", container.owner.key, &container.id[..12.min(container.id.len())]),
    ));
    Isolation {
        note: t.get(if host_user { "isolation-host" } else { "isolation-mapped" }),
        pid,
        namespaces: namespaces(spaces, container),
        id_map: if host_user {
            t.get("id-map-host")
        } else {
            t.with2("id-map-text", first.to_string(), (first + 65_535).to_string())
        },
        facts,
    }
}

/// Numbers of the namespaces as the kernel says, and which are the host's own.
fn namespaces(spaces: &[(String, u64)], container: &Container) -> Vec<Namespace> {
    let security = &container.config.security;
    let host = |name: &str| match name {
        "user" => security.user_namespace_host || security.privileged,
        "pid" => security.pid == sampan_engine::containers::config::NamespaceMode::Host,
        "net" => container.config.network == Network::Host,
        "ipc" => security.ipc == sampan_engine::containers::config::NamespaceMode::Host,
        "uts" => security.uts_host,
        "cgroup" => security.cgroup_host,
        _ => false,
    };
    spaces
        .iter()
        .map(|(name, number)| Namespace { name: name.clone(), number: number.to_string(), host: host(name) })
        .collect()
}

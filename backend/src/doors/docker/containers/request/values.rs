//! Single values of a create request.

use std::collections::BTreeMap;

use sampan_engine::containers::config::{ExposedPort, Healthcheck};

use crate::doors::docker::containers::config::{self, Config, Words};
use crate::doors::docker::containers::ports;
use crate::doors::docker::error::DockerError;

pub(super) fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// dockerd: a command of no words is as if it was not sent; an entry point of one empty word resets the image's.
pub(super) fn words(words: Option<&Words>) -> Option<Vec<String>> {
    let words = &words?.0;
    match words.as_slice() {
        [] => None,
        [single] if single.is_empty() => Some(Vec::new()),
        _ => Some(words.clone()),
    }
}

pub(super) fn working_directory(text: &str) -> Result<Option<std::path::PathBuf>, DockerError> {
    match text {
        "" => Ok(None),
        absolute if absolute.starts_with('/') => Ok(Some(absolute.into())),
        relative => Err(DockerError::invalid(format!(
            "the working directory '{relative}' is invalid, it needs to be an absolute path"
        ))),
    }
}

pub(super) fn oom_score(score: i32) -> Result<Option<i32>, DockerError> {
    if (-1000..=1000).contains(&score) {
        return Ok(Some(score).filter(|score| *score != 0));
    }
    Err(DockerError::invalid(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]")))
}

pub(super) fn shm_bytes(size: i64) -> Result<Option<u64>, DockerError> {
    let size = u64::try_from(size).map_err(|_| DockerError::invalid("SHM size can not be less than 0"))?;
    Ok(Some(size).filter(|size| *size != 64 << 20))
}

/// Rows and columns; a zero is "not known".
pub(super) fn terminal_size(size: [u32; 2]) -> Option<(u16, u16)> {
    match size.map(|length| u16::try_from(length).unwrap_or(u16::MAX)) {
        [0, _] | [_, 0] => None,
        [rows, columns] => Some((rows, columns)),
    }
}

pub(super) fn exposed_ports(config: &Config) -> Result<Vec<ExposedPort>, DockerError> {
    let mut read = Vec::new();
    for text in config.exposed_ports.iter().flat_map(BTreeMap::keys) {
        read.extend(ports::read_exposed(text)?);
    }
    Ok(read)
}

pub(super) fn addresses(texts: &[String]) -> Result<Vec<std::net::Ipv4Addr>, DockerError> {
    let read = |text: &String| match text.parse() {
        Ok(std::net::IpAddr::V4(address)) => Ok(address),
        Ok(std::net::IpAddr::V6(_)) => {
            Err(DockerError::unsupported(format!("HostConfig.Dns {text}: IPv6 is not there yet")))
        }
        Err(_) => Err(DockerError::invalid(format!("invalid DNS address: {text:?}"))),
    };
    texts.iter().map(read).collect()
}

/// Six octets of two hexadecimal digits with colons or hyphens between them, those of one interface (not a group's).
pub(super) fn mac_address(text: &str) -> Result<[u8; 6], DockerError> {
    let octet = |text: &str| u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
    let octets: Option<Vec<u8>> = text.split(if text.contains('-') { '-' } else { ':' }).map(octet).collect();
    octets
        .and_then(|octets| <[u8; 6]>::try_from(octets).ok())
        .filter(|octets| octets[0] & 1 == 0 && *octets != [0; 6])
        .ok_or_else(|| DockerError::invalid(format!("invalid MAC address: {text:?}")))
}

/// `name:address`, `name:[address]`, `name:host-gateway`.
pub(super) fn extra_hosts(texts: &[String]) -> Result<Vec<String>, DockerError> {
    for text in texts {
        let right = text.split_once(':').is_some_and(|(name, address)| {
            let bare = address.trim_start_matches('[').trim_end_matches(']');
            !name.is_empty() && (address == "host-gateway" || bare.parse::<std::net::IpAddr>().is_ok())
        });
        if !right {
            return Err(DockerError::invalid(format!("bad format for add-host: {text:?}")));
        }
    }
    Ok(texts.to_vec())
}

/// Bounds: moby `daemon/container.go`, `validateHealthCheck`.
pub(super) fn healthcheck(probe: &config::Healthcheck) -> Result<Healthcheck, DockerError> {
    const LEAST_NS: i64 = 1_000_000;
    for (name, value) in [
        ("Interval", probe.interval),
        ("Timeout", probe.timeout),
        ("StartPeriod", probe.start_period),
        ("StartInterval", probe.start_interval),
    ] {
        if value != 0 && value < LEAST_NS {
            return Err(DockerError::invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    let retries =
        u32::try_from(probe.retries).map_err(|_| DockerError::invalid("Retries in Healthcheck cannot be negative"))?;
    Ok(Healthcheck {
        test: probe.test.clone(),
        interval_ns: probe.interval,
        timeout_ns: probe.timeout,
        start_period_ns: probe.start_period,
        start_interval_ns: probe.start_interval,
        retries,
    })
}

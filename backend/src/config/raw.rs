//! The texts of the settings, each with the place it came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::names::{self, SETTINGS, Setting};

/// The flags of commands that start or talk to an instance; each also as a variable and in the TOML file.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// From [`crate::cli::Place`], since it may stand anywhere.
    #[arg(skip)]
    pub config: Option<PathBuf>,
    /// From [`crate::cli::Place`], since it may stand anywhere.
    #[arg(skip)]
    pub data_root: Option<String>,
    /// Where sockets and pids lie [env: SAMPAN_STATE_ROOT] [default: /run/sampan]
    #[arg(long, value_name = "DIR")]
    pub state_root: Option<String>,
    /// Address of the dashboard, REST and websockets [env: SAMPAN_HTTP] [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
    /// Address of the same over TLS, and of the registry for other hosts [env: SAMPAN_HTTPS]
    #[arg(long, value_name = "ADDR")]
    pub https: Option<String>,
    /// Certificate chain for --https, PEM; without, a local authority signs one [env: SAMPAN_TLS_CERTIFICATE]
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: Option<String>,
    /// Its key, PEM [env: SAMPAN_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<String>,
    /// Unix socket of the Docker Engine API [env: SAMPAN_DOCKER_SOCK] [default: /run/sampan/docker.sock]
    #[arg(long, value_name = "PATH")]
    pub docker_sock: Option<String>,
    /// Host group that may use that socket as root may [env: SAMPAN_DOCKER_GROUP]
    #[arg(long, value_name = "GROUP")]
    pub docker_group: Option<String>,
    /// How layers are stored: auto, erofs or folders [env: SAMPAN_STORAGE] [default: auto]
    #[arg(long, value_name = "BACKEND")]
    pub storage: Option<String>,
    /// Networks for bridges, separated by commas [env: SAMPAN_ADDRESS_POOLS] [default: 10.210.0.0/16]
    #[arg(long, value_name = "NETWORKS")]
    pub address_pools: Option<String>,
    /// Pre-made sandboxes per active team and kind of network [env: SAMPAN_CRADLES] [default: 2]
    #[arg(long, value_name = "NUMBER")]
    pub cradles: Option<String>,
    /// Minutes without use after which a browser logs in again [env: SAMPAN_SESSION_IDLE_MINUTES] [default: 720]
    #[arg(long, value_name = "MINUTES")]
    pub session_idle_minutes: Option<String>,
    /// How browsers reach Sampan behind a proxy [env: SAMPAN_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Proxies whose X-Forwarded-For is believed, separated by commas [env: SAMPAN_TRUSTED_PROXIES]
    #[arg(long, value_name = "ADDRESSES")]
    pub trusted_proxies: Option<String>,
    /// Proxy to registries without TLS [env: SAMPAN_HTTP_PROXY]
    #[arg(long, value_name = "URL")]
    pub http_proxy: Option<String>,
    /// Proxy to registries with TLS [env: SAMPAN_HTTPS_PROXY]
    #[arg(long, value_name = "URL")]
    pub https_proxy: Option<String>,
    /// Registries that are reached without a proxy, separated by commas [env: SAMPAN_NO_PROXY]
    #[arg(long, value_name = "HOSTS")]
    pub no_proxy: Option<String>,
}

impl Flags {
    fn texts(&self) -> [(&'static Setting, Option<&String>); 17] {
        [
            (&names::DATA_ROOT, self.data_root.as_ref()),
            (&names::STATE_ROOT, self.state_root.as_ref()),
            (&names::HTTP, self.http.as_ref()),
            (&names::HTTPS, self.https.as_ref()),
            (&names::TLS_CERTIFICATE, self.tls_certificate.as_ref()),
            (&names::TLS_KEY, self.tls_key.as_ref()),
            (&names::DOCKER_SOCK, self.docker_sock.as_ref()),
            (&names::DOCKER_GROUP, self.docker_group.as_ref()),
            (&names::STORAGE, self.storage.as_ref()),
            (&names::ADDRESS_POOLS, self.address_pools.as_ref()),
            (&names::CRADLES, self.cradles.as_ref()),
            (&names::SESSION_IDLE_MINUTES, self.session_idle_minutes.as_ref()),
            (&names::PUBLIC_URL, self.public_url.as_ref()),
            (&names::TRUSTED_PROXIES, self.trusted_proxies.as_ref()),
            (&names::HTTP_PROXY, self.http_proxy.as_ref()),
            (&names::HTTPS_PROXY, self.https_proxy.as_ref()),
            (&names::NO_PROXY, self.no_proxy.as_ref()),
        ]
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not TOML", .path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The file has a key that does not exist.
    #[error("{}: there is no key `{key}`; the keys are {}", .path.display(), known_keys())]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// A value does not fit.
    #[error("{place} is `{value}`, but must be {right}")]
    Wrong {
        /// File and key, variable, or flag.
        place: String,
        /// What it says.
        value: String,
        /// What is right.
        right: &'static str,
    },
}

fn known_keys() -> String {
    SETTINGS.iter().map(|setting| setting.key).collect::<Vec<_>>().join(", ")
}

/// The text of one setting and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) place: String,
}

/// All settings as texts.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    found: BTreeMap<&'static str, Found>,
}

impl Raw {
    /// Reads flags, the environment and the file.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that cannot be read, is not TOML, or has an unknown key.
    pub fn read(flags: &Flags) -> Result<Self, ConfigError> {
        Self::layered(flags, |name| std::env::var(name).ok())
    }

    /// As [`Raw::read`], with a given environment.
    pub(super) fn layered(flags: &Flags, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut raw = Self::default();
        let file = flags.config.clone().or_else(|| variable(names::CONFIG_VARIABLE).map(PathBuf::from));
        if let Some(file) = file {
            raw.add_file(&file)?;
        }
        for setting in SETTINGS {
            if let Some(text) = variable(setting.variable) {
                raw.found.insert(setting.key, Found { text, place: format!("the variable {}", setting.variable) });
            }
        }
        for (setting, text) in flags.texts() {
            if let Some(text) = text {
                let place = format!("the flag --{}", setting.flag());
                raw.found.insert(setting.key, Found { text: text.clone(), place });
            }
        }
        Ok(raw)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let table: toml::Table = toml::from_str(&text)
            .map_err(|source| ConfigError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        for (key, value) in table {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
                return Err(ConfigError::UnknownKey { path: path.to_owned(), key });
            };
            let place = format!("{}, key `{key}`", path.display());
            let Some(text) = plain(&value) else {
                return Err(ConfigError::Wrong { place, value: value.to_string(), right: setting.right });
            };
            self.found.insert(setting.key, Found { text, place });
        }
        Ok(())
    }

    /// The text of `setting`, or its default.
    pub(super) fn get(&self, setting: &Setting) -> Option<Found> {
        self.found.get(setting.key).cloned().or_else(|| {
            let text = setting.default?.to_owned();
            Some(Found { text, place: format!("the default of `{}`", setting.key) })
        })
    }
}

/// Texts, numbers, and lists of texts as the variables would say them.
fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
            Some(texts?.join(","))
        }
        _ => None,
    }
}

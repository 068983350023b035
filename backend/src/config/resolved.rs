//! The settings, checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sampan_engine::upstream::Proxies;

use super::names::{self, Setting};
use super::raw::{ConfigError, Found, Raw};

/// Longest path of a unix socket: `sun_path` of unix(7) without its final zero.
const SOCKET_PATH_BYTES: usize = 107;

/// Settings of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Images, volumes, containers, database.
    pub data_root: PathBuf,
    /// Sockets and pids.
    pub state_root: PathBuf,
    /// Pages, REST, websockets.
    pub http: SocketAddr,
    /// The same over TLS.
    pub https: Option<SocketAddr>,
    /// Files of certificate and key for it; `None`: a local authority signs one.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Docker Engine API.
    pub docker_sock: PathBuf,
    /// Name or number of the host group that may use that socket.
    pub docker_group: Option<String>,
    /// How layers are stored.
    pub storage: Storage,
    /// Where bridges take their networks from.
    pub address_pools: Vec<AddressPool>,
    /// Pre-made sandboxes per active team and kind of network.
    pub cradles: u32,
    /// A session ends after so long without use.
    pub session_idle: Duration,
    /// How browsers reach Sampan (`https://host[:port]`), when it is not by the address itself.
    pub public_url: Option<String>,
    /// Proxies whose forwarded addresses are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Through what other servers are reached.
    pub proxies: Proxies,
}

/// How layers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// What the host can do best.
    Auto,
    /// Tars with EROFS indexes.
    Erofs,
    /// Plain folders.
    Folders,
}

/// One network to take smaller ones from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    /// First address.
    pub network: Ipv4Addr,
    /// Length of the prefix, 8 to 24.
    pub prefix: u8,
}

impl Config {
    /// Checks every text.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] names the place, the value and what is right.
    pub fn resolve(raw: &Raw) -> Result<Self, ConfigError> {
        Ok(Self {
            data_root: required(raw, &names::DATA_ROOT, absolute)?,
            state_root: required(raw, &names::STATE_ROOT, absolute)?,
            http: required(raw, &names::HTTP, |text| text.parse().ok())?,
            https: optional(raw, &names::HTTPS, |text| text.parse().ok())?,
            tls: tls(raw)?,
            docker_sock: required(raw, &names::DOCKER_SOCK, |text| {
                absolute(text).filter(|path| path.as_os_str().len() <= SOCKET_PATH_BYTES)
            })?,
            docker_group: optional(raw, &names::DOCKER_GROUP, |text| (!text.is_empty()).then(|| text.to_owned()))?,
            storage: required(raw, &names::STORAGE, storage)?,
            address_pools: required(raw, &names::ADDRESS_POOLS, pools)?,
            cradles: required(raw, &names::CRADLES, |text| text.parse().ok().filter(|number| *number <= 16))?,
            session_idle: required(raw, &names::SESSION_IDLE_MINUTES, |text| {
                let minutes = text.parse().ok().filter(|minutes| (5..=43_200_u64).contains(minutes))?;
                Some(Duration::from_secs(minutes * 60))
            })?,
            public_url: optional(raw, &names::PUBLIC_URL, origin)?,
            trusted_proxies: optional(raw, &names::TRUSTED_PROXIES, |text| {
                text.split(',').map(|address| address.trim().parse().ok()).collect()
            })?
            .unwrap_or_default(),
            proxies: Proxies {
                http: optional(raw, &names::HTTP_PROXY, proxy)?,
                https: optional(raw, &names::HTTPS_PROXY, proxy)?,
                none_for: optional(raw, &names::NO_PROXY, |text| (!text.is_empty()).then(|| text.to_owned()))?,
            },
        })
    }
}

/// Certificate and key come together or not at all.
fn tls(raw: &Raw) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
    let certificate = optional(raw, &names::TLS_CERTIFICATE, absolute)?;
    let key = optional(raw, &names::TLS_KEY, absolute)?;
    let lacks = |setting: &Setting| ConfigError::Wrong {
        place: format!("the setting `{}`", setting.key),
        value: String::new(),
        right: setting.right,
    };
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(lacks(&names::TLS_KEY)),
        (None, Some(_)) => Err(lacks(&names::TLS_CERTIFICATE)),
    }
}

/// Also with a user's name and password.
fn proxy(text: &str) -> Option<String> {
    let scheme = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    scheme.is_some_and(|rest| !rest.is_empty()).then(|| text.to_owned())
}

fn optional<T>(raw: &Raw, setting: &Setting, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, ConfigError> {
    let Some(Found { text, place }) = raw.get(setting) else { return Ok(None) };
    match parse(text.trim()) {
        Some(value) => Ok(Some(value)),
        None => Err(ConfigError::Wrong { place, value: text, right: setting.right }),
    }
}

fn required<T>(raw: &Raw, setting: &Setting, parse: impl Fn(&str) -> Option<T>) -> Result<T, ConfigError> {
    optional(raw, setting, parse)?.ok_or_else(|| ConfigError::Wrong {
        place: format!("the setting `{}`", setting.key),
        value: String::new(),
        right: setting.right,
    })
}

fn absolute(text: &str) -> Option<PathBuf> {
    let path = PathBuf::from(text);
    path.is_absolute().then_some(path)
}

fn storage(text: &str) -> Option<Storage> {
    match text {
        "auto" => Some(Storage::Auto),
        "erofs" => Some(Storage::Erofs),
        "folders" => Some(Storage::Folders),
        _ => None,
    }
}

fn pools(text: &str) -> Option<Vec<AddressPool>> {
    text.split(',').map(|pool| pool_of(pool.trim())).collect()
}

fn pool_of(text: &str) -> Option<AddressPool> {
    let (network, prefix) = text.split_once('/')?;
    let network: Ipv4Addr = network.parse().ok()?;
    let prefix: u8 = prefix.parse().ok().filter(|prefix| (8..=24).contains(prefix))?;
    let host_bits = u32::MAX >> prefix;
    (network.to_bits() & host_bits == 0).then_some(AddressPool { network, prefix })
}

fn origin(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"))?;
    let authority = uri.authority()?;
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    bare.then(|| format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::super::raw::Flags;
    use super::*;

    fn with_file(text: &str) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let flags = Flags { config: Some(file.path().to_owned()), ..Flags::default() };
        let raw = Raw::layered(&flags, |_| None).map_err(|error| error.to_string());
        raw.and_then(|raw| Config::resolve(&raw).map_err(|error| error.to_string()))
            .map_err(|error| error.replace(&file.path().display().to_string(), "FILE"))
    }

    #[test]
    fn defaults_are_those_of_the_documentation() {
        let config = Config::resolve(&Raw::default()).unwrap();
        assert_eq!(config.data_root, PathBuf::from("/var/lib/sampan"));
        assert_eq!(config.state_root, PathBuf::from("/run/sampan"));
        assert_eq!(config.http.to_string(), "127.0.0.1:7070");
        assert_eq!(config.docker_sock, PathBuf::from("/run/sampan/docker.sock"));
        assert_eq!(config.storage, Storage::Auto);
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "http = '127.0.0.1:1'\nstorage = 'folders'\ndata_root = '/file'\n").unwrap();
        let flags =
            Flags { config: Some(file.path().to_owned()), http: Some("127.0.0.1:3".to_owned()), ..Flags::default() };
        let variable = |name: &str| match name {
            "SAMPAN_HTTP" => Some("127.0.0.1:2".to_owned()),
            "SAMPAN_DATA_ROOT" => Some("/variable".to_owned()),
            _ => None,
        };
        let config = Config::resolve(&Raw::layered(&flags, variable).unwrap()).unwrap();
        assert_eq!(config.http.port(), 3);
        assert_eq!(config.data_root, PathBuf::from("/variable"));
        assert_eq!(config.storage, Storage::Folders);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_known_ones() {
        let error = with_file("htpp = '127.0.0.1:1'").unwrap_err();
        assert!(
            error.starts_with("FILE: there is no key `htpp`; the keys are data_root, state_root, http,"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_value_is_named_with_its_file_key_and_what_is_right() {
        assert_eq!(
            with_file("http = 7070").unwrap_err(),
            "FILE, key `http` is `7070`, but must be an address and a port, such as 127.0.0.1:7070 or [::1]:7070"
        );
        assert_eq!(
            with_file("storage = 'btrfs'").unwrap_err(),
            "FILE, key `storage` is `btrfs`, but must be auto, erofs or folders"
        );
        assert!(with_file("address_pools = ['10.0.0.1/16']").is_err(), "host bits are set");
        assert!(with_file("data_root = 'relative'").is_err());
        assert!(with_file("public_url = 'https://a.example/path'").is_err());
    }

    #[test]
    fn lists_may_be_written_as_lists() {
        let config = with_file("address_pools = ['10.1.0.0/16', '172.30.0.0/16']\ncradles = 0").unwrap();
        assert_eq!(config.address_pools.len(), 2);
        assert_eq!(config.cradles, 0);
    }

    #[test]
    fn every_setting_has_a_flag_and_a_variable_of_its_own_name() {
        for setting in names::SETTINGS {
            assert_eq!(setting.variable, format!("SAMPAN_{}", setting.key.to_uppercase()));
        }
        let mut command = <Flags as clap::Args>::augment_args(clap::Command::new("test"));
        command = <crate::cli::Place as clap::Args>::augment_args(command);
        command.build();
        for setting in names::SETTINGS {
            let argument = command.get_arguments().find(|argument| argument.get_long() == Some(&setting.flag()));
            let help = argument.expect("a flag").get_help().expect("help").to_string();
            assert!(help.contains(&format!("[env: {}]", setting.variable)), "{help}");
            if let Some(default) = setting.default {
                assert!(help.contains(&format!("[default: {default}]")), "{help}");
            }
        }
    }
}

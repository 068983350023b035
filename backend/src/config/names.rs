//! Every setting that Sampan knows, in one list: the flags, the environment and the file all follow it.

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Key in the TOML file; the flag is the same with `-` for `_`.
    pub key: &'static str,
    /// Environment variable.
    pub variable: &'static str,
    /// Used when nothing is said; `None`: the setting stays empty.
    pub default: Option<&'static str>,
    /// What a right value looks like; part of every error.
    pub right: &'static str,
}

impl Setting {
    /// The flag's name without the dashes.
    pub fn flag(&self) -> String {
        self.key.replace('_', "-")
    }
}

/// Variable that names the TOML file.
pub const CONFIG_VARIABLE: &str = "SAMPAN_CONFIG";

/// Where images, volumes, containers and the database lie.
pub const DATA_ROOT: Setting = Setting {
    key: "data_root",
    variable: "SAMPAN_DATA_ROOT",
    default: Some("/var/lib/sampan"),
    right: "an absolute path, such as /var/lib/sampan",
};
/// Where sockets and pids lie; gone after a reboot.
pub const STATE_ROOT: Setting = Setting {
    key: "state_root",
    variable: "SAMPAN_STATE_ROOT",
    default: Some("/run/sampan"),
    right: "an absolute path, such as /run/sampan",
};
/// Address of pages, REST and websockets.
pub const HTTP: Setting = Setting {
    key: "http",
    variable: "SAMPAN_HTTP",
    default: Some("127.0.0.1:7070"),
    right: "an address and a port, such as 127.0.0.1:7070 or [::1]:7070",
};
/// Address of the same over TLS.
pub const HTTPS: Setting = Setting {
    key: "https",
    variable: "SAMPAN_HTTPS",
    default: None,
    right: "an address and a port, such as 0.0.0.0:7443 or [::]:7443",
};
/// Certificate chain for it; without, a local authority signs one.
pub const TLS_CERTIFICATE: Setting = Setting {
    key: "tls_certificate",
    variable: "SAMPAN_TLS_CERTIFICATE",
    default: None,
    right: "the absolute path of a PEM file, together with tls_key",
};
/// The certificate's key.
pub const TLS_KEY: Setting = Setting {
    key: "tls_key",
    variable: "SAMPAN_TLS_KEY",
    default: None,
    right: "the absolute path of a PEM file, together with tls_certificate",
};
/// The Docker Engine API's unix socket.
pub const DOCKER_SOCK: Setting = Setting {
    key: "docker_sock",
    variable: "SAMPAN_DOCKER_SOCK",
    default: Some("/run/sampan/docker.sock"),
    right: "an absolute path of at most 107 bytes, such as /run/sampan/docker.sock",
};
/// Host group whose members may use that socket as host root may: they are administrators.
pub const DOCKER_GROUP: Setting = Setting {
    key: "docker_group",
    variable: "SAMPAN_DOCKER_GROUP",
    default: None,
    right: "the name or number of a group of this host",
};
/// How layers are stored.
pub const STORAGE: Setting =
    Setting { key: "storage", variable: "SAMPAN_STORAGE", default: Some("auto"), right: "auto, erofs or folders" };
/// Networks from which bridges take theirs.
pub const ADDRESS_POOLS: Setting = Setting {
    key: "address_pools",
    variable: "SAMPAN_ADDRESS_POOLS",
    default: Some("10.210.0.0/16"),
    right: "IPv4 networks separated by commas, each from /8 to /24, such as 10.210.0.0/16,172.30.0.0/16",
};
/// First processes that stand ready for the next containers, per active team and kind of network.
pub const CRADLES: Setting =
    Setting { key: "cradles", variable: "SAMPAN_CRADLES", default: Some("2"), right: "a whole number from 0 to 16" };
/// Minutes without use after which a browser must log in again.
pub const SESSION_IDLE_MINUTES: Setting = Setting {
    key: "session_idle_minutes",
    variable: "SAMPAN_SESSION_IDLE_MINUTES",
    default: Some("720"),
    right: "a whole number of minutes from 5 to 43200",
};
/// How browsers reach Sampan when a proxy stands in front.
pub const PUBLIC_URL: Setting = Setting {
    key: "public_url",
    variable: "SAMPAN_PUBLIC_URL",
    default: None,
    right: "a scheme and a host without a path, such as https://sampan.example.org",
};
/// Proxies whose `X-Forwarded-For` is believed.
pub const TRUSTED_PROXIES: Setting = Setting {
    key: "trusted_proxies",
    variable: "SAMPAN_TRUSTED_PROXIES",
    default: None,
    right: "addresses separated by commas, such as 127.0.0.1,10.0.0.5",
};

/// Proxy for `http://` addresses of other servers.
pub const HTTP_PROXY: Setting = Setting {
    key: "http_proxy",
    variable: "SAMPAN_HTTP_PROXY",
    default: None,
    right: "the address of a proxy, such as http://proxy.example:3128",
};
/// Proxy for `https://` addresses of other servers.
pub const HTTPS_PROXY: Setting = Setting {
    key: "https_proxy",
    variable: "SAMPAN_HTTPS_PROXY",
    default: None,
    right: "the address of a proxy, such as http://proxy.example:3128",
};
/// Which servers are reached without a proxy.
pub const NO_PROXY: Setting = Setting {
    key: "no_proxy",
    variable: "SAMPAN_NO_PROXY",
    default: None,
    right: "hosts, domains and networks separated by commas, such as localhost,.example.org,10.0.0.0/8",
};

/// All of them.
pub const SETTINGS: &[Setting] = &[
    DATA_ROOT,
    STATE_ROOT,
    HTTP,
    HTTPS,
    TLS_CERTIFICATE,
    TLS_KEY,
    DOCKER_SOCK,
    DOCKER_GROUP,
    STORAGE,
    ADDRESS_POOLS,
    CRADLES,
    SESSION_IDLE_MINUTES,
    PUBLIC_URL,
    TRUSTED_PROXIES,
    HTTP_PROXY,
    HTTPS_PROXY,
    NO_PROXY,
];

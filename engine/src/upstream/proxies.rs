//! The proxies of the configuration.

use reqwest::{NoProxy, Proxy, Url};

use super::UpstreamError;

/// Through what other servers are reached. Empty: directly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<String>,
    /// For `https://`.
    pub https: Option<String>,
    /// Hosts that are reached directly: names, domains and networks, separated by commas.
    pub none_for: Option<String>,
}

impl Proxies {
    pub(super) fn hosts(&self) -> Vec<String> {
        let hosts = [&self.http, &self.https].into_iter().flatten().filter_map(|text| text.parse::<Url>().ok());
        hosts.filter_map(|url| url.host_str().map(str::to_owned)).collect()
    }

    pub(super) fn build(&self) -> Result<Vec<Proxy>, UpstreamError> {
        let wrong =
            |error: reqwest::Error| UpstreamError::Setting { reason: format!("the proxy cannot be used: {error}") };
        let except = self.none_for.as_deref().and_then(NoProxy::from_string);
        let mut proxies = Vec::new();
        if let Some(url) = &self.http {
            proxies.push(Proxy::http(url).map_err(wrong)?.no_proxy(except.clone()));
        }
        if let Some(url) = &self.https {
            proxies.push(Proxy::https(url).map_err(wrong)?.no_proxy(except));
        }
        Ok(proxies)
    }
}

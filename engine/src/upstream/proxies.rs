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
    /// As people may see them: without names and passwords.
    #[must_use]
    pub fn shown(&self) -> Self {
        let plain = |text: &String| {
            let mut url = text.parse::<Url>().ok()?;
            url.set_password(None).ok()?;
            url.set_username("").ok()?;
            Some(url.as_str().trim_end_matches('/').to_owned())
        };
        let (http, https) = (self.http.as_ref().and_then(plain), self.https.as_ref().and_then(plain));
        Self { http, https, none_for: self.none_for.clone() }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_see_of_a_proxy_has_no_secret() {
        let given = |text: &str| Some(text.to_owned());
        let proxies = Proxies {
            http: given("http://amber:secret@proxy.example:3128"),
            https: given("http://[::1]:1"),
            none_for: given("localhost"),
        };
        let shown = proxies.shown();
        assert_eq!(shown.http, given("http://proxy.example:3128"));
        assert_eq!((shown.https, shown.none_for), (proxies.https, proxies.none_for));
    }
}

//! What is written to the log.

use tracing_subscriber::EnvFilter;

/// The variable that says it, in the words of tracing-subscriber's `EnvFilter`: `debug`, `info,sampan::policy=trace`, ….
pub const VARIABLE: &str = "SAMPAN_LOG";
/// Says at error level what any stranger can send: a request that is none, a connection cut in the middle.
const STRANGERS: &str = "actix_http::h1::dispatcher=off,actix_http::h1::decoder=off";

/// The filter that `typed` asks for; without it, or when it cannot be read: `info`. An error in the log means that a person
/// must act, so what strangers send is told from `debug` on, or where the typed filter names it.
pub fn filter(typed: Option<&str>) -> EnvFilter {
    let known = typed.filter(|text| !text.trim().is_empty() && EnvFilter::try_new(text).is_ok()).unwrap_or("info");
    let everything = EnvFilter::new(known).max_level_hint().is_none_or(|level| level >= tracing::Level::DEBUG);
    if everything || known.contains("actix_http") {
        return EnvFilter::new(known);
    }
    EnvFilter::new(format!("{known},{STRANGERS}"))
}

#[cfg(test)]
mod tests {
    use super::filter;

    fn told(typed: Option<&str>) -> bool {
        let (sent, received) = std::sync::mpsc::channel();
        let writer = move || Sender(sent.clone());
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter(typed)).with_writer(writer).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(target: "actix_http::h1::dispatcher", "stream error: request parse error");
            tracing::error!("ours");
        });
        let text: String = received.try_iter().collect();
        assert!(text.contains("ours"), "{typed:?}: {text}");
        text.contains("stream error")
    }

    struct Sender(std::sync::mpsc::Sender<String>);

    impl std::io::Write for Sender {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.send(text).map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_strangers_send_is_for_those_who_look_closely() {
        for quiet in [None, Some("info"), Some("warn,sampan=info"), Some("what=is=this"), Some(" ")] {
            assert!(!told(quiet), "{quiet:?}");
        }
        for loud in ["debug", "trace", "info,actix_http=error"] {
            assert!(told(Some(loud)), "{loud}");
        }
    }
}

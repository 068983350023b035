//! Instructions of a Dockerfile that change what an image says of its containers: `--change` of commit and import.
//!
//! Source: Dockerfile reference; moby `builder/dockerfile` (`BuildFromConfig`), which allows just these.

mod healthcheck;
mod words;

use serde_json::{Value, json};

use super::{ImageError, ProcessConfiguration};
use words::{Expand, assignments, split};

/// Most bytes of all instructions.
const TEXT_BYTES: usize = 1 << 20;

fn invalid(reason: impl Into<String>) -> ImageError {
    ImageError::Instruction { reason: reason.into() }
}

/// Carries instructions out on a configuration, in order. Variables stand for those of `environment` and of the
/// configuration itself, the later one first.
///
/// # Errors
/// [`ImageError::Instruction`] with what is wrong in which; then the configuration is half changed.
pub fn apply(config: &mut ProcessConfiguration, environment: &[String], text: &[String]) -> Result<(), ImageError> {
    if text.iter().map(String::len).sum::<usize>() > TEXT_BYTES {
        return Err(invalid(format!("the changes have more than {TEXT_BYTES} bytes")));
    }
    for line in text.iter().flat_map(|text| lines(text)) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        let word = word.to_ascii_uppercase();
        let rest = rest.trim();
        if rest.is_empty() && !matches!(word.as_str(), "CMD" | "ENTRYPOINT") {
            return Err(invalid(format!("{word} needs something behind it")));
        }
        one(config, environment, &word, rest)?;
    }
    Ok(())
}

/// Lines without comments, those that end with a backslash joined.
fn lines(text: &str) -> Vec<String> {
    let (mut lines, mut begun) = (Vec::new(), String::new());
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(part) => begun.push_str(part),
            None => lines.push(std::mem::take(&mut begun) + line),
        }
    }
    if !begun.trim().is_empty() {
        lines.push(begun);
    }
    lines
}

fn one(config: &mut ProcessConfiguration, environment: &[String], word: &str, rest: &str) -> Result<(), ImageError> {
    let variables = [environment, &config.env].concat();
    let expand = Expand(&variables);
    match word {
        "CMD" => config.cmd = Some(command(config, rest)),
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(config, rest));
        }
        "ENV" => {
            for (name, value) in assignments(word, rest, expand)? {
                let start = format!("{name}=");
                let line = format!("{start}{value}");
                match config.env.iter_mut().find(|line| line.starts_with(&start)) {
                    Some(old) => *old = line,
                    None => config.env.push(line),
                }
            }
        }
        "LABEL" => config.labels.extend(assignments(word, rest, expand)?),
        "EXPOSE" => {
            for port in split(rest, Some(expand))? {
                for port in ports(&port)? {
                    config.exposed_ports.insert(port, json!({}));
                }
            }
        }
        "VOLUME" => {
            let paths = match list(rest) {
                Some(paths) => paths,
                None => split(rest, Some(expand))?,
            };
            for path in paths {
                if path.trim().is_empty() {
                    return Err(invalid("VOLUME names an empty path"));
                }
                config.volumes.insert(path, json!({}));
            }
        }
        "USER" => config.user = single(word, rest, expand)?,
        "WORKDIR" => {
            let path = single(word, rest, expand)?;
            config.working_dir = within(&config.working_dir, &path);
        }
        "STOPSIGNAL" => {
            let signal = single(word, rest, expand)?;
            let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-');
            if !signal.bytes().all(known) {
                return Err(invalid(format!("STOPSIGNAL {signal:?} is no signal")));
            }
            config.stop_signal = signal;
        }
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck::parse(rest)?),
        "ONBUILD" => {
            let trigger = rest.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            if matches!(trigger.as_str(), "ONBUILD" | "FROM" | "MAINTAINER") {
                return Err(invalid(format!("{trigger} is not allowed behind ONBUILD")));
            }
            config.on_build.get_or_insert_default().push(rest.to_owned());
        }
        other => return Err(invalid(format!("{other} is not a valid change command"))),
    }
    Ok(())
}

/// A list in JSON as it stands, anything else for the image's shell.
fn command(config: &ProcessConfiguration, rest: &str) -> Vec<String> {
    list(rest).unwrap_or_else(|| {
        let shell = config.shell.clone().unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        if rest.is_empty() { Vec::new() } else { shell.into_iter().chain([rest.to_owned()]).collect() }
    })
}

/// A JSON list of texts, if it is one.
fn list(text: &str) -> Option<Vec<String>> {
    let Ok(Value::Array(values)) = serde_json::from_str::<Value>(text) else { return None };
    values.into_iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

fn single(word: &str, rest: &str, expand: Expand<'_>) -> Result<String, ImageError> {
    let words = split(rest, Some(expand))?;
    match &words[..] {
        [one] if !one.is_empty() => Ok(one.clone()),
        _ => Err(invalid(format!("{word} needs exactly one value"))),
    }
}

/// `path` from `folder` on, made clean by its text.
fn within(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let from = if path.starts_with('/') { "" } else { folder };
    for part in from.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `80`, `80/udp`, `8000-8010/tcp` as single ports with their protocol.
fn ports(text: &str) -> Result<Vec<String>, ImageError> {
    let wrong = || invalid(format!("EXPOSE {text:?} is no port"));
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(wrong());
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(wrong);
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(wrong());
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn applied(text: &[&str]) -> Result<ProcessConfiguration, ImageError> {
        let mut config = ProcessConfiguration::default();
        let text: Vec<String> = text.iter().map(|&line| line.to_owned()).collect();
        apply(&mut config, &["PATH=/bin".to_owned()], &text).map(|()| config)
    }

    #[test]
    fn each_instruction_changes_what_dockers_does() {
        let config = applied(&[
            r#"CMD ["a", "b c"]"#,
            "entrypoint run --fast",
            "ENV A=1 B=\"two words\" C='$PATH'\nENV PATH=$PATH:/x D=${NONE:-other}",
            "ENV OLD way  of it",
            "EXPOSE 80 53/UDP 8000-8002",
            "LABEL a=b \"c d\"=e",
            "USER web:web",
            "VOLUME [\"/data\"]\nVOLUME /x /y",
            "WORKDIR /srv\nWORKDIR www/../site",
            "STOPSIGNAL SIGQUIT",
            "ONBUILD RUN make",
            "# a remark",
        ])
        .unwrap();
        assert_eq!(config.cmd.unwrap(), ["a", "b c"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run --fast"]);
        let env = ["A=1", "B=two words", "C=$PATH", "PATH=/bin:/x", "D=other", "OLD=way  of it"];
        assert_eq!(config.env, env);
        let ports: Vec<_> = config.exposed_ports.keys().cloned().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"]);
        assert_eq!(
            config.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>(),
            [("a", "b"), ("c d", "e")]
        );
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("web:web", "/srv/site"));
        assert_eq!(config.volumes.keys().cloned().collect::<Vec<_>>(), ["/data", "/x", "/y"]);
        assert_eq!((config.stop_signal.as_str(), config.on_build.unwrap()), ("SIGQUIT", vec!["RUN make".to_owned()]));
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for wrong in [
            "RUN true",
            "ENV",
            "ENV A=\"x",
            "EXPOSE 0",
            "EXPOSE 80/icmp",
            "EXPOSE 9-8",
            "EXPOSE 99999",
            "USER a b",
            "LABEL =x",
            "ONBUILD FROM x",
            "STOPSIGNAL a b",
            "HEALTHCHECK",
            "HEALTHCHECK --never=1 CMD x",
            "WORKDIR",
        ] {
            assert!(matches!(applied(&[wrong]), Err(ImageError::Instruction { .. })), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(CMD|ENV|LABEL|EXPOSE|USER|VOLUME|WORKDIR|HEALTHCHECK|ONBUILD|STOPSIGNAL)[ -~\\n\"'\\\\$]{0,60}") {
            if let Ok(config) = applied(&[&text]) {
                prop_assert!(config.env.iter().all(|line| line.find('=').is_some_and(|at| at > 0)));
                prop_assert!(config.working_dir.is_empty() || config.working_dir.starts_with('/'));
                prop_assert!(config.exposed_ports.keys().all(|port| port.contains('/')));
            }
        }

        #[test]
        fn a_quoted_value_is_what_it_was(value in "[ -~]{0,40}") {
            let quoted: String = value.chars().flat_map(|letter| match letter {
                '"' | '\\' | '$' => vec!['\\', letter],
                other => vec![other],
            }).collect();
            let config = applied(&[&format!("ENV A=\"{quoted}\"")]).unwrap();
            prop_assert_eq!(&config.env, &[format!("A={value}")]);
            let config = applied(&[&format!("LABEL \"k\"=\"{quoted}\"")]).unwrap();
            prop_assert_eq!(&config.labels["k"], &value);
        }
    }
}

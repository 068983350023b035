//! An event in Docker's shape, and the filters of `docker events`.

use std::sync::Arc;

use sampan_engine::events::{Action, Event, Noun};
use sampan_engine::owner::Owner;
use serde_json::{Value, json};

use super::containers::network_settings::network_id;
use super::error::DockerError;
use super::filters::Filters;

/// Keys that dockerd knows.
const KEYS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// The attributes that Docker makes part of the action: an exec's command, and how a probe found the container.
const COMMAND: &str = "command";
const HEALTH: &str = "health";

/// Which events a client wants.
pub struct EventFilter(Filters);

impl EventFilter {
    /// Reads the parameter.
    ///
    /// # Errors
    /// 400.
    pub fn parse(text: &str) -> Result<Self, DockerError> {
        Filters::parse(text, KEYS).map(Self)
    }

    /// Whether an event is wanted.
    pub fn wants(&self, event: &Event) -> bool {
        let filters = &self.0;
        let word = action_word(event);
        // `exec_start: sh` is also found as `exec_start`.
        let bare = word.split(':').next().unwrap_or_default();
        (filters.is_one_of("event", &word) || filters.is_one_of("event", bare))
            && filters.is_one_of("type", event.noun.word())
            && filters.is_one_of("scope", "local")
            && filters.has_labels("label", |name| event.attributes.get(name).map(String::as_str))
            && self.names(event, "container", Noun::Container)
            && self.names(event, "volume", Noun::Volume)
            && self.names(event, "network", Noun::Network)
            && self.names_image(event)
            && !["config", "daemon", "node", "plugin", "secret", "service"].iter().any(|key| filters.contains(key))
    }

    /// By name, or by the beginning of an id.
    fn names(&self, event: &Event, key: &str, noun: Noun) -> bool {
        let wanted = self.0.get(key);
        wanted.is_empty()
            || (event.noun == noun
                && wanted
                    .iter()
                    .any(|value| event.id.starts_with(value.as_str()) || event.attributes.get("name") == Some(value)))
    }

    /// Also finds the containers of an image.
    fn names_image(&self, event: &Event) -> bool {
        let wanted = self.0.get("image");
        let attribute = match event.noun {
            Noun::Image => "name",
            _ => "image",
        };
        let name = event.attributes.get(attribute).map_or("", String::as_str);
        wanted.is_empty()
            || wanted.iter().any(|value| {
                value == name || *value == event.id || name.rsplit_once(':').is_some_and(|(bare, _)| bare == value)
            })
    }
}

/// Docker's word for what happened; an exec's names its command.
fn action_word(event: &Event) -> String {
    let word = event.action.word();
    match part_of_action(event.action).and_then(|name| event.attributes.get(name)) {
        Some(more) => format!("{word}: {more}"),
        None => word.to_owned(),
    }
}

fn part_of_action(action: Action) -> Option<&'static str> {
    match action {
        Action::ExecCreate | Action::ExecStart => Some(COMMAND),
        Action::HealthStatus => Some(HEALTH),
        _ => None,
    }
}

/// The event with Docker's id of a network, which follows from its team and its name.
pub fn with_dockers_id(owner: &Owner, event: Arc<Event>) -> Arc<Event> {
    match event.noun {
        Noun::Network => Arc::new(Event { id: network_id(owner, &event.id), ..Event::clone(&event) }),
        Noun::Container | Noun::Image | Noun::Volume => event,
    }
}

/// One line of `events`.
pub fn line(event: &Event) -> Value {
    let word = action_word(event);
    let mut line = serde_json::Map::new();
    // The first three are Docker's older form, which clients still read.
    if matches!(event.noun, Noun::Container | Noun::Image) {
        line.insert("status".into(), json!(word));
        line.insert("id".into(), json!(event.id));
        if let Some(image) = event.attributes.get("image").filter(|_| event.noun == Noun::Container) {
            line.insert("from".into(), json!(image));
        }
    }
    line.insert("Type".into(), json!(event.noun.word()));
    line.insert("Action".into(), json!(word));
    let mut attributes = event.attributes.clone();
    if let Some(name) = part_of_action(event.action) {
        attributes.remove(name);
    }
    line.insert("Actor".into(), json!({ "ID": event.id, "Attributes": attributes }));
    line.insert("scope".into(), json!("local"));
    line.insert("time".into(), json!(event.at_ns.div_euclid(1_000_000_000)));
    line.insert("timeNano".into(), json!(event.at_ns));
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn event(noun: Noun, action: Action, attributes: &[(&str, &str)]) -> Event {
        let attributes: BTreeMap<String, String> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Event { at_ns: 1_500_000_000, team_id: 1, noun, action, id: "abc".into(), attributes }
    }

    #[test]
    fn an_event_has_both_forms() {
        let line =
            line(&event(Noun::Container, Action::Die, &[("image", "busybox"), ("exitCode", "3"), ("name", "web")]));
        assert_eq!(
            line.to_string(),
            concat!(
                r#"{"status":"die","id":"abc","from":"busybox","Type":"container","Action":"die","Actor":{"ID":"abc","#,
                r#""Attributes":{"exitCode":"3","image":"busybox","name":"web"}},"scope":"local","time":1,"#,
                r#""timeNano":1500000000}"#
            )
        );
        assert!(super::line(&event(Noun::Volume, Action::Create, &[])).get("status").is_none());
    }

    #[test]
    fn an_execs_action_names_its_command() {
        let made = event(Noun::Container, Action::ExecCreate, &[("command", "sh -c true"), ("execID", "e")]);
        let line = line(&made);
        assert_eq!(line["Action"], "exec_create: sh -c true");
        assert_eq!(line["Actor"]["Attributes"], json!({ "execID": "e" }));
        assert!(EventFilter::parse(r#"{"event":["exec_create"]}"#).unwrap().wants(&made));
        let well = event(Noun::Container, Action::HealthStatus, &[("health", "healthy")]);
        assert_eq!(super::line(&well)["Action"], "health_status: healthy");
        assert!(EventFilter::parse(r#"{"event":["health_status"]}"#).unwrap().wants(&well));
    }

    #[test]
    fn filters_choose() {
        let die = event(Noun::Container, Action::Die, &[("image", "busybox:latest"), ("name", "web"), ("tier", "a")]);
        for (text, wanted) in [
            ("", true),
            (r#"{"event":["die"]}"#, true),
            (r#"{"event":["start"]}"#, false),
            (r#"{"type":["container"],"container":["web"]}"#, true),
            (r#"{"container":["ab"]}"#, true),
            (r#"{"container":["other"]}"#, false),
            (r#"{"image":["busybox"]}"#, true),
            (r#"{"image":["nginx"]}"#, false),
            (r#"{"volume":["data"]}"#, false),
            (r#"{"label":["tier=a"]}"#, true),
            (r#"{"label":["tier=b"]}"#, false),
            (r#"{"service":["x"]}"#, false),
        ] {
            assert_eq!(EventFilter::parse(text).unwrap().wants(&die), wanted, "{text}");
        }
        assert_eq!(EventFilter::parse(r#"{"colour":["x"]}"#).err().map(|error| error.status.as_u16()), Some(400));
    }
}

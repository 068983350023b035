//! Pulls, images and other registries as a browser asks for them, without a script.

use std::time::Duration;

use sampan_engine::digest::Digest;
use sampan_engine::images::{LayerStep, PullEvent};

use super::super::tests::Person;
use crate::operations::State;
use crate::testing::{IMAGE, Instance, OTHER_TEAM, TEAM};

const AGAIN: &str = r#"<noscript><meta http-equiv="refresh""#;

async fn team(instance: &Instance, name: &str) -> i64 {
    instance.app.accounts.team_named(name).await.unwrap().id
}

#[actix_web::test]
async fn a_pull_goes_on_when_its_page_is_left_and_is_found_again() {
    let instance = Instance::new().await;
    let operations = &instance.app.operations;
    let developer = Person::new(&instance, "developer").await;
    let running = operations.begin(team(&instance, TEAM).await, "pull", "app:1".to_owned()).unwrap();
    let theirs = operations.begin(team(&instance, OTHER_TEAM).await, "pull", "theirs:1".to_owned()).unwrap();
    let digest = Digest::of(b"layer");
    running
        .pulling(PullEvent::Layer { digest, step: LayerStep::Downloading { current: 12_300_000, total: 40_100_000 } });
    running.pulling(PullEvent::Note("a mirror's word was taken".to_owned()));
    let place = format!("/operations/{}", running.id);
    for path in ["/images", &place] {
        let page = developer.open(path).await.body;
        assert!(page.contains("12.3 MB / 40.1 MB") && page.contains(&digest.short()), "{path}: {page}");
        assert!(page.contains("a mirror&#39;s word was taken") && page.contains("/remove"), "{path}");
        assert!(!page.contains("theirs:1"), "{path}");
    }
    // Without a script the page asks for itself again, for as long as there is something to see.
    assert!(developer.open(&place).await.body.contains(AGAIN));
    assert_eq!(developer.open(&format!("/operations/{}", theirs.id)).await.status, 404);
    // Who may only look has no button, and cannot press it anyway.
    let viewer = Person::new(&instance, "viewer").await;
    let seen = viewer.open(&place).await.body;
    assert!(seen.contains("app:1") && !seen.contains(&format!("{place}/remove")));
    assert_eq!(viewer.post(&format!("{place}/remove"), "").await.status, 403);

    assert_eq!(developer.post(&format!("{place}/remove"), "").await.status, 303);
    tokio::time::timeout(Duration::from_secs(10), running.cancelled()).await.expect("nobody gives it up");
    running.end(State::Failed("127.0.0.1:1 <cannot> be reached".to_owned()), Vec::new());
    let page = developer.open(&place).await.body;
    assert!(page.contains("127.0.0.1:1 &#60;cannot&#62; be reached") && !page.contains(AGAIN), "{page}");
    // What ended is forgotten on request.
    assert_eq!(developer.post(&format!("{place}/remove"), "").await.status, 303);
    assert_eq!(developer.open(&place).await.status, 404);
    assert!(!developer.open("/images").await.body.contains("app:1"));
}

#[actix_web::test]
async fn the_form_begins_a_pull_and_says_what_is_no_name() {
    let instance = Instance::new().await;
    let developer = Person::new(&instance, "developer").await;
    let began = developer.post("/images/pull", "reference=127.0.0.1:1/app&platform=linux/amd64").await;
    assert_eq!(began.status, 303);
    let all = instance.app.operations.of(team(&instance, TEAM).await);
    assert_eq!((all.len(), all[0].kind, all[0].reference.as_str()), (1, "pull", "127.0.0.1:1/app:latest"));
    let wrong = developer.post("/images/pull", "reference=No+Name").await;
    assert_eq!((wrong.status, instance.app.operations.of(all[0].team_id).len()), (303, 1));
    // A team does not reach this host: the sentence is on the page.
    let since = std::time::Instant::now();
    while all[0].progress().state == State::Running {
        assert!(since.elapsed() < Duration::from_secs(30), "it neither ends nor fails");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let page = developer.open(&format!("/operations/{}", all[0].id)).await.body;
    assert!(page.contains("role=\"alert\"") && page.contains("127.0.0.1:1"), "{page}");
}

#[actix_web::test]
async fn an_image_has_a_page_with_its_names_its_users_and_what_can_be_done() {
    let instance = Instance::new().await;
    let developer = Person::new(&instance, "developer").await;
    let place = format!("/images/{IMAGE}");
    assert!(developer.open("/images").await.body.contains(&format!(r#"href="{place}""#)));
    let page = developer.open(&place).await.body;
    assert!(page.contains(&format!(r#"href="/api/v1/images/{IMAGE}/archive""#)), "{page}");
    // A container uses it: it cannot be removed here, and there is no name to push yet.
    assert!(page.contains(">web</a>") && !page.contains(r#"class="button final""#) && !page.contains("/push"));
    assert_eq!(developer.post(&format!("{place}/tags"), "reference=registry.example/app:2").await.status, 303);
    let page = developer.open("/images/registry.example%2Fapp:2").await.body;
    assert!(page.contains("registry.example/app:2") && page.contains("/push"), "{page}");
    let began = developer.post(&format!("{place}/push"), "reference=registry.example/app:2").await;
    assert_eq!(began.status, 303);
    let all = instance.app.operations.of(team(&instance, TEAM).await);
    assert_eq!((all.len(), all[0].kind), (1, "push"));
    let viewer = Person::new(&instance, "viewer").await.open(&place).await;
    assert!(viewer.status == 200 && !viewer.body.contains("<form method=\"post\" action=\"/images"));
    assert_eq!(Person::new(&instance, "stranger").await.open(&place).await.status, 404);
}

#[actix_web::test]
async fn names_at_registries_are_kept_and_passwords_never_shown() {
    let instance = Instance::new().await;
    let owner = Person::new(&instance, "owner").await;
    let body = "host=registry.example&username=amber&password=hunter2hunter2";
    assert_eq!(owner.post("/registries/credentials", body).await.status, 303);
    let page = owner.open("/registries").await.body;
    assert!(page.contains("registry.example") && page.contains("amber") && !page.contains("hunter2hunter2"));
    // A developer sees with whose name the team is known, and may not change it; a viewer sees neither.
    let developer = Person::new(&instance, "developer").await.open("/registries").await.body;
    assert!(developer.contains("amber") && !developer.contains("/registries/credentials"));
    assert!(!Person::new(&instance, "viewer").await.open("/registries").await.body.contains("amber"));
    assert!(!Person::new(&instance, "stranger").await.open("/registries").await.body.contains("amber"));
    // Nor do owners decide how registries are reached.
    assert!(!page.contains("/registries/mirrors"));
    assert_eq!(owner.post("/registries/mirrors", "host=docker.io&url=https://m.example").await.status, 403);
    assert_eq!(owner.post("/registries/credentials/remove", "host=registry.example").await.status, 303);
    assert!(!owner.open("/registries").await.body.contains("amber"));
}

#[actix_web::test]
async fn administrators_see_mirrors_in_their_order_and_proxies_without_secrets() {
    let instance = Instance::with(|config| {
        config.proxies.https = Some("http://amber:hunter2@proxy.example:3128".to_owned());
    })
    .await;
    let administrator = Person::administrator(&instance).await;
    for (url, position) in [("https://second.example", 2), ("https://first.example", 1)] {
        let body = format!("host=docker.io&url={url}&position={position}&enabled=true");
        assert_eq!(administrator.post("/registries/mirrors", &body).await.status, 303);
    }
    let rule = "host=registry.example:5000&plain_http=true&teams_may=true";
    assert_eq!(administrator.post("/registries/rules", rule).await.status, 303);
    let page = administrator.open("/registries").await.body;
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
    assert!(at("https://first.example") < at("https://second.example"));
    assert!(at("registry.example:5000") > 0 && at("http://proxy.example:3128") > 0);
    assert!(!page.contains("hunter2"));
    let id = page.split(r#"name="mirror" value=""#).nth(1).unwrap().split('"').next().unwrap();
    administrator.post("/registries/mirrors/remove", &format!("mirror={id}")).await;
    assert!(!administrator.open("/registries").await.body.contains("https://first.example"));
}

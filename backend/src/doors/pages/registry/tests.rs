//! The registry's pages as a browser asks for them.

use sampan_engine::owner::Owner;

use super::super::tests::Person;
use crate::auth::secret::hash;
use crate::testing::{BLOB, Instance};

async fn blue(instance: &Instance) -> Owner {
    let caller = instance.caller("owner", crate::auth::Door::Pages).await;
    caller.team().unwrap().owner.clone()
}

#[actix_web::test]
async fn what_lies_in_a_repository_is_shown_with_the_command_that_pulls_it() {
    let instance = Instance::new().await;
    let owner = Person::new(&instance, "owner").await;
    let list = owner.open("/registry").await;
    assert_eq!(list.status, 200);
    assert!(
        list.body.contains(r#"<a href="/registry/app">app</a>"#)
            && list.body.contains("docker push 127.0.0.1:7070/blue/app:1.0")
    );
    assert!(!owner.open("/registry?text=other").await.body.contains("/registry/app"));
    assert!(owner.open("/registry?text=%20PP").await.body.contains("/registry/app"));
    let page = owner.open("/registry/app").await;
    assert!(page.body.contains("docker pull 127.0.0.1:7070/blue/app:latest") && page.body.contains("amber"));
    assert!(page.body.contains("/registry/settings") && page.body.contains("/registry/tags/remove"));
    // Who may not decide sees the facts, and no form that would be refused.
    let viewer = Person::new(&instance, "viewer").await;
    let page = viewer.open("/registry/app").await;
    assert!(page.status == 200 && !page.body.contains("/registry/settings") && !page.body.contains("/registry/tags"));
    assert_eq!(viewer.open("/robots").await.status, 403);
    assert_eq!(Person::new(&instance, "stranger").await.open("/registry/app").await.status, 404);
}

#[actix_web::test]
async fn a_team_without_repositories_is_told_how_to_push() {
    let instance = Instance::new().await;
    let page = Person::new(&instance, "stranger").await.open("/registry").await;
    assert!(page.body.contains("docker login -u stranger 127.0.0.1:7070"));
    assert!(page.body.contains("docker push 127.0.0.1:7070/red/app:1.0"));
}

#[actix_web::test]
async fn names_with_slashes_and_names_of_buttons_are_names() {
    let instance = Instance::new().await;
    let team = blue(&instance).await;
    let owner = Person::new(&instance, "owner").await;
    for name in ["apps/web", "remove", "settings"] {
        instance.app.engine.registry().ensure(&team, name).await.unwrap();
        let page = owner.open(&format!("/registry/{name}")).await;
        assert!(page.status == 200 && page.body.contains(&format!("<h1 class=\"row\">{name} ")), "{name}");
    }
    let gone = owner.post("/registry/remove", "repository=apps%2Fweb&confirm=apps%2Fweb").await;
    assert_eq!((gone.status, owner.open("/registry/apps/web").await.status), (303, 404));
}

#[actix_web::test]
async fn a_long_list_is_walked_page_by_page() {
    let instance = Instance::new().await;
    let team = blue(&instance).await;
    for number in 0..230 {
        instance.app.engine.registry().ensure(&team, &format!("many/{number:04}")).await.unwrap();
    }
    let viewer = Person::new(&instance, "viewer").await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = viewer.open(&format!("/registry?text=many&after={after}")).await;
        let rows = page.body.split(r#"<a href="/registry/many/"#).skip(1);
        seen.extend(rows.map(|rest| rest.split('"').next().unwrap().to_owned()));
        if !page.body.contains(r#"name="after""#) {
            break;
        }
        after = page.between(r#"name="after" value=""#, "\"");
    }
    assert_eq!(seen, (0..230).map(|number| format!("{number:04}")).collect::<Vec<_>>());
}

#[actix_web::test]
async fn settings_are_kept_and_wrong_ones_change_nothing() {
    let instance = Instance::new().await;
    let team = blue(&instance).await;
    let owner = Person::new(&instance, "owner").await;
    let found = async || instance.app.engine.registry().find(team.team_id, "app").await.unwrap().unwrap();
    let body = "repository=app&public=true&immutable=true&keep_tags=5&keep_untagged_days=0";
    assert_eq!(owner.post("/registry/settings", body).await.status, 303);
    let now = found().await;
    assert!(now.public && now.immutable_tags);
    assert_eq!((now.keep_tags, now.keep_untagged_days), (Some(5), Some(0)));
    for wrong in ["keep_tags=0", "keep_tags=-1", "keep_untagged_days=x", "keep_tags=4294967296"] {
        owner.post("/registry/settings", &format!("repository=app&{wrong}")).await;
        assert_eq!(found().await, now, "{wrong}");
    }
    owner.post("/registry/settings", "repository=app&keep_tags=&keep_untagged_days=").await;
    assert!(!found().await.public && found().await.keep_tags.is_none() && found().await.keep_untagged_days.is_none());
}

#[actix_web::test]
async fn what_is_removed_goes_step_by_step_and_a_repository_only_by_its_name() {
    let instance = Instance::new().await;
    let owner = Person::new(&instance, "owner").await;
    let untagged = "/registry/manifests/remove";
    assert!(!owner.open("/registry/app").await.body.contains(untagged));
    owner.post("/registry/tags/remove", "repository=app&tag=latest").await;
    let page = owner.open("/registry/app").await;
    assert!(page.body.contains(untagged) && !page.body.contains("docker pull"));
    let digest = page.between(r#"name="digest" value=""#, "\"");
    owner.post(untagged, &format!("repository=app&digest={BLOB}")).await;
    assert!(owner.open("/registry/app").await.body.contains(&digest));
    owner.post(untagged, &format!("repository=app&digest={digest}")).await;
    assert!(!owner.open("/registry/app").await.body.contains(&digest));
    owner.post("/registry/remove", "repository=app&confirm=ap").await;
    assert_eq!(owner.open("/registry/app").await.status, 200);
    owner.post("/registry/remove", "repository=app&confirm=app").await;
    assert_eq!(owner.open("/registry/app").await.status, 404);
}

#[actix_web::test]
async fn rules_are_applied_at_once() {
    let instance = Instance::new().await;
    let owner = Person::new(&instance, "owner").await;
    owner.post("/registry/tags/remove", "repository=app&tag=latest").await;
    owner.post("/registry/settings", "repository=app&keep_untagged_days=0").await;
    assert_eq!(owner.post("/registry/rules", "repository=app").await.status, 303);
    assert!(!owner.open("/registry/app").await.body.contains("/registry/manifests/remove"));
}

#[actix_web::test]
async fn a_robot_s_secret_is_shown_once_and_works_until_it_is_revoked() {
    let instance = Instance::new().await;
    let owner = Person::new(&instance, "owner").await;
    let made = owner.post("/robots", "name=build&push=true&repositories=apps%2F&days=30").await;
    let secret = made.between(r#"<pre class="code">"#, "</pre>");
    assert!(secret.starts_with("spr_") && made.body.contains("docker login -u &#39;blue+build&#39;"), "{secret}");
    let accounts = &instance.app.accounts;
    let robot = accounts.owner_of_robot(&hash(&secret)).await.unwrap().unwrap();
    assert_eq!((robot.name.as_str(), robot.repositories.as_str()), ("build", "apps/"));
    let list = owner.open("/robots").await;
    assert!(list.body.contains("blue+build") && !list.body.contains(&secret));
    let row = list.between("blue+build", "</form>");
    let id = row.split(r#"name="robot" value=""#).nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(owner.post("/robots/revoke", &format!("robot={id}")).await.status, 303);
    assert!(accounts.owner_of_robot(&hash(&secret)).await.unwrap().is_none());
    assert!(!owner.open("/robots").await.body.contains("blue+build"));
}

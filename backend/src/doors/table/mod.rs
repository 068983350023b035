//! Who gets what answer at every route of every door: a table, and a test that fails for a route that is not in it.

mod callers;
mod rows;

use std::collections::BTreeSet;

use rows::{Answer, ROWS, Row};

/// The six kinds of callers, in the order of a row's answers.
const CALLERS: [&str; 6] = ["nobody", "stranger", "viewer", "developer", "owner", "administrator"];

/// Every route that the doors' own lists have, as `door method path`.
fn routes() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    let document = serde_json::to_value(super::api::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            routes.insert(format!("rest {} {path}", method.to_uppercase()));
        }
    }
    for route in super::docker::ROUTES.iter().filter(|route| !route.is_missing()) {
        routes.insert(format!("docker {} {}", route.method, route.path));
    }
    for (method, path) in super::pages::ROUTES {
        routes.insert(format!("pages {method} {path}"));
    }
    for (method, path) in super::registry::ROUTES {
        routes.insert(format!("registry {method} {path}"));
    }
    // Those that need no caller and are in no document.
    for path in ["/healthz", "/api/v1/openapi.json", "/api/v1/reference"] {
        routes.insert(format!("rest GET {path}"));
    }
    routes
}

#[test]
fn every_route_of_every_door_is_in_the_table_once() {
    let rows: Vec<String> = ROWS.iter().map(Row::name).collect();
    let in_table: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), in_table.len(), "a route stands twice");
    let routes = routes();
    let missing: Vec<_> = routes.difference(&in_table).collect();
    let gone: Vec<_> = in_table.difference(&routes).collect();
    assert!(missing.is_empty(), "not in the table: {missing:#?}");
    assert!(gone.is_empty(), "in the table, but no route: {gone:#?}");
}

/// Each row with an instance of its own, since what is allowed is done.
async fn check(door: &str) {
    let mut wrong = Vec::new();
    for row in ROWS.iter().filter(|row| row.door == door) {
        let mut instance = crate::testing::Instance::new().await;
        for (who, expected) in CALLERS.into_iter().zip(row.answers()) {
            if row.method == "DELETE" || row.path.ends_with("/remove") || row.path.ends_with("/revoke") {
                // What one caller removed is there again for the next one.
                instance = crate::testing::Instance::new().await;
            }
            let status = callers::ask(&instance, row, who, expected).await;
            let right = match expected {
                // A form of a page that is not even read would tell nothing.
                Answer::In if door == "pages" => !matches!(status, 400 | 401 | 403 | 404 | 500 | 504),
                Answer::In => !matches!(status, 401 | 403 | 404 | 504),
                Answer::Status(expected) => status == expected,
            };
            if !right {
                wrong.push(format!("{} by {who}: {status} instead of {expected:?}", row.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[actix_web::test]
async fn rest_answers_as_the_table_says() {
    check("rest").await;
}

#[actix_web::test]
async fn the_docker_door_answers_as_the_table_says() {
    check("docker").await;
}

#[actix_web::test]
async fn the_pages_answer_as_the_table_says() {
    check("pages").await;
}

#[actix_web::test]
async fn the_registry_answers_as_the_table_says() {
    check("registry").await;
}

/// A cookie alone changes nothing: whatever writes wants the session's token and comes from a page of ours.
#[actix_web::test]
async fn what_a_session_changes_only_its_own_page_can_ask_for() {
    let instance = crate::testing::Instance::new().await;
    // At these two doors no cookie means anything.
    let knows_cookies = |row: &&Row| !matches!(row.door, "docker" | "registry");
    // Neither needs a session: the sign-in and the first run have tests of their own.
    let of_sessions = |row: &&Row| !matches!(row.rule, rows::Rule::Wrong | rows::Rule::Over | rows::Rule::Open);
    let mut wrong = Vec::new();
    for row in ROWS.iter().filter(knows_cookies).filter(|row| row.method != "GET").filter(of_sessions) {
        for forged in callers::Forged::ALL {
            let status = callers::ask_forged(&instance, row, forged).await;
            if status != 403 {
                wrong.push(format!("{} with {forged:?}: {status}", row.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Those that are not offered answer 501 or 503, whoever asks, and tell nothing.
#[actix_web::test]
async fn what_the_docker_door_does_not_offer_says_so_to_everybody() {
    let instance = crate::testing::Instance::new().await;
    for route in super::docker::ROUTES.iter().filter(|route| route.is_missing()) {
        let row = Row { door: "docker", method: route.method, path: route.path, rule: rows::Rule::Any, body: "" };
        for who in ["stranger", "administrator"] {
            let status = callers::ask(&instance, &row, who, Answer::Status(501)).await;
            assert!(matches!(status, 501 | 503), "{} by {who}: {status}", row.name());
        }
    }
}

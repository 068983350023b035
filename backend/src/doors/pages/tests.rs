//! Signing in and what a session is good for: at the pages' own addresses, as a browser asks.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Service;
use actix_web::http::header::SET_COOKIE;
use actix_web::test::{TestRequest, init_service, read_body};
use totp_rs::{Builder, Secret as TotpSecret, Totp};

use crate::auth::session::COOKIE;
use crate::clock::now_ns;
use crate::doors::Patience;
use crate::doors::http::{Rendered, Shared, site};
use crate::testing::{Instance, PASSWORD};

/// Seconds of a time step (RFC 6238).
const STEP: u64 = 30;

/// An answer, as far as these tests look.
pub(super) struct Got {
    pub(super) status: u16,
    cookies: Vec<Cookie<'static>>,
    pub(super) body: String,
}

impl Got {
    /// The session's cookie that it sets.
    pub(super) fn session(&self) -> &Cookie<'static> {
        self.cookies.iter().find(|cookie| cookie.name() == COOKIE).expect("a session's cookie")
    }

    /// What stands in the body between two texts.
    pub(super) fn between(&self, before: &str, after: &str) -> String {
        let (_, rest) = self.body.split_once(before).expect(before);
        rest.split_once(after).expect(after).0.to_owned()
    }
}

/// Asks a server of its own for this request; what counts is in the instance.
pub(super) async fn ask(instance: &Instance, request: TestRequest, peer: &str) -> Got {
    let shared = Shared::new(instance.app.clone(), &Rendered::new().unwrap(), Patience::default());
    let site = init_service(site(shared)).await;
    let request = request.peer_addr(format!("{peer}:1024").parse().unwrap()).to_request();
    match Service::call(&site, request).await {
        Ok(response) => {
            let status = response.status().as_u16();
            let set = response.headers().get_all(SET_COOKIE).map(|value| value.to_str().unwrap().to_owned());
            let cookies = set.map(|text| Cookie::parse(text).unwrap()).collect();
            Got { status, cookies, body: String::from_utf8(read_body(response).await.to_vec()).unwrap() }
        }
        Err(error) => {
            let status = error.as_response_error().status_code().as_u16();
            Got { status, cookies: Vec::new(), body: error.to_string() }
        }
    }
}

/// A form as a browser sends it from a page of ours.
fn form(path: &str, body: &str) -> TestRequest {
    TestRequest::post()
        .uri(path)
        .insert_header(("content-type", "application/x-www-form-urlencoded"))
        .insert_header(("host", "sampan.test"))
        .insert_header(("origin", "http://sampan.test"))
        .set_payload(body.to_owned())
}

fn login(name: &str, password: &str, code: &str) -> TestRequest {
    form("/login", &format!("name={name}&password={}&code={code}", password.replace(' ', "+")))
}

pub(super) async fn sign_in(instance: &Instance, name: &str, password: &str, code: &str) -> Got {
    ask(instance, login(name, password, code), "192.0.2.1").await
}

/// Somebody who is signed in.
pub(super) struct Person<'a> {
    pub(super) instance: &'a Instance,
    cookie: String,
}

impl<'a> Person<'a> {
    pub(super) async fn new(instance: &'a Instance, name: &str) -> Self {
        let cookie = sign_in(instance, name, PASSWORD, "").await.session().value().to_owned();
        Self { instance, cookie }
    }

    /// The administrator, with the team of the things in view.
    pub(super) async fn administrator(instance: &'a Instance) -> Self {
        let own = Self::new(instance, "administrator").await;
        let accounts = &instance.app.accounts;
        let id = accounts.user_named("administrator").await.unwrap().id;
        accounts.switch_team(&own.cookie, id, crate::testing::TEAM).await.unwrap();
        own
    }

    pub(super) async fn open(&self, path: &str) -> Got {
        let request = TestRequest::get().uri(path).insert_header(("host", "127.0.0.1:7070"));
        ask(self.instance, request.insert_header(("cookie", format!("{COOKIE}={}", self.cookie))), "192.0.2.1").await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Got {
        signed(self.instance, &self.cookie, path, body).await
    }
}

/// The status of a page that only somebody who is signed in sees: 200, or 303 to the sign-in.
async fn page(instance: &Instance, cookie: &str) -> u16 {
    let request = TestRequest::get().uri("/account").insert_header(("cookie", format!("{COOKIE}={cookie}")));
    ask(instance, request, "192.0.2.1").await.status
}

/// A form of somebody who is signed in, with the token of their session.
pub(super) async fn signed(instance: &Instance, cookie: &str, path: &str, body: &str) -> Got {
    let session = crate::auth::session::find(&instance.app, cookie, crate::auth::Door::Pages).await.unwrap().unwrap();
    let request = form(path, &format!("csrf={}&{body}", session.csrf()));
    ask(instance, request.insert_header(("cookie", format!("{COOKIE}={cookie}"))), "192.0.2.1").await
}

#[actix_web::test]
async fn a_login_begins_a_new_session_whatever_the_browser_brought_and_scripts_do_not_see_it() {
    let instance = Instance::new().await;
    let planted = "A".repeat(43);
    let with = |cookie: &str| {
        let request = login("viewer", PASSWORD, "");
        request.insert_header(("cookie", format!("{COOKIE}={cookie}")))
    };
    let first = ask(&instance, with(&planted), "192.0.2.1").await;
    let cookie = first.session();
    assert_eq!(first.status, 303);
    assert_eq!((cookie.http_only(), cookie.same_site(), cookie.path()), (Some(true), Some(SameSite::Lax), Some("/")));
    assert_eq!((cookie.secure(), cookie.domain()), (None, None));
    assert_ne!(cookie.value(), planted);
    assert_eq!((page(&instance, cookie.value()).await, page(&instance, &planted).await), (200, 303));

    // The next login ends the session that the browser had.
    let second = ask(&instance, with(cookie.value()), "192.0.2.1").await;
    let (old, new) = (cookie.value(), second.session().value());
    assert_ne!(old, new);
    assert_eq!((page(&instance, new).await, page(&instance, old).await), (200, 303));
}

#[actix_web::test]
async fn where_the_address_is_https_the_cookie_is_for_https_only() {
    let instance = Instance::with(|config| config.public_url = Some("https://sampan.test".to_owned())).await;
    let request = login("viewer", PASSWORD, "");
    let got = ask(&instance, request.insert_header(("origin", "https://sampan.test")), "192.0.2.1").await;
    assert_eq!(got.session().secure(), Some(true));
    // Its own host by http is another site then.
    assert_eq!(sign_in(&instance, "viewer", PASSWORD, "").await.status, 403);
}

#[actix_web::test]
async fn a_login_from_another_site_is_refused() {
    let instance = Instance::new().await;
    for header in [("origin", "http://evil.test"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        let got = ask(&instance, login("viewer", PASSWORD, "").insert_header(header), "192.0.2.1").await;
        assert_eq!((got.status, got.cookies.len()), (403, 0), "{header:?}");
    }
}

#[actix_web::test]
async fn a_logout_ends_its_session_at_once_and_no_other() {
    let instance = Instance::new().await;
    let (one, other) =
        (sign_in(&instance, "viewer", PASSWORD, "").await, sign_in(&instance, "viewer", PASSWORD, "").await);
    let (one, other) = (one.session().value(), other.session().value());
    let out = signed(&instance, one, "/logout", "").await;
    assert_eq!((out.status, out.session().value()), (303, ""));
    assert_eq!((page(&instance, one).await, page(&instance, other).await), (303, 200));
}

#[actix_web::test]
async fn a_new_password_ends_every_session_and_needs_the_old_one() {
    let instance = Instance::new().await;
    let (one, other) =
        (sign_in(&instance, "viewer", PASSWORD, "").await, sign_in(&instance, "viewer", PASSWORD, "").await);
    let (one, other) = (one.session().value(), other.session().value());
    let body = |current: &str| format!("current={current}&new=battery+staple");
    assert_eq!(signed(&instance, one, "/account/password", &body("wrong+horse")).await.status, 200);
    assert_eq!((page(&instance, one).await, page(&instance, other).await), (200, 200));
    assert_eq!(signed(&instance, one, "/account/password", &body("correct+horse")).await.status, 303);
    assert_eq!((page(&instance, one).await, page(&instance, other).await), (303, 303));
    assert_eq!(sign_in(&instance, "viewer", PASSWORD, "").await.status, 401);
    assert_eq!(sign_in(&instance, "viewer", "battery staple", "").await.status, 303);
}

/// Somebody's authenticator.
struct Authenticator(Totp);

impl Authenticator {
    /// Signs `name` in and sets a second factor, by the code of the step before; gives the recovery codes too. What
    /// comes within ten seconds from here finds the same time step.
    async fn enrol(instance: &Instance, name: &str) -> (Self, Vec<String>) {
        while now_seconds() % STEP > 18 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let got = sign_in(instance, name, PASSWORD, "").await;
        let cookie = got.session().value();
        // A session that was left open is not enough.
        let refused = signed(instance, cookie, "/account/totp", "current=wrong+horse").await;
        assert!(!refused.body.contains(r#"name="secret""#));
        let offer = signed(instance, cookie, "/account/totp", "current=correct+horse").await;
        let secret = offer.between(r#"<p class="mono">"#, "</p>");
        let totp = Builder::new().with_secret(TotpSecret::try_from_base32(&secret).unwrap()).build().unwrap();
        let own = Self(totp);
        let body = format!("secret={}&code={}", offer.between(r#"name="secret" value=""#, "\""), own.code(-1));
        let set = signed(instance, cookie, "/account/totp/confirm", &body).await;
        let codes = set.between(r#"<pre class="code">"#, "</pre>").lines().map(str::to_owned).collect();
        (own, codes)
    }

    /// The code so many steps from now.
    fn code(&self, steps: i64) -> String {
        let at = now_seconds().checked_add_signed(steps * STEP as i64).unwrap();
        self.0.generate(at).to_string()
    }
}

fn now_seconds() -> u64 {
    u64::try_from(now_ns() / 1_000_000_000).unwrap()
}

/// Two logins at the same time: how many of them are in.
async fn pair(instance: &Instance, code: &str) -> usize {
    let (one, other) =
        tokio::join!(sign_in(instance, "viewer", PASSWORD, code), sign_in(instance, "viewer", PASSWORD, code));
    [one.status, other.status].into_iter().filter(|status| *status == 303).count()
}

#[actix_web::test]
async fn a_code_is_good_once_and_an_older_one_never_again() {
    let instance = Instance::new().await;
    let (own, recovery) = Authenticator::enrol(&instance, "viewer").await;
    let with = async |code: &str| sign_in(&instance, "viewer", PASSWORD, code).await.status;
    assert_eq!(with("").await, 401);
    assert_eq!(with("000000").await, 401);
    // The one that set it was taken then.
    assert_eq!(with(&own.code(-1)).await, 401);
    let now = own.code(0);
    assert_eq!(with(&now).await, 303);
    assert_eq!(with(&now).await, 401);
    // The authenticator's clock may be a step ahead; of two at once with one code, one is in.
    assert_eq!(pair(&instance, &own.code(1)).await, 1);
    assert_eq!(with(&now).await, 401);

    assert_eq!(recovery.len(), 10);
    let typed = recovery[0].replace('-', "+").to_uppercase();
    assert_eq!((with(&typed).await, with(&typed).await), (303, 401));
    assert_eq!(pair(&instance, &recovery[1]).await, 1);
    assert_eq!(with(&recovery[2]).await, 303);
}

#[actix_web::test]
async fn without_its_second_factor_a_user_signs_in_by_the_password_again() {
    let instance = Instance::new().await;
    let (_, recovery) = Authenticator::enrol(&instance, "viewer").await;
    let id = instance.app.accounts.user_named("viewer").await.unwrap().id;
    assert_eq!(sign_in(&instance, "viewer", PASSWORD, "").await.status, 401);
    // What `sampan admin reset-totp` does.
    instance.app.accounts.set_totp(id, None, 0, "[]").await.unwrap();
    assert_eq!(sign_in(&instance, "viewer", PASSWORD, "").await.status, 303);
    // A recovery code of the old one opens nothing once there is a new one.
    Authenticator::enrol(&instance, "viewer").await;
    assert_eq!(sign_in(&instance, "viewer", PASSWORD, &recovery[0]).await.status, 401);
}

#[actix_web::test]
async fn passwords_and_codes_are_tried_a_bounded_number_of_times() {
    let instance = Instance::new().await;
    let (own, _) = Authenticator::enrol(&instance, "viewer").await;
    let mut tried = 0;
    let refused = loop {
        // Each from an address of its own: the name is what is counted.
        let (password, code) = if tried % 2 == 0 { ("wrong horse", "") } else { (PASSWORD, "000000") };
        let peer = format!("198.51.100.{tried}");
        let got = ask(&instance, login("viewer", password, code), &peer).await;
        if got.status != 401 {
            break got;
        }
        tried += 1;
        assert!(tried < 30, "nobody counts");
    };
    assert_eq!(refused.status, 429);
    // Nor is the right one looked at now; another user's is.
    assert_eq!(ask(&instance, login("viewer", PASSWORD, &own.code(0)), "203.0.113.1").await.status, 429);
    assert_eq!(ask(&instance, login("developer", PASSWORD, ""), "203.0.113.2").await.status, 303);
}

#[actix_web::test]
async fn tries_behind_a_proxy_are_counted_by_the_client_it_names() {
    let instance = &Instance::with(|config| config.trusted_proxies = vec!["192.0.2.9".parse().unwrap()]).await;
    let from = async |client: &str, name: &str| {
        let request = login(name, "wrong horse", "").insert_header(("x-forwarded-for", client.to_owned()));
        ask(instance, request, "192.0.2.9").await.status
    };
    let mut tried = 0;
    while from("198.51.100.1", &format!("user{tried}")).await == 401 {
        tried += 1;
        assert!(tried < 30, "nobody counts");
    }
    assert_eq!(from("198.51.100.2", "viewer").await, 401);
    // Who is no proxy cannot name another.
    let request = || login("nobody", "wrong horse", "").insert_header(("x-forwarded-for", "203.0.113.77"));
    for _ in 0..30 {
        ask(instance, request(), "203.0.113.5").await;
    }
    assert_eq!(ask(instance, login("viewer", PASSWORD, ""), "203.0.113.5").await.status, 429);
}

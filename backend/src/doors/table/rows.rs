//! The table.

/// One route.
pub struct Row {
    /// `rest`, `docker`, `pages` or `registry`.
    pub door: &'static str,
    /// `GET`, …
    pub method: &'static str,
    /// As the door's own list has it, with a query where the route needs one.
    pub path: &'static str,
    /// Who gets what.
    pub rule: Rule,
    /// A body that the route understands.
    pub body: &'static str,
}

/// What somebody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Let in: any status but 401, 403 and 404.
    In,
    /// Exactly this status.
    Status(u16),
}

/// Who gets what: nobody, stranger, viewer, developer, owner, administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Everybody, known or not.
    Open,
    /// Everybody who is known; each sees their own.
    Any,
    /// Who may look at what the team has.
    Read,
    /// Who may change what the team has.
    Write,
    /// Who may make something in their own team: the stranger does so in theirs.
    Make,
    /// Who may read the trail of their own team.
    Audit,
    /// Who decides about a team's members.
    Own,
    /// Who decides about a team itself.
    Govern,
    /// Who decides about all of the instance.
    Administer,
    /// The developer, whose it is, and the administrator.
    Oneself,
    /// The administrator; the developer, whom it is about, may know that they are there.
    ChangeUser,
    /// What is not there, for those who may write.
    Gone,
    /// What is not there, for those who may look.
    GoneRead,
    /// What nobody can remove, in Docker's words.
    Predefined,
    /// Not there for anybody.
    Nothing,
    /// A wrong name or password, whoever types it.
    Wrong,
    /// The first run, which is over.
    Over,
    /// A page's form that makes or removes something in one's own team.
    PageMake,
    /// A page's form about the members of one's own team.
    PageOwn,
    /// A page's form about what an administrator gives the team in view.
    PageGovern,
    /// A page: who is not known is sent to log in.
    Page,
    /// A page's form about what is the developer's, and the administrator's to end.
    PageOneself,
    /// A page about a thing of the team.
    PageOf,
    /// A page about a thing of the team that only those see who may change it.
    PageWrite,
}

impl Row {
    /// `door method path`, as the doors' lists name it.
    pub fn name(&self) -> String {
        format!("{} {} {}", self.door, self.method, self.path.split('?').next().unwrap_or_default())
    }

    /// One answer for each caller.
    pub fn answers(&self) -> [Answer; 6] {
        use Answer::{In, Status};
        let (unknown, forbidden, hidden, sent) = (Status(401), Status(403), Status(404), Status(303));
        match self.rule {
            Rule::Open => [In; 6],
            Rule::Any => [unknown, In, In, In, In, In],
            Rule::Read => [unknown, hidden, In, In, In, In],
            Rule::Write => [unknown, hidden, forbidden, In, In, In],
            Rule::Make => [unknown, In, forbidden, In, In, In],
            Rule::Audit => [unknown, In, forbidden, forbidden, In, In],
            Rule::Own => [unknown, hidden, forbidden, forbidden, In, In],
            Rule::Govern => [unknown, hidden, forbidden, forbidden, forbidden, In],
            Rule::Administer => [unknown, forbidden, forbidden, forbidden, forbidden, In],
            Rule::Oneself => [unknown, hidden, hidden, In, hidden, In],
            Rule::ChangeUser => [unknown, hidden, hidden, forbidden, hidden, In],
            Rule::Gone => [unknown, hidden, forbidden, hidden, hidden, hidden],
            Rule::GoneRead => [unknown, hidden, hidden, hidden, hidden, hidden],
            Rule::Predefined => [unknown, forbidden, forbidden, forbidden, forbidden, forbidden],
            Rule::Nothing => [hidden; 6],
            Rule::Wrong => [unknown; 6],
            Rule::Over => [forbidden; 6],
            Rule::PageMake => [sent, In, forbidden, In, In, In],
            Rule::PageOwn => [sent, In, forbidden, forbidden, In, In],
            Rule::PageGovern => [sent, forbidden, forbidden, forbidden, forbidden, In],
            Rule::Page => [sent, In, In, In, In, In],
            Rule::PageOneself => [sent, hidden, hidden, In, hidden, In],
            Rule::PageOf => [sent, hidden, In, In, In, In],
            Rule::PageWrite => [sent, hidden, forbidden, In, In, In],
        }
    }
}

const fn row(door: &'static str, method: &'static str, path: &'static str, rule: Rule, body: &'static str) -> Row {
    Row { door, method, path, rule, body }
}

/// Every route of every door. What the docker door only refuses has a test of its own.
pub const ROWS: &[Row] = &[
    row("rest", "GET", "/healthz", Rule::Open, ""),
    row("rest", "GET", "/api/v1/openapi.json", Rule::Open, ""),
    row("rest", "GET", "/api/v1/reference", Rule::Open, ""),
    row("rest", "GET", "/api/v1/me", Rule::Any, ""),
    row("rest", "GET", "/api/v1/containers", Rule::Any, ""),
    row(
        "rest",
        "POST",
        "/api/v1/containers",
        Rule::Write,
        r#"{"image":"sha256:2222222222222222222222222222222222222222222222222222222222222222"}"#,
    ),
    row("rest", "POST", "/api/v1/containers/prune", Rule::Make, ""),
    row("rest", "GET", "/api/v1/containers/{id}", Rule::Read, ""),
    row("rest", "PATCH", "/api/v1/containers/{id}", Rule::Write, r#"{"limits":{"pids":100}}"#),
    row("rest", "DELETE", "/api/v1/containers/{id}", Rule::Write, ""),
    row("rest", "POST", "/api/v1/containers/{id}/start", Rule::Write, ""),
    row("rest", "POST", "/api/v1/containers/{id}/stop", Rule::Write, ""),
    row("rest", "POST", "/api/v1/containers/{id}/kill", Rule::Write, ""),
    row("rest", "POST", "/api/v1/containers/{id}/restart", Rule::Write, ""),
    row("rest", "POST", "/api/v1/containers/{id}/pause", Rule::Write, ""),
    row("rest", "POST", "/api/v1/containers/{id}/unpause", Rule::Write, ""),
    row("rest", "POST", "/api/v1/containers/{id}/wait", Rule::Read, ""),
    row("rest", "POST", "/api/v1/containers/{id}/rename", Rule::Write, r#"{"name":"other"}"#),
    row("rest", "POST", "/api/v1/containers/{id}/exec", Rule::Write, r#"{"command":["true"]}"#),
    row("rest", "GET", "/api/v1/containers/{id}/logs", Rule::Read, ""),
    row("rest", "GET", "/api/v1/containers/{id}/stats", Rule::Read, ""),
    row("rest", "GET", "/api/v1/containers/{id}/stats/history", Rule::Read, ""),
    row("rest", "GET", "/api/v1/containers/{id}/top", Rule::Read, ""),
    row("rest", "GET", "/api/v1/containers/{id}/archive?path=/", Rule::Write, ""),
    row("rest", "PUT", "/api/v1/containers/{id}/archive?path=/", Rule::Write, ""),
    row("rest", "GET", "/api/v1/containers/{id}/export", Rule::Write, ""),
    row("rest", "GET", "/api/v1/containers/{id}/changes", Rule::Read, ""),
    row("rest", "POST", "/api/v1/containers/{id}/commit", Rule::Write, "{}"),
    row("rest", "GET", "/api/v1/images", Rule::Any, ""),
    row("rest", "POST", "/api/v1/images", Rule::Make, "{}"),
    row("rest", "GET", "/api/v1/networks", Rule::Any, ""),
    row("rest", "GET", "/api/v1/networks/{name}", Rule::Any, ""),
    row("rest", "GET", "/api/v1/system/info", Rule::Any, ""),
    row("rest", "GET", "/api/v1/system/df", Rule::Any, ""),
    row("rest", "POST", "/api/v1/images/prune", Rule::Make, "{}"),
    row("rest", "GET", "/api/v1/images/{id}", Rule::Read, ""),
    row("rest", "GET", "/api/v1/images/{id}/history", Rule::Read, ""),
    row("rest", "GET", "/api/v1/images/{id}/archive", Rule::Read, ""),
    row("rest", "POST", "/api/v1/images/{id}/tags", Rule::Write, r#"{"reference":"other"}"#),
    row("rest", "DELETE", "/api/v1/images/{id}", Rule::Write, ""),
    row("rest", "POST", "/api/v1/images/pull", Rule::Make, r#"{"reference":"nowhere.invalid/a"}"#),
    row("rest", "POST", "/api/v1/images/push", Rule::Make, r#"{"reference":"nowhere.invalid/a"}"#),
    row("rest", "GET", "/api/v1/operations", Rule::Any, ""),
    row("rest", "GET", "/api/v1/operations/{id}", Rule::GoneRead, ""),
    row("rest", "DELETE", "/api/v1/operations/{id}", Rule::Gone, ""),
    row("rest", "GET", "/api/v1/registries", Rule::Administer, ""),
    row("rest", "PUT", "/api/v1/registries/{host}", Rule::Administer, r#"{"plain_http":true}"#),
    row("rest", "DELETE", "/api/v1/registries/{host}", Rule::Administer, ""),
    row("rest", "GET", "/api/v1/mirrors", Rule::Administer, ""),
    row(
        "rest",
        "POST",
        "/api/v1/mirrors",
        Rule::Administer,
        r#"{"registry":"docker.io","url":"https://nowhere.invalid"}"#,
    ),
    row("rest", "DELETE", "/api/v1/mirrors/{id}", Rule::Administer, ""),
    row("rest", "GET", "/api/v1/credentials", Rule::Make, ""),
    row("rest", "PUT", "/api/v1/credentials/{host}", Rule::Audit, r#"{"username":"a","password":"b"}"#),
    row("rest", "DELETE", "/api/v1/credentials/{host}", Rule::Audit, ""),
    row("rest", "GET", "/api/v1/fetches", Rule::Any, ""),
    row("rest", "GET", "/api/v1/volumes", Rule::Any, ""),
    row("rest", "POST", "/api/v1/volumes", Rule::Make, r#"{"name":"other"}"#),
    row("rest", "POST", "/api/v1/volumes/prune", Rule::Make, "{}"),
    row("rest", "GET", "/api/v1/volumes/{name}", Rule::Read, ""),
    row("rest", "DELETE", "/api/v1/volumes/{name}", Rule::Write, ""),
    row("rest", "GET", "/api/v1/events", Rule::Any, ""),
    row("rest", "GET", "/api/v1/users", Rule::Administer, ""),
    row("rest", "POST", "/api/v1/users", Rule::Administer, r#"{"name":"new","password":"correct horse"}"#),
    row("rest", "GET", "/api/v1/users/{name}", Rule::Oneself, ""),
    row("rest", "PATCH", "/api/v1/users/{name}", Rule::ChangeUser, "{}"),
    row("rest", "DELETE", "/api/v1/users/{name}", Rule::ChangeUser, ""),
    row("rest", "GET", "/api/v1/teams", Rule::Any, ""),
    row("rest", "POST", "/api/v1/teams", Rule::Administer, r#"{"name":"green"}"#),
    row("rest", "GET", "/api/v1/teams/{team}", Rule::Read, ""),
    row("rest", "PATCH", "/api/v1/teams/{team}", Rule::Govern, r#"{"name":"green"}"#),
    row("rest", "DELETE", "/api/v1/teams/{team}", Rule::Govern, ""),
    row("rest", "GET", "/api/v1/teams/{team}/members", Rule::Read, ""),
    row("rest", "PUT", "/api/v1/teams/{team}/members/{user}", Rule::Own, r#"{"role":"viewer"}"#),
    row("rest", "PATCH", "/api/v1/teams/{team}/members/{user}", Rule::Own, r#"{"role":"viewer"}"#),
    row("rest", "DELETE", "/api/v1/teams/{team}/members/{user}", Rule::Own, ""),
    row("rest", "GET", "/api/v1/teams/{team}/folders", Rule::Read, ""),
    row("rest", "POST", "/api/v1/teams/{team}/folders", Rule::Govern, r#"{"path":"/srv/other","read_only":true}"#),
    row("rest", "DELETE", "/api/v1/teams/{team}/folders?path=/srv/shared", Rule::Govern, ""),
    row("rest", "GET", "/api/v1/tokens", Rule::Any, ""),
    row("rest", "POST", "/api/v1/tokens", Rule::Any, r#"{"name":"other","scopes":["read"]}"#),
    row("rest", "GET", "/api/v1/tokens/{id}", Rule::Oneself, ""),
    row("rest", "DELETE", "/api/v1/tokens/{id}", Rule::Oneself, ""),
    row("rest", "GET", "/api/v1/audit", Rule::Audit, ""),
    row("rest", "GET", "/api/v1/registry", Rule::Any, ""),
    row("rest", "GET", "/api/v1/repositories", Rule::Any, ""),
    row("rest", "GET", "/api/v1/repositories/{name}", Rule::Read, ""),
    row("rest", "PATCH", "/api/v1/repositories/{name}", Rule::Own, r#"{"public":false}"#),
    row("rest", "DELETE", "/api/v1/repositories/{name}", Rule::Own, ""),
    row("rest", "GET", "/api/v1/repositories/{name}/tags", Rule::Read, ""),
    row("rest", "DELETE", "/api/v1/repositories/{name}/tags/{tag}", Rule::Own, ""),
    row("rest", "GET", "/api/v1/repositories/{name}/manifests", Rule::Read, ""),
    row("rest", "DELETE", "/api/v1/repositories/{name}/manifests/{digest}", Rule::Own, ""),
    row("rest", "POST", "/api/v1/repositories/{name}/retain", Rule::Own, ""),
    row("rest", "GET", "/api/v1/robots", Rule::Audit, ""),
    row("rest", "POST", "/api/v1/robots", Rule::Audit, r#"{"name":"ci"}"#),
    row("rest", "DELETE", "/api/v1/robots/{id}", Rule::Own, ""),
    row("rest", "POST", "/live/tickets", Rule::Any, ""),
    row("rest", "GET", "/live/containers/{id}/logs", Rule::Read, ""),
    row("rest", "GET", "/live/containers/{id}/stats", Rule::Read, ""),
    row("rest", "GET", "/live/containers/{id}/console", Rule::Write, ""),
    row("rest", "GET", "/live/events", Rule::Any, ""),
    row("docker", "GET", "/_ping", Rule::Any, ""),
    row("docker", "GET", "/version", Rule::Any, ""),
    row("docker", "GET", "/info", Rule::Any, ""),
    row("docker", "GET", "/events", Rule::Any, ""),
    row("docker", "GET", "/system/df", Rule::Any, ""),
    row("docker", "GET", "/containers/json", Rule::Any, ""),
    row(
        "docker",
        "POST",
        "/containers/create",
        Rule::Write,
        r#"{"Image":"sha256:2222222222222222222222222222222222222222222222222222222222222222"}"#,
    ),
    row("docker", "POST", "/containers/prune", Rule::Make, ""),
    row("docker", "GET", "/containers/{id}/json", Rule::Read, ""),
    row("docker", "GET", "/containers/{id}/top", Rule::Read, ""),
    row("docker", "GET", "/containers/{id}/logs?stdout=1", Rule::Read, ""),
    row("docker", "GET", "/containers/{id}/stats", Rule::Read, ""),
    row("docker", "POST", "/containers/{id}/start", Rule::Write, ""),
    row("docker", "POST", "/containers/{id}/stop", Rule::Write, ""),
    row("docker", "POST", "/containers/{id}/restart", Rule::Write, ""),
    row("docker", "POST", "/containers/{id}/kill", Rule::Write, ""),
    row("docker", "POST", "/containers/{id}/pause", Rule::Write, ""),
    row("docker", "POST", "/containers/{id}/unpause", Rule::Write, ""),
    row("docker", "POST", "/containers/{id}/wait", Rule::Read, ""),
    row("docker", "POST", "/containers/{id}/rename?name=other", Rule::Write, ""),
    row("docker", "POST", "/containers/{id}/update", Rule::Write, "{}"),
    row("docker", "POST", "/containers/{id}/attach", Rule::Write, ""),
    row("docker", "POST", "/containers/{id}/resize?h=1&w=1", Rule::Write, ""),
    row("docker", "POST", "/containers/{id}/exec", Rule::Write, r#"{"Cmd":["true"]}"#),
    row("docker", "DELETE", "/containers/{id}", Rule::Write, ""),
    row("docker", "HEAD", "/containers/{id}/archive?path=/", Rule::Write, ""),
    row("docker", "GET", "/containers/{id}/archive?path=/", Rule::Write, ""),
    row("docker", "PUT", "/containers/{id}/archive?path=/", Rule::Write, ""),
    row("docker", "GET", "/containers/{id}/export", Rule::Write, ""),
    row("docker", "GET", "/containers/{id}/changes", Rule::Read, ""),
    row(
        "docker",
        "POST",
        "/commit?container=1111111111111111111111111111111111111111111111111111111111111111",
        Rule::Write,
        "",
    ),
    row("docker", "POST", "/images/create?fromSrc=-", Rule::Make, ""),
    row("docker", "POST", "/exec/{id}/start", Rule::GoneRead, "{}"),
    row("docker", "POST", "/exec/{id}/resize?h=1&w=1", Rule::Gone, ""),
    row("docker", "GET", "/exec/{id}/json", Rule::GoneRead, ""),
    row("docker", "GET", "/images/json", Rule::Any, ""),
    row("docker", "POST", "/images/load", Rule::Make, ""),
    row("docker", "POST", "/images/{name}/push?tag=latest", Rule::Make, ""),
    row("docker", "GET", "/images/search?term=nowhere.invalid/a", Rule::Make, ""),
    row("docker", "GET", "/distribution/{name}/json", Rule::Make, ""),
    row("docker", "POST", "/auth", Rule::Make, r#"{"username":"a","password":"b","serveraddress":"nowhere.invalid"}"#),
    row("docker", "POST", "/images/prune", Rule::Make, ""),
    row("docker", "GET", "/images/{name}/json", Rule::Read, ""),
    row("docker", "GET", "/images/{name}/history", Rule::Read, ""),
    row(
        "docker",
        "GET",
        "/images/get?names=sha256:2222222222222222222222222222222222222222222222222222222222222222",
        Rule::Read,
        "",
    ),
    row("docker", "GET", "/images/{name}/get", Rule::Read, ""),
    row("docker", "POST", "/images/{name}/tag?repo=other", Rule::Write, ""),
    row("docker", "DELETE", "/images/{name}", Rule::Write, ""),
    row("docker", "POST", "/build/prune", Rule::Any, ""),
    row("docker", "GET", "/volumes", Rule::Any, ""),
    row("docker", "POST", "/volumes/create", Rule::Make, "{}"),
    row("docker", "POST", "/volumes/prune", Rule::Make, ""),
    row("docker", "GET", "/volumes/{name}", Rule::Read, ""),
    row("docker", "DELETE", "/volumes/{name}", Rule::Write, ""),
    row("docker", "GET", "/networks", Rule::Any, ""),
    row("docker", "POST", "/networks/prune", Rule::Any, ""),
    row("docker", "GET", "/networks/{id}", Rule::Any, ""),
    row("docker", "DELETE", "/networks/{id}", Rule::Predefined, ""),
    row("docker", "GET", "/plugins", Rule::Any, ""),
    row("docker", "GET", "/plugins/{*name}", Rule::GoneRead, ""),
    row("registry", "GET", "/v2/", Rule::Any, ""),
    row("registry", "GET", "/v2/token", Rule::Open, ""),
    row("registry", "POST", "/v2/token", Rule::Wrong, "grant_type=password&username=a&password=wrong-one"),
    row("registry", "GET", "/v2/_catalog", Rule::Any, ""),
    row("registry", "GET", "/v2/{name}/tags/list", Rule::Read, ""),
    row("registry", "GET", "/v2/{name}/referrers/{digest}", Rule::Read, ""),
    row("registry", "GET", "/v2/{name}/manifests/{reference}", Rule::Read, ""),
    row("registry", "HEAD", "/v2/{name}/manifests/{reference}", Rule::Read, ""),
    row("registry", "PUT", "/v2/{name}/manifests/{reference}", Rule::Write, crate::testing::MANIFEST),
    row("registry", "DELETE", "/v2/{name}/manifests/{reference}", Rule::Own, ""),
    row("registry", "GET", "/v2/{name}/blobs/{digest}", Rule::Read, ""),
    row("registry", "HEAD", "/v2/{name}/blobs/{digest}", Rule::Read, ""),
    row("registry", "DELETE", "/v2/{name}/blobs/{digest}", Rule::Own, ""),
    row("registry", "POST", "/v2/{name}/blobs/uploads/", Rule::Write, ""),
    row("registry", "GET", "/v2/{name}/blobs/uploads/{id}", Rule::Write, ""),
    row("registry", "PATCH", "/v2/{name}/blobs/uploads/{id}", Rule::Write, "more"),
    row("registry", "PUT", "/v2/{name}/blobs/uploads/{id}", Rule::Write, ""),
    row("registry", "DELETE", "/v2/{name}/blobs/uploads/{id}", Rule::Write, ""),
    row("pages", "GET", "/assets/{name}", Rule::Nothing, ""),
    row("pages", "GET", "/login", Rule::Open, ""),
    row("pages", "POST", "/login", Rule::Wrong, "name=a&password=b"),
    row("pages", "POST", "/logout", Rule::Open, ""),
    row("pages", "GET", "/setup", Rule::Open, ""),
    row("pages", "POST", "/setup", Rule::Over, "token=a&name=b&password=c&again=c"),
    row("pages", "GET", "/", Rule::Page, ""),
    row("pages", "GET", "/containers", Rule::Page, ""),
    row("pages", "POST", "/containers/act", Rule::Page, "id=1&action=stop"),
    row("pages", "GET", "/containers/new", Rule::Page, ""),
    row("pages", "POST", "/containers/new", Rule::PageMake, "image=busybox"),
    row("pages", "GET", "/containers/{id}", Rule::PageOf, ""),
    row("pages", "POST", "/containers/{id}/act", Rule::PageWrite, "action=stop"),
    row("pages", "GET", "/containers/{id}/logs", Rule::PageOf, ""),
    row("pages", "GET", "/containers/{id}/logs/download", Rule::PageOf, ""),
    row("pages", "GET", "/containers/{id}/stats", Rule::PageOf, ""),
    row("pages", "GET", "/containers/{id}/console", Rule::PageOf, ""),
    row("pages", "GET", "/containers/{id}/configuration", Rule::PageOf, ""),
    row("pages", "POST", "/containers/{id}/configuration/reveal", Rule::PageWrite, ""),
    row("pages", "GET", "/containers/{id}/remove", Rule::PageOf, ""),
    row("pages", "POST", "/containers/{id}/remove", Rule::PageWrite, "name=web"),
    row("pages", "GET", "/images", Rule::Page, ""),
    row("pages", "POST", "/images/remove", Rule::PageMake, "image=a"),
    row("pages", "GET", "/volumes", Rule::Page, ""),
    row("pages", "POST", "/volumes/new", Rule::PageMake, "name=other"),
    row("pages", "POST", "/volumes/remove", Rule::PageMake, "volume=data&confirm=data"),
    row("pages", "GET", "/team", Rule::Page, ""),
    row("pages", "POST", "/team/switch", Rule::PageOf, "team=blue"),
    row("pages", "POST", "/team/members", Rule::PageOwn, "user=stranger&role=viewer"),
    row("pages", "POST", "/team/members/remove", Rule::PageOwn, "user=viewer"),
    row("pages", "POST", "/team/folders", Rule::PageGovern, "path=/srv/other"),
    row("pages", "POST", "/team/folders/revoke", Rule::PageGovern, "path=/srv/shared"),
    row("pages", "POST", "/team/tokens", Rule::Page, "name=a"),
    row("pages", "POST", "/team/tokens/revoke", Rule::PageOneself, "token=2"),
    row("pages", "GET", "/account", Rule::Page, ""),
    row("pages", "POST", "/account/look", Rule::Page, "language=en&theme=dark"),
    row("pages", "POST", "/account/password", Rule::Page, "current=a&new=b"),
    row("pages", "POST", "/account/totp", Rule::Page, "current=a"),
    row("pages", "POST", "/account/totp/confirm", Rule::Page, "code=1&secret=1"),
];

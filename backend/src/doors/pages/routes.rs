//! Every route of the pages, as one table.

use actix_web::web::{self, ServiceConfig};

use super::{
    account, act, assets, container, containers, images, new_container, operations, overview, registries, registry,
    setup, sign_in, team, volumes,
};

/// Method and path of each page, for the table test of the policy.
pub const ROUTES: &[(&str, &str)] = &[
    ("GET", "/assets/{name}"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("GET", "/setup"),
    ("POST", "/setup"),
    ("GET", "/"),
    ("GET", "/containers"),
    ("POST", "/containers/act"),
    ("GET", "/containers/new"),
    ("POST", "/containers/new"),
    ("GET", "/containers/{id}"),
    ("POST", "/containers/{id}/act"),
    ("GET", "/containers/{id}/logs"),
    ("GET", "/containers/{id}/logs/download"),
    ("GET", "/containers/{id}/stats"),
    ("GET", "/containers/{id}/console"),
    ("GET", "/containers/{id}/configuration"),
    ("POST", "/containers/{id}/configuration/reveal"),
    ("GET", "/containers/{id}/remove"),
    ("POST", "/containers/{id}/remove"),
    ("GET", "/images"),
    ("POST", "/images/pull"),
    ("POST", "/images/prune"),
    ("POST", "/images/remove"),
    ("GET", "/images/{id}"),
    ("POST", "/images/{id}/tags"),
    ("POST", "/images/{id}/push"),
    ("GET", "/difference"),
    ("GET", "/operations/{id}"),
    ("POST", "/operations/{id}/remove"),
    ("GET", "/volumes"),
    ("POST", "/volumes/new"),
    ("POST", "/volumes/remove"),
    ("GET", "/registry"),
    ("GET", "/registry/{name}"),
    ("POST", "/registry/settings"),
    ("POST", "/registry/rules"),
    ("POST", "/registry/tags/remove"),
    ("POST", "/registry/manifests/remove"),
    ("POST", "/registry/remove"),
    ("GET", "/robots"),
    ("POST", "/robots"),
    ("POST", "/robots/revoke"),
    ("GET", "/registries"),
    ("POST", "/registries/credentials"),
    ("POST", "/registries/credentials/remove"),
    ("POST", "/registries/rules"),
    ("POST", "/registries/rules/remove"),
    ("POST", "/registries/mirrors"),
    ("POST", "/registries/mirrors/remove"),
    ("GET", "/team"),
    ("POST", "/team/switch"),
    ("POST", "/team/members"),
    ("POST", "/team/members/remove"),
    ("POST", "/team/folders"),
    ("POST", "/team/folders/revoke"),
    ("POST", "/team/tokens"),
    ("POST", "/team/tokens/revoke"),
    ("GET", "/account"),
    ("POST", "/account/look"),
    ("POST", "/account/password"),
    ("POST", "/account/totp"),
    ("POST", "/account/totp/confirm"),
];

/// Puts the pages into the server.
pub fn configure(config: &mut ServiceConfig) {
    config
        .route("/assets/{name}", web::get().to(assets::serve))
        .route("/login", web::get().to(sign_in::show))
        .route("/login", web::post().to(sign_in::sign_in))
        .route("/logout", web::post().to(sign_in::sign_out))
        .route("/setup", web::get().to(setup::show))
        .route("/setup", web::post().to(setup::finish))
        .route("/", web::get().to(overview::show))
        .route("/containers", web::get().to(containers::list::show))
        .route("/containers/act", web::post().to(act::several))
        .route("/containers/new", web::get().to(new_container::show))
        .route("/containers/new", web::post().to(new_container::create))
        .route("/containers/{id}", web::get().to(container::overview::show))
        .route("/containers/{id}/act", web::post().to(act::one))
        .route("/containers/{id}/logs", web::get().to(container::logs::show))
        .route("/containers/{id}/logs/download", web::get().to(container::logs::download))
        .route("/containers/{id}/stats", web::get().to(container::stats::show))
        .route("/containers/{id}/console", web::get().to(container::console::show))
        .route("/containers/{id}/configuration", web::get().to(container::configuration::show))
        .route("/containers/{id}/configuration/reveal", web::post().to(container::configuration::reveal))
        .route("/containers/{id}/remove", web::get().to(container::remove::ask))
        .route("/containers/{id}/remove", web::post().to(container::remove::remove))
        .route("/images", web::get().to(images::list::show))
        .route("/images/pull", web::post().to(images::pull::pull))
        .route("/images/prune", web::post().to(images::list::prune))
        .route("/images/remove", web::post().to(images::list::remove))
        .route("/images/{id}", web::get().to(images::image::show))
        .route("/images/{id}/tags", web::post().to(images::image::tag))
        .route("/images/{id}/push", web::post().to(images::image::push))
        .route("/difference", web::get().to(images::difference::show))
        .route("/operations/{id}", web::get().to(operations::show))
        .route("/operations/{id}/remove", web::post().to(operations::remove))
        .route("/volumes", web::get().to(volumes::show))
        .route("/volumes/new", web::post().to(volumes::create))
        .route("/volumes/remove", web::post().to(volumes::remove))
        .route("/registry", web::get().to(registry::list::show))
        // A name may have slashes.
        .route("/registry/{name:.+}", web::get().to(registry::repository::show))
        .route("/registry/settings", web::post().to(registry::settings::change))
        .route("/registry/rules", web::post().to(registry::settings::retain))
        .route("/registry/tags/remove", web::post().to(registry::settings::remove_tag))
        .route("/registry/manifests/remove", web::post().to(registry::settings::remove_manifest))
        .route("/registry/remove", web::post().to(registry::settings::remove))
        .route("/robots", web::get().to(registry::robots::show))
        .route("/robots", web::post().to(registry::robots::create))
        .route("/robots/revoke", web::post().to(registry::robots::revoke))
        .route("/registries", web::get().to(registries::show))
        .route("/registries/credentials", web::post().to(registries::put_credential))
        .route("/registries/credentials/remove", web::post().to(registries::remove_credential))
        .route("/registries/rules", web::post().to(registries::put_rule))
        .route("/registries/rules/remove", web::post().to(registries::remove_rule))
        .route("/registries/mirrors", web::post().to(registries::put_mirror))
        .route("/registries/mirrors/remove", web::post().to(registries::remove_mirror))
        .route("/team", web::get().to(team::show))
        .route("/team/switch", web::post().to(team::switch))
        .route("/team/members", web::post().to(team::add_member))
        .route("/team/members/remove", web::post().to(team::remove_member))
        .route("/team/folders", web::post().to(team::grant_folder))
        .route("/team/folders/revoke", web::post().to(team::revoke_folder))
        .route("/team/tokens", web::post().to(team::new_token))
        .route("/team/tokens/revoke", web::post().to(team::revoke_token))
        .route("/account", web::get().to(account::show))
        .route("/account/look", web::post().to(account::look))
        .route("/account/password", web::post().to(account::password))
        .route("/account/totp", web::post().to(account::offer))
        .route("/account/totp/confirm", web::post().to(account::confirm));
}

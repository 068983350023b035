// A handler as it should be: it asks the policy, and hands the grant on.
use sampan::app::App;
use sampan::auth::Caller;
use sampan::service::{ServiceError, containers};

pub async fn handler(app: &App, caller: &Caller) -> Result<(), ServiceError> {
    let target = app.policy().container(caller, "web")?;
    containers::start(app, target).await
}

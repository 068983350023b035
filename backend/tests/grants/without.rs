// fails: E0308
use sampan::app::App;
use sampan::auth::Caller;
use sampan::service::{ServiceError, containers};

pub async fn handler(app: &App, caller: &Caller) -> Result<(), ServiceError> {
    containers::start(app, caller).await
}

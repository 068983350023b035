// fails: E0308
use sampan::app::App;
use sampan::policy::action::View;
use sampan::policy::{Container, Granted};
use sampan::service::{ServiceError, containers};

pub async fn handler(app: &App, target: Granted<View, Container>) -> Result<(), ServiceError> {
    containers::start(app, target).await
}

// fails: E0277
use sampan::app::App;
use sampan::auth::Caller;
use sampan::policy::action::Start;
use sampan::policy::{Container, Denied, Granted};

pub fn handler(app: &App, caller: &Caller, found: Container) -> Result<Granted<Start, Container>, Denied> {
    app.policy().team(caller, found)
}

// fails: E0277
use sampan::policy::{Action, Verb};

pub struct Mine;

impl Action for Mine {
    const VERB: Verb = Verb::View;
}
